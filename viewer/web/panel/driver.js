// Who drives the face: this page's microphone, or what the server hears.

import { $ } from "./page.js";

const WORDS = {
  microphone: "the server's microphone",
  demo: "the demo speech",
  file: "a recording",
  stream: "a program beside the server",
  push: "speech that programs send, or you",
  none: "nobody yet",
};
const YOU = "you, through this page";

export class Driver extends EventTarget {
  constructor(link, speak) {
    super();
    this.link = link;
    this.speak = speak;
    link.addEventListener("state", () => this.show());
    link.addEventListener("hello", () => this.show());
    speak.addEventListener("change", () => this.show());
    this.show();
  }

  // What drives the face that everybody sees; "" where the server does not say.
  get everybodys() {
    return WORDS[this.link.hello?.source] ?? "";
  }

  show() {
    const live = this.link.state === "live";
    const words = !live ? "" : this.speak.microphone ? YOU : this.everybodys;
    $("driver-line").hidden = !words;
    if ($("driver").textContent !== words) $("driver").textContent = words;
    this.dispatchEvent(new Event("change"));
  }
}
