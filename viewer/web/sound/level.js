// How loud the speech of a microphone is, and whether that is well: by the rules by which the server
// hears it (`stream/core/hearing/speech_level.py`, `stream/run/input_level.py`).

const FRAME_SECONDS = 0.04;
const PRIOR_DB = -28; // of speech, worth
const PRIOR_FRAMES = 4;
const LONGEST_FRAMES = 40;
const FLOOR_FRAMES = 15;
const PRIOR_FLOOR_DB = -45;
const GATE_DB = 9; // speech is so far above the quietest frame of late
const LEAST_DB = -66;
const FALL = 0.5;
const FIRST_FRAMES = 12; // of speech, before its level is told
const LOW_DB = -50;
const FULL_SCALE = 0.985; // a frame clips with one in a hundred samples there
const CLIPPED_FRAMES = 50; // so long it is told
const FIRST_SECONDS = 4; // no speech since the beginning
const LATER_SECONDS = 12; // nor of late: people pause

export class Level {
  constructor() {
    this.share = 0; // of the meter
    this.heard = 0; // frames of speech
    this.silent = 0; // seconds since
    this.speech = PRIOR_DB;
    this.recent = new Array(FLOOR_FRAMES).fill(PRIOR_FLOOR_DB);
    this.clipped = 0;
    this.begin();
  }

  begin() {
    this.sum = this.full = this.count = 0;
  }

  hear(samples, rate) {
    let most = 0;
    for (const sample of samples) {
      const size = Math.abs(sample);
      most = Math.max(most, size);
      this.sum += sample * sample;
      if (size >= FULL_SCALE) this.full += 1;
      this.count += 1;
      if (this.count >= FRAME_SECONDS * rate) this.frame();
    }
    this.share = Math.min(1, Math.sqrt(most));
  }

  frame() {
    const loudness = 10 * Math.log10(this.sum / this.count + 1e-10);
    this.clipped = this.full > this.count / 100 ? CLIPPED_FRAMES : Math.max(0, this.clipped - 1);
    this.begin();
    this.recent.push(loudness);
    this.recent.shift();
    const floor = Math.max(Math.min(...this.recent), -90);
    if (loudness <= Math.max(floor + GATE_DB, LEAST_DB)) {
      this.silent += FRAME_SECONDS;
      return;
    }
    this.silent = 0;
    this.heard += 1;
    const weight = PRIOR_FRAMES + Math.min(this.heard, LONGEST_FRAMES);
    const rate = (loudness > this.speech ? 1 : FALL) / weight;
    this.speech += rate * (loudness - this.speech);
  }

  get decibels() {
    return this.heard >= FIRST_FRAMES ? this.speech : null;
  }

  get state() {
    if (this.clipped) return "clips";
    if (this.decibels === null) return "silent";
    return this.speech < LOW_DB ? "low" : "ok";
  }

  // Too quiet for a mouth to be read from, or not there.
  get quiet() {
    return this.state === "low" || this.silent > (this.heard ? LATER_SECONDS : FIRST_SECONDS);
  }
}
