// What is seen: the character, what stands behind it, the camera, mirrored or not.

import { readHead } from "../face/rig.js";
import { $, say } from "./page.js";
import { Radios } from "./radios.js";

const COLOURS = [
  ["#00b140", "Green"],
  ["#101418", "Black"],
  ["#f4f4f2", "White"],
];

export class Scene {
  constructor(face, choices, characters) {
    Object.assign(this, { face, choices, characters });
    const { cameras } = face.rig.head;
    this.camera = new Radios($("cameras"), (camera) => this.set({ camera }));
    this.camera.list(Object.keys(cameras).map((name) => [name, label(name)]));
    this.backgrounds = new Radios($("backgrounds"), (background) => this.background(background));
    this.backgrounds.list([
      ["studio", "Studio"],
      ["transparent", "Transparent"],
      ...COLOURS,
      ["colour", "Colour …"],
      ["picture", "Picture …"],
    ]);
    $("mirror").addEventListener("click", () => this.set({ mirror: !this.choices.mirror }));
    $("colour").addEventListener("input", () => this.set({ background: $("colour").value }));
    $("picture").addEventListener("change", () => this.picture($("picture").files[0]));
    $("character-section").hidden = characters.length < 2;
    this.heads = new Map([[face.rig.head.id, face.rig.head]]);
    this.people = new Radios($("characters"), (character) => this.set({ character }));
    this.people.list(characters.map(({ id, name }) => [id, label(name)]));
    this.show();
  }

  set(changes) {
    this.choices.set(changes);
    this.show();
  }

  show() {
    const { choices, face } = this;
    const { renderer } = face;
    renderer.shot = choices.camera in renderer.head.cameras ? choices.camera : "head";
    renderer.mirrored = choices.mirror;
    const colour = rgb(choices.background);
    if (choices.background === "picture" && !renderer.backdrop.texture) choices.background = "studio";
    renderer.backdrop.kind = colour ? "colour" : choices.background;
    if (colour) renderer.backdrop.colour = colour;
    face.stale = true;
    this.camera.show(renderer.shot);
    const named = COLOURS.some(([value]) => value === choices.background);
    this.backgrounds.show(colour && !named ? "colour" : choices.background);
    if (colour) $("colour").value = choices.background;
    $("mirror").setAttribute("aria-pressed", String(choices.mirror));
    document.body.dataset.background = renderer.backdrop.kind;
    this.wear();
  }

  background(value) {
    if (value === "colour") $("colour").click();
    else if (value === "picture") $("picture").click();
    else this.set({ background: value });
  }

  async picture(file) {
    if (!file) return;
    try {
      const bitmap = await createImageBitmap(file);
      this.face.renderer.backdrop.picture(bitmap);
      bitmap.close();
      this.set({ background: "picture" });
    } catch {
      say(`${file.name} is no picture that this browser can read.`, 6);
    }
    $("picture").value = ""; // the same one may be chosen again
  }

  // Put on the chosen character; its file is fetched once.
  async wear() {
    const wanted = this.characters.find(({ id }) => id === this.choices.character) ?? this.characters[0];
    if (!wanted) return;
    this.people.show(wanted.id);
    if (this.wanted === wanted.id) return;
    this.wanted = wanted.id;
    try {
      if (!this.heads.has(wanted.id)) {
        const response = await fetch(wanted.file);
        if (!response.ok) throw new Error(String(response.status));
        this.heads.set(wanted.id, readHead(await response.arrayBuffer()));
      }
    } catch {
      say(`The server has no ${wanted.file} any more: reload the page.`, 6);
      return;
    }
    if (this.wanted === wanted.id && this.face.rig.head.id !== wanted.id) {
      this.face.wear(this.heads.get(wanted.id));
    }
  }

  // The next camera, or the next background that needs no asking: for the keys.
  nextCamera() {
    const names = Object.keys(this.face.renderer.head.cameras);
    const at = names.indexOf(this.face.renderer.shot);
    this.set({ camera: names[(at + 1) % names.length] });
  }

  nextBackground() {
    const values = ["studio", "transparent", ...COLOURS.map(([value]) => value)];
    const at = values.indexOf(this.choices.background);
    this.set({ background: values[(at + 1) % values.length] });
  }
}

function label(name) {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

// #rrggbb as (r, g, b) in 0..1; null for what is none.
function rgb(text) {
  const found = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  return found && found.slice(1).map((part) => parseInt(part, 16) / 255);
}
