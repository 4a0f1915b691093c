/** posetalk's wire as pure values: no sockets, no Node. The page is docs/protocol.md. */

export const PROTOCOL = 1;
export const SAMPLE_RATE = 16000;
const HEADER_BYTES = 24;

export type ChannelSet = "flame" | "arkit52" | "vertices";

/** What a peer sent is not the protocol; `code` is for programs. */
export class WireError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "WireError";
  }
}

export interface Hello {
  type: "hello";
  protocol: number;
  fps: number;
  sample_rate: number;
  head: string;
  style: string;
  styles: string[];
  channels: Partial<Record<ChannelSet, string[]>>;
  shape: number[];
  vertices: number;
  faces: number;
  synthetic: true;
  /** Unix seconds at which sample 0 was captured; null until known. */
  start_time: number | null;
  /** What clients may ask for here; absent: nothing. */
  accepts?: ("style" | "guidance" | "interrupt" | "audio" | "open")[];
  guidance?: { audio: number; style: number };
}

/** Text messages of a server, besides the hello. */
export type ServerText =
  | { type: "clock"; sample: number; time: number }
  | { type: "pong"; id: number; time: number }
  | { type: "interrupted"; sample: number }
  | { type: "style"; name: string }
  | { type: "guidance"; audio_guidance?: number; style_guidance?: number }
  | { type: "opened"; sample: number; time: number; style: string; lookahead: number; hop: number; ahead: number }
  | { type: "closed"; reason: string; frames: number }
  /** What the server hears is "lost", and there is silence until it is "ok" again. */
  | { type: "source"; state: string; message: string }
  /** Of the speech that the server hears, in decibels of full scale. */
  | { type: "level"; decibels: number; state: "ok" | "low" | "clips" | "silent" }
  | { type: "life"; gaze?: number; still?: boolean }
  | { type: "frame"; set: ChannelSet; sequence: number; sample: number; values: Record<string, number> }
  | { type: "error"; code: string; message: string; fatal: boolean }
  | { type: "end"; frames: number };

/** Text messages of a client. */
export type ClientText =
  | { type: "subscribe"; protocol: number; set: ChannelSet | ""; audio: boolean; json: boolean }
  | { type: "audio_format"; sample_rate: number }
  | { type: "interrupt"; at?: number }
  | { type: "style"; name: string }
  | { type: "guidance"; audio_guidance?: number; style_guidance?: number }
  | { type: "open"; protocol: number; style?: string; seed?: number; pace?: "fast" | "live"; alive?: boolean }
  /** How much to look around, 0 to 1, and whether to be still. */
  | { type: "life"; gaze?: number; still?: boolean }
  | { type: "flush" }
  | { type: "close" }
  | { type: "ping"; id: number };

export type Binary =
  | { kind: "motion"; set: ChannelSet; sequence: number; sample: number; values: Float32Array }
  | { kind: "faces"; sequence: number; first: number; corners: Uint32Array }
  | { kind: "sound"; sequence: number; sample: number; samples: Float32Array }
  | { kind: "unknown"; type: number };

const SETS: Record<number, ChannelSet> = { 1: "flame", 2: "arkit52", 3: "vertices" };
const FACES = 4;
const PCM = 16;
const INT16 = 1;

/** Read a binary message. Throws `WireError`; types unknown here are `unknown`, to be skipped. */
export function decode(data: Uint8Array): Binary {
  if (data.byteLength < HEADER_BYTES) {
    throw new WireError("truncated", `${data.byteLength} bytes are shorter than the header`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(0, true) !== 0x314b5450) {
    throw new WireError("magic", "the message does not start with PTK1");
  }
  const version = view.getUint8(4);
  if (version !== PROTOCOL) throw mismatch(version);
  const type = view.getUint8(5);
  const flags = view.getUint16(6, true);
  const sequence = view.getUint32(8, true);
  // Exact up to 2^53 samples: 17,000 years.
  const sample = Number(view.getBigInt64(12, true));
  const count = view.getUint32(20, true);
  const set = SETS[type];
  if (set === undefined && type !== FACES && type !== PCM) return { kind: "unknown", type };
  const width = type === PCM && flags & INT16 ? 2 : 4;
  if (count * width !== data.byteLength - HEADER_BYTES) {
    throw new WireError("length", `${count} elements are announced, ${data.byteLength - HEADER_BYTES} bytes follow`);
  }
  if (type === FACES) {
    const corners = Uint32Array.from({ length: count }, (_, i) => view.getUint32(HEADER_BYTES + 4 * i, true));
    return { kind: "faces", sequence, first: sample, corners };
  }
  if (type === PCM) {
    const read = width === 2
      ? (i: number) => view.getInt16(HEADER_BYTES + 2 * i, true) / 32768
      : (i: number) => view.getFloat32(HEADER_BYTES + 4 * i, true);
    const samples = Float32Array.from({ length: count }, (_, i) => read(i));
    return { kind: "sound", sequence, sample, samples };
  }
  const values = Float32Array.from({ length: count }, (_, i) => view.getFloat32(HEADER_BYTES + 4 * i, true));
  if (!values.every(Number.isFinite)) {
    throw new WireError("not_finite", "the payload holds numbers that are not finite");
  }
  return { kind: "motion", set: set!, sequence, sample, values };
}

const TEXTS = new Set([
  "hello", "clock", "pong", "interrupted", "style", "guidance", "opened", "closed", "source", "level", "life", "frame", "error",
  "end",
]);

/** Read a text message; null for types unknown here, to be skipped. Throws `WireError`. */
export function parseText(text: string): Hello | ServerText | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new WireError("json", "the text message is not JSON");
  }
  if (typeof value !== "object" || value === null || typeof (value as { type?: unknown }).type !== "string") {
    throw new WireError("json", "a text message is a JSON object with a string `type`");
  }
  const message = value as { type: string; protocol?: unknown };
  if (message.protocol !== undefined && message.protocol !== PROTOCOL) throw mismatch(message.protocol);
  return TEXTS.has(message.type) ? (message as Hello | ServerText) : null;
}

/** Sound to be spoken, as a binary message: float samples in -1..1, or 16 bit. */
export function encodeSound(samples: Float32Array | Int16Array, sequence: number): Uint8Array {
  const int16 = samples instanceof Int16Array;
  const width = int16 ? 2 : 4;
  const data = new Uint8Array(HEADER_BYTES + samples.length * width);
  const view = new DataView(data.buffer);
  view.setUint32(0, 0x314b5450, true);
  view.setUint8(4, PROTOCOL);
  view.setUint8(5, PCM);
  view.setUint16(6, int16 ? INT16 : 0, true);
  view.setUint32(8, sequence >>> 0, true);
  view.setBigInt64(12, 0n, true);
  view.setUint32(20, samples.length, true);
  samples.forEach((sample, i) =>
    int16 ? view.setInt16(HEADER_BYTES + 2 * i, sample, true) : view.setFloat32(HEADER_BYTES + 4 * i, sample, true),
  );
  return data;
}

function mismatch(theirs: unknown): WireError {
  return new WireError("version", `the peer speaks protocol ${String(theirs)}, this side ${PROTOCOL}: update the older`);
}
