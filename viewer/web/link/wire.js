// The wire, as in docs/protocol.md: bytes and text to values and back. No sockets here.

export const PROTOCOL = 1;
export const RATE = 16000; // samples a second, the only clock
export const FLAME = 1;
export const PCM = 16;
export const INT16 = 1; // flag of a PCM payload
const MAGIC = 0x314b5450; // "PTK1", little-endian
const HEADER_BYTES = 24;

// A binary message: {type, flags, sequence, sample, values}; null for what this page skips.
export function parse(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new Error("a message is shorter than its header");
  const view = new DataView(buffer);
  if (view.getUint32(0, true) !== MAGIC) throw new Error("a message does not start with PTK1");
  const version = view.getUint8(4);
  if (version !== PROTOCOL) throw new Error(`a message of protocol ${version}`);
  const type = view.getUint8(5);
  const flags = view.getUint16(6, true);
  const count = view.getUint32(20, true);
  if (type !== FLAME && type !== PCM) return null;
  const short = type === PCM && (flags & INT16) !== 0;
  if (HEADER_BYTES + (short ? 2 : 4) * count !== buffer.byteLength) {
    throw new Error("a message is cut off");
  }
  return {
    type,
    flags,
    sequence: view.getUint32(8, true),
    sample: Number(view.getBigInt64(12, true)),
    values: short
      ? Float32Array.from(new Int16Array(buffer, HEADER_BYTES, count), (value) => value / 32768)
      : new Float32Array(buffer, HEADER_BYTES, count),
  };
}

// One message of speech for the server: float samples in -1..1 become int16.
export function pcmMessage(samples, sequence, sample) {
  const buffer = new ArrayBuffer(HEADER_BYTES + 2 * samples.length);
  const view = new DataView(buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, PROTOCOL);
  view.setUint8(5, PCM);
  view.setUint16(6, INT16, true);
  view.setUint32(8, sequence >>> 0, true);
  view.setBigInt64(12, BigInt(sample), true);
  view.setUint32(20, samples.length, true);
  for (let k = 0; k < samples.length; k++) {
    const value = Math.max(-1, Math.min(1, samples[k]));
    view.setInt16(HEADER_BYTES + 2 * k, Math.round(value * 32767), true);
  }
  return buffer;
}
