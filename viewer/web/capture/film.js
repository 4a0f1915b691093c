// A recording of the face with its sound: WebM, made by the browser.

import { Composer } from "./composer.js";
import { marked } from "./webm_mark.js";

const KINDS = ["video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/webm"];
const PICTURES = 30; // a second
const BITS = 6_000_000;

export class Film {
  // `failed(sentence)` is called where the encoder gives up; what it made is there to `stop` with.
  // Throws an Error with a sentence where this browser makes no WebM.
  constructor(face, speaker, failed) {
    const kind = globalThis.MediaRecorder && KINDS.find((each) => MediaRecorder.isTypeSupported(each));
    if (!kind) throw new Error("This browser records no WebM: try Chrome, Edge or Firefox.");
    this.face = face;
    this.composer = new Composer();
    this.composer.draw(face.renderer.canvas);
    this.draw = (canvas) => this.composer.draw(canvas);
    const pictures = this.composer.canvas.captureStream(PICTURES);
    this.sound = speaker.tap();
    const tracks = [...pictures.getTracks(), ...this.sound.stream.getTracks()];
    this.recorder = recorderOf(new MediaStream(tracks), kind);
    this.recorder.onerror = ({ error }) => {
      failed(`The recording broke off (${error?.name ?? "the encoder gave up"}).`);
    };
    this.pieces = [];
    this.recorder.ondataavailable = ({ data }) => data.size && this.pieces.push(data);
    this.began = performance.now();
    face.taps.add(this.draw);
    face.stale = true;
    this.recorder.start(1000);
  }

  get seconds() {
    return (performance.now() - this.began) / 1000;
  }

  // The file, which says that it is synthetic.
  async stop() {
    const { recorder } = this;
    if (recorder.state !== "inactive") {
      const stopped = new Promise((done) => (recorder.onstop = done));
      recorder.stop();
      await stopped;
    }
    this.face.taps.delete(this.draw);
    this.sound.close();
    for (const track of recorder.stream.getTracks()) track.stop();
    const data = await new Blob(this.pieces).arrayBuffer();
    return new Blob([marked(new Uint8Array(data))], { type: "video/webm" });
  }
}

function recorderOf(stream, mimeType) {
  try {
    return new MediaRecorder(stream, { mimeType, videoBitsPerSecond: BITS });
  } catch (error) {
    throw new Error(`This browser's recorder refused: ${error.message}`);
  }
}
