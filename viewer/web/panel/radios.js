// Chips of which one is chosen: one stop of the Tab key, and arrows move among them.

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export class Radios {
  // `choose(value)` is called when the user has chosen.
  constructor(group, choose) {
    this.group = group;
    this.choose = choose;
    group.addEventListener("keydown", (event) => this.move(event));
  }

  // `options` are [value, label] pairs.
  list(options) {
    this.group.replaceChildren(
      ...options.map(([value, label]) => {
        const chip = document.createElement("button");
        chip.type = "button";
        chip.setAttribute("role", "radio");
        chip.setAttribute("aria-checked", "false");
        chip.textContent = label;
        chip.dataset.name = value;
        chip.tabIndex = -1;
        chip.addEventListener("click", () => this.choose(value));
        return chip;
      }),
    );
    if (this.group.firstChild) this.group.firstChild.tabIndex = 0;
  }

  show(value) {
    const chips = [...this.group.children];
    for (const chip of chips) {
      const checked = chip.dataset.name === value;
      chip.setAttribute("aria-checked", String(checked));
      chip.tabIndex = checked ? 0 : -1;
    }
    if (chips.length && !chips.some((chip) => chip.tabIndex === 0)) chips[0].tabIndex = 0;
  }

  move(event) {
    const chips = [...this.group.children];
    const at = chips.indexOf(document.activeElement);
    if (at < 0) return;
    let to = at + (STEPS[event.key] ?? 0);
    if (event.key === "Home") to = 0;
    else if (event.key === "End") to = chips.length - 1;
    else if (!(event.key in STEPS)) return;
    event.preventDefault();
    const chip = chips[(to + chips.length) % chips.length];
    chip.focus();
    chip.click();
  }
}
