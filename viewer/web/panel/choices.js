// What the user has chosen, kept by the browser; an address may say it instead: ?obs&camera=bust.

const KEY = "posetalk";
const DEFAULTS = {
  sound: true,
  camera: "head",
  mirror: false,
  background: "studio", // "transparent", "picture", or a colour as #rrggbb
  character: "",
};

export class Choices extends EventTarget {
  constructor(query) {
    super();
    const asked = new URLSearchParams(query);
    this.clean = asked.has("obs");
    const kept = this.clean ? { background: "transparent" } : recall();
    Object.assign(this, DEFAULTS, kept);
    for (const name of ["camera", "background", "character"]) {
      if (asked.get(name)) this[name] = asked.get(name);
    }
    if (asked.has("mirror")) this.mirror = asked.get("mirror") !== "0";
    if (asked.has("mute")) this.sound = false;
  }

  set(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new Event("change"));
    if (this.clean) return;
    const kept = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, this[name]]));
    if (kept.background === "picture") kept.background = DEFAULTS.background; // it is not kept
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // A browser that keeps nothing begins anew each time.
    }
  }

  // The page's address as a source of a streaming program.
  get address() {
    const query = ["obs"];
    if (this.camera !== "head") query.push(`camera=${this.camera}`);
    if (this.mirror) query.push("mirror");
    if (this.character) query.push(`character=${encodeURIComponent(this.character)}`);
    return `${location.origin}/?${query.join("&")}`;
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const known = Object.entries(DEFAULTS).filter(([name, value]) => typeof kept[name] === typeof value);
    return Object.fromEntries(known.map(([name]) => [name, kept[name]]));
  } catch {
    return {};
  }
}
