// The face: what is due now, posed and drawn, as often as the screen can show it.

import { Playout } from "./playout.js";
import { Rig } from "./rig.js";

export const HOLD_SECONDS = 0.6; // a face without frames holds still that long, then comes to rest
export const REST_SECONDS = 0.7;
const SLOW_SECONDS = 0.045; // between two pictures: the screen could show more
const COARSEST = 0.5;

export class Face {
  constructor(rig, renderer) {
    this.rig = rig;
    this.renderer = renderer;
    this.playout = new Playout();
    this.stale = true;
    this.shown = 0; // pictures drawn
    this.kept = null; // what was shown last of the motion
    this.due = 0; // seconds: when that was
    this.left = 0; // how much of it is in the picture: 1 where it moves, 0 at rest
    this.values = new Float32Array(rig.channels + 6);
    this.pace = 0.016; // seconds between pictures, of late
    this.before = null;
    this.taps = new Set(); // told of every picture, while the canvas still has it
  }

  // Another head with the same channels: the same motion moves it.
  wear(head) {
    this.rig = new Rig(head);
    this.renderer.wear(head);
    this.rig.pose(this.values);
    this.stale = true;
  }

  tick(now) {
    this.mind(now / 1000);
    this.step();
    requestAnimationFrame((next) => this.tick(next));
  }

  // Draw what is due now, if that is another picture.
  step() {
    const now = performance.now() / 1000;
    const at = this.playout.at(now);
    this.show(at, now);
    if (this.renderer.resize() || this.stale) {
      this.renderer.draw(this.rig.drawn);
      this.stale = false;
      this.shown += 1;
      const drawn = performance.now() / 1000;
      for (const tap of this.taps) tap(this.renderer.canvas, at?.age < HOLD_SECONDS ? at : null, drawn);
    }
  }

  // A device that draws too slowly draws fewer pixels.
  mind(now) {
    const took = this.before === null ? 0 : now - this.before;
    this.before = now;
    if (!took || took > 0.5) return; // the page was out of sight
    this.pace += 0.05 * (took - this.pace);
    if (this.pace > SLOW_SECONDS && this.renderer.fineness > COARSEST) {
      this.renderer.fineness = Math.max(COARSEST, 0.8 * this.renderer.fineness);
      this.pace = 0.016;
    }
  }

  // Pose what is due at `now` (seconds); where nothing is, what was shown last goes to rest, however
  // few pictures there are meanwhile, and though the play-out has forgotten its frames.
  show(at, now) {
    const same = !at || at.values === this.kept;
    if (at) {
      this.kept = at.values;
      this.sample = at.sample;
      this.due = now - at.age;
    }
    if (!this.kept) return;
    const left = 1 - Math.min(1, Math.max(0, (now - this.due - HOLD_SECONDS) / REST_SECONDS));
    if (same && left === this.left) return;
    this.left = left;
    const eased = left * left * (3 - 2 * left);
    for (let k = 0; k < this.values.length; k++) this.values[k] = eased * this.kept[k];
    this.rig.pose(this.values);
    this.stale = true;
  }
}
