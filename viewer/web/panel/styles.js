// The style, or a mix of two.

import { $, Soon } from "./page.js";
import { Radios } from "./radios.js";

const SEND_SECONDS = 0.08;

export class Styles {
  constructor(link) {
    this.link = link;
    this.chosen = "";
    this.soon = new Soon(SEND_SECONDS);
    this.radios = new Radios($("styles"), (name) => {
      this.chosen = name;
      this.radios.show(name);
      this.send();
    });
    link.addEventListener("hello", ({ detail }) => this.greet(detail));
    // What the server answers to the beginning of a drag must not move the slider back.
    link.addEventListener("style", ({ detail }) => this.soon.waiting || this.show(detail.name));
    $("second").addEventListener("change", () => this.send());
    $("share").addEventListener("input", () => this.soon.call(() => this.send()));
  }

  greet(hello) {
    const accepts = hello.accepts ?? [];
    $("style-section").hidden = !accepts.includes("style") || hello.styles.length < 2;
    this.radios.list(hello.styles.map((name) => [name, name]));
    const others = hello.styles.map((name) => new Option(name));
    $("second").replaceChildren(new Option("nothing", ""), ...others);
    this.show(hello.style);
  }

  // `text` is a name, or names with shares: calm*0.7+lively*0.3.
  show(text) {
    const parts = text.split("+").map((part) => {
      const [name, share] = part.split("*");
      return { name: name.trim(), share: share === undefined ? 1 : Number(share) };
    });
    this.chosen = parts[0].name;
    this.radios.show(this.chosen);
    if (document.activeElement === $("share")) return;
    $("second").value = parts.length > 1 ? parts[1].name : "";
    if (parts.length > 1) $("share").value = Math.round(100 * parts[1].share);
    this.showShare();
  }

  showShare() {
    const mixed = $("second").value !== "";
    $("share").disabled = !mixed;
    $("share-value").textContent = mixed ? `${$("share").value} %` : "–";
  }

  send() {
    this.showShare();
    this.link.send({ type: "style", name: this.text });
  }

  get text() {
    const second = $("second").value;
    const share = Number($("share").value) / 100;
    if (!second || second === this.chosen || share === 0) return this.chosen;
    return `${this.chosen}*${(1 - share).toFixed(2)}+${second}*${share.toFixed(2)}`;
  }
}
