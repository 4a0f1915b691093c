// How much the voice and the style count.

import { $, Soon } from "./page.js";

const SEND_SECONDS = 0.08;

export class Strength {
  constructor(link) {
    this.link = link;
    this.first = null; // as the server had them
    this.soon = new Soon(SEND_SECONDS);
    link.addEventListener("hello", ({ detail }) => this.greet(detail));
    link.addEventListener("guidance", ({ detail }) => this.soon.waiting || this.show(detail));
    for (const id of ["audio", "style"]) {
      $(id).addEventListener("input", () => {
        $(`${id}-value`).textContent = Number($(id).value).toFixed(2);
        this.soon.call(() => this.send());
      });
    }
    $("reset").addEventListener("click", () => {
      if (!this.first) return;
      this.show({ audio_guidance: this.first.audio, style_guidance: this.first.style });
      this.send();
    });
  }

  greet({ accepts, guidance }) {
    $("guidance-section").hidden = !accepts?.includes("guidance") || !guidance;
    if (!guidance) return;
    this.first ??= guidance;
    this.show({ audio_guidance: guidance.audio, style_guidance: guidance.style });
  }

  show({ audio_guidance: audio, style_guidance: style }) {
    for (const [id, value] of [
      ["audio", audio],
      ["style", style],
    ]) {
      if (typeof value !== "number" || document.activeElement === $(id)) continue;
      $(id).value = value;
      $(`${id}-value`).textContent = value.toFixed(2);
    }
  }

  send() {
    this.link.send({
      type: "guidance",
      audio_guidance: Number($("audio").value),
      style_guidance: Number($("style").value),
    });
  }
}
