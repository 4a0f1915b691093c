// In the browser's audio thread: plays sound by its sample index, where the picture is.
//
// Small distances are made up for by a rate that is a hundredth off, large ones by a jump.

const HELD = 1 << 18; // samples: 16 s
const JUMP = 0.06; // seconds; a viewer notices sound that is early by 45 ms
const LOOSE = 0.004; // so near is near enough
const STEER = 0.012; // most that the rate is off
const FADE = 64; // samples, so that a jump makes no click

class Play extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(HELD);
    this.reset();
    this.port.onmessage = ({ data }) => this[data.what](data);
  }

  reset() {
    this.first = this.end = null; // samples that are held
    this.cursor = null; // sample that is played next
    this.anchor = null; // sample that is due at the context's time 0
    this.fade = 0;
    this.last = this.from = 0;
    this.steering = false;
  }

  add({ sample, values }) {
    if (this.end === null || sample > this.end + HELD / 2 || sample < this.first) {
      this.first = this.end = sample;
    }
    for (let k = this.end; k < sample; k++) this.ring[k % HELD] = 0;
    for (let k = 0; k < values.length; k++) this.ring[(sample + k) % HELD] = values[k];
    this.end = Math.max(this.end, sample + values.length);
    this.first = Math.max(this.first, this.end - HELD);
  }

  // What lies behind `sample` was taken back.
  cut({ sample }) {
    if (this.end !== null) this.end = Math.max(this.first, Math.min(this.end, sample));
  }

  follow({ anchor }) {
    this.anchor = anchor;
  }

  at(sample) {
    const whole = Math.floor(sample);
    const share = sample - whole;
    const one = whole >= this.first && whole < this.end ? this.ring[whole % HELD] : 0;
    if (!share) return one;
    const two = whole + 1 >= this.first && whole + 1 < this.end ? this.ring[(whole + 1) % HELD] : 0;
    return one + share * (two - one);
  }

  process(inputs, outputs) {
    const [out] = outputs[0];
    if (this.anchor === null || this.end === null) return true;
    const wanted = this.anchor + currentTime * sampleRate;
    const off = this.cursor === null ? Infinity : wanted - this.cursor;
    let rate = 1;
    if (Math.abs(off) > JUMP * sampleRate) {
      this.cursor = Math.round(wanted);
      this.from = this.last;
      this.fade = FADE;
    } else if (Math.abs(off) > (this.steering ? 0.25 : 1) * LOOSE * sampleRate) {
      this.steering = true;
      rate += Math.max(-STEER, Math.min(STEER, off / sampleRate));
    } else {
      this.steering = false;
      this.cursor = Math.round(this.cursor);
    }
    for (let k = 0; k < out.length; k++) {
      let value = this.at(this.cursor);
      if (this.fade > 0) {
        value += (this.fade / FADE) * (this.from - value);
        this.fade -= 1;
      }
      out[k] = this.last = value;
      this.cursor += rate;
    }
    return true;
  }
}

registerProcessor("play", Play);
