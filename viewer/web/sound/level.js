// How loud a microphone is, and whether that is too quiet for a mouth to be read from.

const QUIET = 0.0056; // root mean square of full scale: -45 dB, where a face hardly moves
const FIRST_SECONDS = 4; // nothing loud enough since the beginning
const LATER_SECONDS = 12; // nor of late: people pause

export class Level {
  constructor() {
    this.share = 0; // of the meter
    this.heard = false; // loud enough, once
    this.silent = 0; // seconds since
  }

  hear(samples, rate) {
    let most = 0;
    let sum = 0;
    for (const sample of samples) {
      most = Math.max(most, Math.abs(sample));
      sum += sample * sample;
    }
    this.share = Math.min(1, Math.sqrt(most));
    if (Math.sqrt(sum / samples.length) > QUIET) {
      this.heard = true;
      this.silent = 0;
    } else {
      this.silent += samples.length / rate;
    }
  }

  get quiet() {
    return this.silent > (this.heard ? LATER_SECONDS : FIRST_SECONDS);
  }
}
