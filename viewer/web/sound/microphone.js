// The browser's microphone as blocks of 20 ms, at 16 kHz where the browser can bring it there.

const RATE = 16000;
const REASONS = {
  NotFoundError: "There is no microphone here.",
  NotAllowedError: "The browser was not allowed to use the microphone: allow it beside the address.",
  NotReadableError: "The microphone is there, but another program holds it.",
};

export class Microphone {
  // `onBlock(samples)` gets every block.
  constructor(onBlock) {
    this.onBlock = onBlock;
    this.context = null;
  }

  // Throws an Error with a sentence for the user where there is no sound to be had.
  async start() {
    if (!navigator.mediaDevices || !window.AudioWorkletNode) {
      throw new Error(
        "Browsers give the microphone only to pages of this machine or over https: " +
          "start the server with --tls-cert.",
      );
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: false },
      });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The microphone cannot be used: ${error.message}`);
    }
    try {
      await this.listen(RATE);
    } catch {
      await this.listen(undefined); // Firefox leaves the resampling to the server
    }
  }

  async listen(rate) {
    await this.context?.close();
    this.context = new AudioContext(rate ? { sampleRate: rate } : {});
    const source = this.context.createMediaStreamSource(this.stream);
    await this.context.audioWorklet.addModule("sound/microphone-worklet.js");
    const gather = new AudioWorkletNode(this.context, "gather", { numberOfOutputs: 0 });
    gather.port.onmessage = (event) => {
      if (this.context) this.onBlock(event.data.samples); // what is on its way when it stops is let go
    };
    source.connect(gather);
    await this.context.resume();
  }

  get rate() {
    return this.context ? this.context.sampleRate : 0;
  }

  async stop() {
    const { context, stream } = this;
    this.context = this.stream = null;
    for (const track of stream?.getTracks() ?? []) track.stop();
    await context?.close();
  }
}
