// Live lip synchronisers from npm, fed a sound as a browser would feed them.
//
//   node peers.mjs JOB.json
//
// JOB: {system, packages, profile, cpu_limit, out, clips: [{id, wav16, wav48}]}. Written to `out`:
// {clips: {id: {open: [...], round: [...]}}, cpu_s, seconds}, both curves 0 to 1 at 100 a second as
// a viewer would see them while the sound plays. Clips that come after `cpu_limit` s are left out.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const job = JSON.parse(fs.readFileSync(process.argv[2]));
const QUANTUM = 128; // samples that a browser hands over at once
const DRAWINGS = 60; // a second
// How far each viseme, shape or class opens the mouth, and rounds it: ours, the same for all.
const OPEN = {
  sil: 0, PP: 0, FF: 0.1, TH: 0.25, DD: 0.25, kk: 0.3, CH: 0.2, SS: 0.15,
  nn: 0.2, RR: 0.3, aa: 1, E: 0.6, I: 0.35, O: 0.7, U: 0.3,
};
const ROUND = { O: 0.6, U: 1, CH: 0.3, RR: 0.2 };
const SHAPES = { A: 0, B: 0.2, C: 0.6, D: 1, E: 0.6, F: 0.25, G: 0.1, H: 0.4, X: 0 };
const ROUND_SHAPES = { E: 0.6, F: 1 };
const CLASSES = { A: 1, I: 0.35, U: 0.3, E: 0.6, O: 0.7, N: 0.1, S: 0.15, "-": 0 };

let clock = 0; // seconds of the sound that were fed
globalThis.performance = { now: () => clock * 1000 };

function readWav(file) {
  const bytes = fs.readFileSync(file);
  const rate = bytes.readUInt32LE(24);
  const pcm = bytes.subarray(44); // as Python's `wave` writes it
  return { rate, pcm, samples: Float32Array.from({ length: pcm.length >> 1 }, (_, i) => pcm.readInt16LE(2 * i) / 32768) };
}

const load = (file) => import(pathToFileURL(path.join(job.packages, "node_modules", file)));
const read = (file) => fs.readFileSync(path.join(job.packages, "node_modules", file));

// A worklet and the node that it belongs to, without a browser between them.
function worklet(rate) {
  const made = {};
  const ends = [{ onmessage: null }, { onmessage: null }];
  ends.forEach((end, i) => (end.postMessage = (data) => ends[1 - i].onmessage?.({ data })));
  globalThis.sampleRate = rate;
  globalThis.AudioWorkletProcessor = class { constructor() { this.port = ends[1]; } };
  globalThis.AudioWorkletNode = class { constructor() { this.port = ends[0]; this.parameters = new Map(); } };
  globalThis.registerProcessor = (_, made_class) => (made.Processor = made_class);
  return made;
}

async function headaudio() {
  const made = worklet(48000);
  await load("@met4citizen/headaudio/modules/headworklet.mjs");
  const { HeadAudio } = await load("@met4citizen/headaudio/modules/headaudio.mjs");
  const model = read("@met4citizen/headaudio/dist/model-en-mixed.bin");
  const buffer = model.buffer.slice(model.byteOffset, model.byteOffset + model.length);
  globalThis.fetch = async () => ({ ok: true, arrayBuffer: async () => buffer });
  return async () => {
    const processor = new made.Processor({ processorOptions: {}, parameterData: {} });
    const node = new HeadAudio({}, {});
    const values = {};
    node.onvalue = (name, value) => (values[name.slice(7)] = value);
    await node.loadModel("model");
    const parameters = Object.fromEntries(
      made.Processor.parameterDescriptors.map((each) => [each.name, new Float32Array([each.defaultValue])]),
    );
    const sum = (table) => Math.min(1, Object.keys(values).reduce((all, k) => all + (table[k] ?? 0) * values[k] / 0.65, 0));
    return {
      feed: (quantum) => processor.process([[quantum]], [], parameters),
      draw: () => { node.update(1000 / DRAWINGS); return [sum(OPEN), sum(ROUND)]; },
    };
  };
}

// The package has no profile (uLipSync's are made in Unity): one is made with its own MFCC from
// training voices, twelve examples of each class and set.
async function wlipsync() {
  const module = new WebAssembly.Module(read("wlipsync/dist/wlipsync.wasm"));
  const profile = await calibrated(module);
  const made = worklet(48000);
  Object.defineProperty(globalThis, "currentTime", { get: () => clock });
  new Function(read("wlipsync/dist/audio-processor.js").toString())();
  const { WLipSyncAudioNode } = await load("wlipsync/dist/wlipsync.js");
  const parameters = { blockSize: new Float32Array([512]) };
  return async () => {
    const node = new WLipSyncAudioNode({}, profile, module);
    const processor = new made.Processor({ processorOptions: { wasmModule: module, profile } });
    await new Promise((done) => setTimeout(done, 50));
    const sum = (table) => Math.min(1, Math.max(0, node.volume * Object.keys(node.weights).reduce((all, k) => all + (table[k] ?? 0) * node.weights[k], 0)));
    return {
      feed: (quantum) => processor.process([[quantum]], [], parameters),
      draw: () => [sum(CLASSES), sum(ROUND)],
    };
  };
}

async function calibrated(module) {
  const memory = new WebAssembly.Memory({ initial: 4 });
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  exports.load_profile(16000, 1024, 30, 2, 1, 1, 0);
  exports.precompute_profile();
  exports.set_input(48000);
  const size = exports.get_input_buffer_size();
  const buffer = new Float32Array(memory.buffer, exports.get_input_buffer(), size);
  const groups = {};
  for (const { wav48, label, time, set } of job.examples) {
    const { samples } = readWav(wav48);
    const end = Math.round(time * 48000) + (size >> 1);
    for (let i = 0; i < size; i++) buffer[i] = samples[end - size + i] ?? 0;
    exports.execute(0);
    const found = Array.from(new Float32Array(memory.buffer, exports.mfccOut.value, 12));
    if (found.every(Number.isFinite)) (groups[`${set}|${label}`] ??= []).push(found);
  }
  const mfccs = Object.entries(groups).filter(([, each]) => each.length >= 12).map(([name, each]) => ({
    name: name.split("|")[1],
    mfccCalibrationDataList: Array.from({ length: 12 }, (_, i) => ({ array: each[Math.floor(i * each.length / 12)] })),
  }));
  return {
    targetSampleRate: 16000, sampleCount: 1024, melFilterBankChannels: 30, compareMethod: 2,
    mfccNum: 12, mfccDataCount: 12, useStandardization: false, mfccs,
  };
}

async function wawa() {
  const N = 2048;
  let ring, smooth;
  const window_ = Float64Array.from({ length: N }, (_, i) =>
    0.42 - 0.5 * Math.cos(2 * Math.PI * i / N) + 0.08 * Math.cos(4 * Math.PI * i / N));
  const analyser = { // as the Web Audio specification says
    fftSize: N, frequencyBinCount: N / 2, connect() {},
    getByteFrequencyData(out) {
      const re = Float64Array.from(ring, (x, i) => x * window_[i]);
      const im = new Float64Array(N);
      fft(re, im);
      for (let k = 0; k < N / 2; k++) {
        smooth[k] = 0.8 * smooth[k] + 0.2 * Math.hypot(re[k], im[k]) / N;
        const level = 20 * Math.log10(smooth[k] || 1e-12);
        out[k] = Math.max(0, Math.min(255, Math.floor(255 * (level + 100) / 70)));
      }
    },
  };
  globalThis.window = { AudioContext: class {
    constructor() { this.sampleRate = 48000; }
    createAnalyser() { return analyser; }
    resume() {}
  } };
  const { Lipsync } = await load("wawa-lipsync/dist/wawa-lipsync.es.js");
  return async () => {
    [ring, smooth] = [new Float32Array(N), new Float64Array(N / 2)];
    const lips = new Lipsync();
    const eased = [0, 0]; // its demo eases every shape by a fifth at each drawing
    return {
      feed: (quantum) => { ring.copyWithin(0, QUANTUM); ring.set(quantum, N - QUANTUM); },
      draw: () => {
        lips.processAudio();
        const viseme = lips.viseme.slice(7);
        [OPEN, ROUND].forEach((table, i) => (eased[i] += ((table[viseme] ?? 0) - eased[i]) * 0.2));
        return [...eased];
      },
    };
  };
}

function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let size = 2; size <= n; size <<= 1) {
    for (let k = 0; k < size / 2; k++) {
      const c = Math.cos(-2 * Math.PI * k / size), s = Math.sin(-2 * Math.PI * k / size);
      for (let i = k; i < n; i += size) {
        const j = i + size / 2;
        const x = re[j] * c - im[j] * s, y = re[j] * s + im[j] * c;
        re[j] = re[i] - x; im[j] = im[i] - y; re[i] += x; im[i] += y;
      }
    }
  }
}

async function whole(clip, rhubarb, curves) {
  const { mouthCues } = await rhubarb.getLipSync(Buffer.from(readWav(clip.wav16).pcm), {});
  for (const { start, end, value } of mouthCues) {
    for (let k = Math.round(start * 100); k < end * 100 && k < curves.open.length; k++) {
      curves.open[k] = SHAPES[value] ?? 0;
      curves.round[k] = ROUND_SHAPES[value] ?? 0;
    }
  }
}

function live(samples, system, curves) {
  let drawing = 0, cell = 0;
  for (let i = 0; i < samples.length; i += QUANTUM) {
    const quantum = new Float32Array(QUANTUM);
    quantum.set(samples.subarray(i, i + QUANTUM));
    clock = (i + QUANTUM) / 48000;
    system.feed(quantum);
    for (; drawing / DRAWINGS <= clock; drawing++) {
      const [open, round] = system.draw();
      for (; cell / 100 <= drawing / DRAWINGS && cell < curves.open.length; cell++) {
        [curves.open[cell], curves.round[cell]] = [open, round];
      }
    }
  }
}

let begin, rhubarb;
if (job.system === "rhubarb") {
  ({ Rhubarb: rhubarb } = await load("rhubarb-lip-sync-wasm/dist/index.js"));
  await rhubarb.getModule();
} else {
  begin = await { headaudio, wlipsync, wawa }[job.system]();
}
const found = {};
let seconds = 0, used = 0;
for (const clip of job.clips) {
  const { samples } = readWav(clip.wav48);
  const cells = Math.floor(samples.length / 480) + 1;
  const curves = { open: new Array(cells).fill(0), round: new Array(cells).fill(0) };
  clock = 0;
  const before = process.cpuUsage();
  if (rhubarb) await whole(clip, rhubarb, curves);
  else live(samples, await begin(), curves);
  const spent = process.cpuUsage(before);
  used += (spent.user + spent.system) / 1e6;
  seconds += samples.length / 48000;
  const short = (curve) => curve.map((value) => +value.toFixed(3));
  found[clip.id] = { open: short(curves.open), round: short(curves.round) };
  if (used > job.cpu_limit) break;
}
fs.writeFileSync(job.out, JSON.stringify({ clips: found, cpu_s: used, seconds }));
process.exit(0);
