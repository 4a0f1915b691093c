// What is spoken, on the loudspeaker in step with the lips, and for a recording.

import { RATE } from "../link/wire.js";

const MIDDLE = 320; // samples: a frame belongs to the middle of its 40 ms of sound
const FOLLOW_SECONDS = 0.1;
const READINGS = 20; // of the two clocks; their middle one counts

export class Speaker {
  constructor(playout) {
    this.playout = playout;
    this.context = null;
    this.audible = true;
    this.readings = [];
  }

  get running() {
    return this.context?.state === "running";
  }

  // Throws an Error with a sentence where there is no sound to be had. Browsers want a tap before.
  async start() {
    if (!this.starting) this.starting = this.open();
    try {
      await this.starting;
    } catch (error) {
      this.starting = null;
      throw new Error(`This browser plays no sound here: ${error.message}.`);
    }
    if (this.context.state !== "running") await this.context.resume();
  }

  async open() {
    // At the speech's own rate: the browser brings it to that of the loudspeaker.
    const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    await context.audioWorklet.addModule("sound/speaker-worklet.js");
    this.player = new AudioWorkletNode(context, "play", { outputChannelCount: [1] });
    this.loud = context.createGain();
    this.loud.gain.value = this.audible ? 1 : 0;
    this.player.connect(this.loud).connect(context.destination);
    this.context = context;
    setInterval(() => this.follow(), 1000 * FOLLOW_SECONDS);
  }

  // The loudspeaker on or off; a recording has the sound either way.
  hear(audible) {
    this.audible = audible;
    if (this.context) this.loud.gain.setTargetAtTime(audible ? 1 : 0, this.context.currentTime, 0.01);
  }

  add(sample, values) {
    if (this.context) this.player.port.postMessage({ what: "add", sample, values });
  }

  cut(sample) {
    if (this.context) this.player.port.postMessage({ what: "cut", sample });
  }

  reset() {
    if (this.context) this.player.port.postMessage({ what: "reset" });
  }

  // Tell the player which sample is due when, by this page's clock and by that of the device.
  follow() {
    const { offset } = this.playout;
    this.playout.heard = this.running && this.audible;
    if (!this.running || offset === null) return;
    this.readings.push(shiftOf(this.context));
    if (this.readings.length > READINGS) this.readings.shift();
    const anchor = (this.shift - offset) * RATE + MIDDLE;
    this.player.port.postMessage({ what: "follow", anchor });
  }

  // Seconds from the context's clock to the page's, at the loudspeaker.
  get shift() {
    const ordered = [...this.readings].sort((a, b) => a - b);
    return ordered[Math.floor(ordered.length / 2)];
  }

  // Seconds from what is played to what is heard.
  get delay() {
    const { currentTime } = this.context;
    return Math.max(0, currentTime + (this.shift ?? 0) - performance.now() / 1000);
  }

  // The sound as a stream for a recorder, when it is heard; call `close` in the end.
  tap() {
    const stream = this.context.createMediaStreamDestination();
    const late = this.context.createDelay(1);
    late.delayTime.value = this.readings.length ? Math.min(1, this.delay) : 0;
    this.player.connect(late).connect(stream);
    return { stream: stream.stream, close: () => this.player.disconnect(late) };
  }
}

function shiftOf(context) {
  const { contextTime, performanceTime } = context.getOutputTimestamp?.() ?? {};
  if (contextTime && performanceTime) return performanceTime / 1000 - contextTime;
  return performance.now() / 1000 - context.currentTime + (context.outputLatency || 0);
}
