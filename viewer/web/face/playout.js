// When to show which frame: a constant delay behind the clock of the sound, that adapts.
//
// A frame's transit is its arrival minus the time in the sound at which it begins. Shown at the
// largest transit of late (all but one in a hundred), frames run evenly; between two frames the
// face is interpolated, so that it moves as smoothly as the screen can show.

import { RATE } from "../link/wire.js";

const KEPT = 250; // transits: ten seconds
const MOST = 3000; // frames waiting: two minutes, more than may be pushed ahead
const SETTLE = 0.05; // seconds per second by which a delay that is too long shrinks
const SETTLE_HEARD = 0.008; // where there is sound: so little is not heard as another pitch
const FRAME = 0.04;
const MOST_DELAY = 0.5; // a network that stalls for longer makes the face jump, not lag for good
const SNAP = 0.4; // a delay this much too long is dropped at once

export class Playout {
  constructor() {
    this.heard = false; // sound follows it
    this.reset();
  }

  // The server began anew: nothing of what was held is of this timeline.
  reset() {
    this.frames = [];
    this.transits = [];
    this.offset = null;
    this.asked = null;
    this.late = 0;
  }

  // Frames from `sample` on were taken back.
  cut(sample) {
    this.frames = this.frames.filter((frame) => frame.sample < sample);
  }

  push(sample, values, now) {
    // What comes long before its time, as pushed speech does, says nothing about delays.
    const transit = now - sample / RATE;
    if (this.offset === null || transit > this.offset - 1) {
      this.transits.push(transit);
      if (this.transits.length > KEPT) this.transits.shift();
    }
    const last = this.frames[this.frames.length - 1];
    if (last && sample <= last.sample) return;
    this.frames.push({ sample, values });
    if (this.frames.length > MOST) this.frames.shift();
  }

  // Face parameters for this moment (seconds), or null before the first frame. The last frame is
  // held where nothing newer has come; `age` says for how long. `time` is the sample that is due.
  at(now) {
    if (!this.frames.length || !this.transits.length) return null;
    this.adapt(now);
    const time = (now - this.offset) * RATE;
    while (this.frames.length > 1 && this.frames[1].sample <= time) this.frames.shift();
    const [first, second] = this.frames;
    const age = Math.max(0, (time - first.sample) / RATE);
    if (!second || time <= first.sample) {
      return { values: first.values, sample: first.sample, age, time };
    }
    const share = Math.min(1, (time - first.sample) / (second.sample - first.sample));
    const values = new Float32Array(first.values.length);
    for (let k = 0; k < values.length; k++) {
      values[k] = first.values[k] + share * (second.values[k] - first.values[k]);
    }
    return { values, sample: first.sample, age, time };
  }

  // Seconds that the quickest frames of late are held back.
  get delay() {
    return this.transits.length && this.offset !== null
      ? Math.max(0, this.offset - Math.min(...this.transits))
      : 0;
  }

  adapt(now) {
    const ordered = Float64Array.from(this.transits).sort();
    // One frame more, so that there is always a next one to move towards.
    const most = ordered[Math.max(0, Math.ceil(0.99 * ordered.length) - 1)];
    const wanted = Math.min(most, ordered[0] + MOST_DELAY) + FRAME;
    if (this.offset === null || wanted > this.offset || this.offset - wanted > SNAP) {
      this.offset = wanted;
    } else {
      const settle = this.heard ? SETTLE_HEARD : SETTLE;
      this.offset = Math.max(wanted, this.offset - settle * Math.max(0, now - this.asked));
    }
    this.asked = now;
  }
}
