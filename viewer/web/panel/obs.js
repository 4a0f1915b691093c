// What a streaming program is to be told: the address of the face alone, its size, and by how much
// the sound of a microphone is to be delayed there.

import { $, say } from "./page.js";

const STEP = 10; // milliseconds

export class Obs {
  constructor(link, figures, choices, driver) {
    Object.assign(this, { link, figures, choices, driver });
    $("obs").addEventListener("click", () => this.toggle());
    $("obs-copy").addEventListener("click", () => this.copy());
    choices.addEventListener("change", () => this.show());
    driver.addEventListener("change", () => this.show());
    figures.addEventListener("shown", () => this.show());
  }

  get open() {
    return $("obs").getAttribute("aria-expanded") === "true";
  }

  toggle() {
    const open = !this.open;
    $("obs").setAttribute("aria-expanded", String(open));
    $("obs-section").hidden = !open;
    this.show();
    if (open) $("obs-section").scrollIntoView({ block: "nearest" });
  }

  show() {
    if (!this.open) return;
    if ($("obs-address").value !== this.choices.address) $("obs-address").value = this.choices.address;
    const { everybodys } = this.driver;
    text("obs-driver", everybodys && `It shows what everybody sees, driven by ${everybodys}.`);
    text("obs-delay", this.delay);
  }

  get delay() {
    if (this.link.hello?.sound) return "none: the source plays the sound (tick Control audio via OBS)";
    const { latency } = this.figures;
    if (latency === null) return "measured while the face moves";
    return `${STEP * Math.ceil((1000 * latency) / STEP)} ms for your microphone (its Sync Offset)`;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.choices.address);
      say("Copied.", 4);
    } catch {
      $("obs-address").select();
      say("It is marked: copy it with your keyboard.", 6);
    }
  }
}

function text(id, words) {
  if ($(id).textContent !== words) $(id).textContent = words;
}
