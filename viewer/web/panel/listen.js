// Whether what is spoken is heard here: on by default, off by one tap.
//
// A browser plays nothing before the user has touched the page. What this page's own microphone
// says is not played back, nor what a microphone beside the server hears.

import { $, say } from "./page.js";

const TAIL_SECONDS = 1.5; // what was said last is still on its way

export class Listen {
  constructor(link, speaker, speak, choices) {
    Object.assign(this, { link, speaker, speak, choices });
    this.offered = false; // by the server
    this.until = 0; // seconds: our own voice may come back until then
    $("sound").addEventListener("click", () => this.toggle());
    link.addEventListener("hello", ({ detail }) => this.greet(detail));
    link.addEventListener("audio", ({ detail }) => speaker.add(detail.sample, detail.values));
    link.addEventListener("interrupted", ({ detail }) => speaker.cut(detail.sample));
    for (const name of ["hello", "opened", "closed"]) {
      link.addEventListener(name, () => speaker.reset());
    }
    speak.addEventListener("change", () => this.spoke());
    for (const name of ["pointerdown", "keydown"]) {
      document.addEventListener(name, () => this.update(), { capture: true });
    }
  }

  greet(hello) {
    this.offered = hello.sound === true;
    $("sound").hidden = !this.offered;
    this.update();
  }

  get wanted() {
    return this.offered && this.choices.sound;
  }

  // Pressing it while the browser still keeps silent starts the sound.
  toggle() {
    if (!this.wanted || this.speaker.running) this.choices.set({ sound: !this.choices.sound });
    this.update();
  }

  spoke() {
    this.until = performance.now() / 1000 + TAIL_SECONDS;
    if (!this.speak.microphone) setTimeout(() => this.update(), 1000 * TAIL_SECONDS + 50);
    this.update();
  }

  async update() {
    const own = this.speak.microphone !== null || performance.now() / 1000 < this.until;
    this.speaker.hear(this.wanted && !own);
    const touched = navigator.userActivation?.hasBeenActive ?? true;
    const here = this.link.state === "live"; // the server has the program that plays
    if (here && this.wanted && !this.speaker.running && (touched || this.choices.clean)) {
      try {
        await this.speaker.start();
      } catch (error) {
        say(error.message, 6);
      }
    }
    this.link.wantAudio(this.filming || (this.wanted && this.speaker.context !== null));
    const on = this.wanted && this.speaker.running;
    $("sound").setAttribute("aria-pressed", String(on));
    $("sound-text").textContent = this.wanted ? (on ? "Sound on" : "Tap for sound") : "Sound off";
  }
}
