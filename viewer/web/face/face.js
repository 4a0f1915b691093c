// The face: what is due now, posed and drawn, as often as the screen can show it.

import { Playout } from "./playout.js";
import { Rig } from "./rig.js";

const HOLD_SECONDS = 0.6; // a face without frames holds still that long, then comes to rest
const REST_SECONDS = 0.7;
const SLOW_SECONDS = 0.045; // between two pictures: the screen could show more
const COARSEST = 0.5;

export class Face {
  constructor(rig, renderer) {
    this.rig = rig;
    this.renderer = renderer;
    this.playout = new Playout();
    this.stale = true;
    this.shown = 0; // pictures drawn
    this.last = null;
    this.values = new Float32Array(rig.channels + 6);
    this.pace = 0.016; // seconds between pictures, of late
    this.before = null;
    this.taps = new Set(); // told of every picture, while the canvas still has it
  }

  // Another head with the same channels: the same motion moves it.
  wear(head) {
    this.rig = new Rig(head);
    this.renderer.wear(head);
    this.last = null;
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
    const at = this.playout.at(performance.now() / 1000);
    if (at && at.age < HOLD_SECONDS + REST_SECONDS + 0.2) this.show(at);
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

  show({ values, sample, age }) {
    const left = 1 - Math.min(1, Math.max(0, (age - HOLD_SECONDS) / REST_SECONDS));
    const eased = left * left * (3 - 2 * left);
    if (values === this.last && left === 1) return;
    this.last = values;
    this.sample = sample;
    for (let k = 0; k < this.values.length; k++) this.values[k] = eased * values[k];
    this.rig.pose(this.values);
    this.stale = true;
  }
}
