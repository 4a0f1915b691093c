// How soon one's own face speaks: a preset, where the server has sessions to give away.

import { $ } from "./page.js";
import { Radios } from "./radios.js";

export class Presets {
  constructor(link, speak) {
    this.radios = new Radios($("presets"), (name) => {
      this.radios.show(name);
      speak.time(name === this.own ? null : name);
    });
    link.addEventListener("hello", ({ detail }) => this.greet(detail, speak));
  }

  greet({ accepts, presets, preset }, speak) {
    this.own = preset ?? null; // the server's, which needs no asking for
    const offered = (accepts ?? []).includes("open") ? (presets ?? []) : [];
    $("preset-section").hidden = offered.length < 2;
    this.radios.list(offered.map((name) => [name, name.charAt(0).toUpperCase() + name.slice(1)]));
    if (!offered.includes(speak.preset)) speak.preset = null;
    this.radios.show(speak.preset ?? this.own);
  }
}
