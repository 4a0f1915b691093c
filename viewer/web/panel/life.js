// How much the eyes look around, and whether head, eyes and brows rest.

import { $, Soon } from "./page.js";

const SEND_SECONDS = 0.08;

export class Life {
  constructor(link) {
    this.link = link;
    this.offered = false;
    this.soon = new Soon(SEND_SECONDS);
    link.addEventListener("hello", ({ detail }) => this.greet(detail));
    link.addEventListener("life", ({ detail }) => this.soon.waiting || this.show(detail));
    $("gaze").addEventListener("input", () => {
      this.describe();
      this.soon.call(() => this.send());
    });
    $("still").addEventListener("click", () => {
      this.show({ still: !this.still });
      this.send();
    });
  }

  greet({ accepts, gaze, still }) {
    this.offered = Boolean(accepts?.includes("life")) && typeof gaze === "number";
    $("life-section").hidden = !this.offered;
    if (this.offered) this.show({ gaze, still });
  }

  get still() {
    return $("still").getAttribute("aria-pressed") === "true";
  }

  // What a face of one's own begins with; nothing where the server says nothing of it.
  get conditions() {
    return this.offered ? { gaze: Number($("gaze").value) / 100, still: this.still } : {};
  }

  show({ gaze, still }) {
    if (typeof gaze === "number" && document.activeElement !== $("gaze")) {
      $("gaze").value = Math.round(100 * gaze);
    }
    if (typeof still === "boolean") $("still").setAttribute("aria-pressed", String(still));
    $("gaze").disabled = this.still;
    this.describe();
  }

  describe() {
    const share = Number($("gaze").value);
    const words = { 0: "at you", 100: "natural" }[share] ?? `${share} %`;
    $("gaze-value").textContent = words;
    $("gaze").setAttribute("aria-valuetext", words);
  }

  send() {
    this.link.send({ type: "life", ...this.conditions });
  }
}
