// Small things that every part of the panel needs.

export const $ = (id) => document.getElementById(id);

// One line to the user; "" takes it away. `seconds` is how long it stands.
let timer;
export function say(sentence, seconds = 0) {
  clearTimeout(timer);
  $("notice").textContent = sentence;
  $("notice").hidden = !sentence;
  if (seconds) timer = setTimeout(() => say(""), 1000 * seconds);
}

// Do an action now and then again at the end of a burst, not for every step of a slider.
export class Soon {
  constructor(seconds) {
    this.seconds = seconds;
    this.waiting = false;
  }

  call(action) {
    if (this.waiting) {
      this.next = action;
      return;
    }
    action();
    this.waiting = true;
    this.next = null;
    setTimeout(() => {
      this.waiting = false;
      this.next?.();
    }, 1000 * this.seconds);
  }
}
