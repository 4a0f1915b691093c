// Keys for what the panel does, and the list of them.

import { $ } from "./page.js";

export class Shortcuts {
  // `keys`: [key, what it does, action].
  constructor(keys) {
    this.keys = keys;
    const rows = keys.map(([key, text]) => {
      const row = document.createElement("div");
      const name = document.createElement("dt");
      const meaning = document.createElement("dd");
      const cap = document.createElement("kbd");
      cap.textContent = key.length === 1 ? key.toUpperCase() : key;
      name.append(cap);
      meaning.textContent = text;
      row.append(name, meaning);
      return row;
    });
    $("shortcut-list").replaceChildren(...rows);
    $("help").addEventListener("click", () => this.show());
    $("shortcuts").addEventListener("click", (event) => outside(event) && $("shortcuts").close());
    document.addEventListener("keydown", (event) => this.press(event));
  }

  show() {
    if ($("shortcuts").open) $("shortcuts").close();
    else $("shortcuts").showModal();
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches?.("input:not([type=range]), select, textarea")) return;
    if ($("shortcuts").open && event.key !== "?") return;
    const found = this.keys.find(([key]) => key === event.key.toLowerCase());
    if (!found?.[2]) return;
    event.preventDefault();
    found[2]();
  }
}

// Whether a click on a dialog is one beside it; a key that presses a button clicks inside.
function outside({ target, currentTarget, clientX, clientY }) {
  const { left, right, top, bottom } = currentTarget.getBoundingClientRect();
  const beside = clientX < left || clientX > right || clientY < top || clientY > bottom;
  return target === currentTarget && beside;
}
