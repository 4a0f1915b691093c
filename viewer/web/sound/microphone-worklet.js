// In the browser's audio thread: gathers 20 ms of sound and hands it over, with the time at which
// the last of it was there.

class Gather extends AudioWorkletProcessor {
  constructor() {
    super();
    this.held = new Float32Array(Math.round(sampleRate / 50));
    this.count = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    if (!channels.length) return true;
    for (let k = 0; k < channels[0].length; k++) {
      let sum = 0;
      for (const channel of channels) sum += channel[k];
      this.held[this.count++] = sum / channels.length;
      if (this.count === this.held.length) {
        this.port.postMessage({ samples: this.held.slice(), time: currentTime + (k + 1) / sampleRate });
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("gather", Gather);
