// Reads the golden bytes with the Node client: node node_golden.mjs DIST FOLDER
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [dist, folder] = process.argv.slice(2);
const { decode, encodeSound, parseText, WireError } = await import(pathToFileURL(`${dist}/wire.js`));
const manifest = JSON.parse(readFileSync(`${folder}/manifest.json`, "utf8"));
const kinds = { 1: "flame", 2: "arkit52", 3: "vertices" };
let checked = 0;

function expect(condition, name, what) {
  if (!condition) throw new Error(`${name}: ${what}`);
}

for (const [name, wanted] of Object.entries(manifest)) {
  const bytes = new Uint8Array(readFileSync(`${folder}/${name}`));
  const text = name.endsWith(".json");
  const read = () => (text ? parseText(new TextDecoder().decode(bytes)) : decode(bytes));
  if (wanted.error === "field") continue; // this client trusts the fields of its server
  checked += 1;
  if (wanted.error) {
    let code = "nothing";
    try { read(); } catch (error) { if (!(error instanceof WireError)) throw error; code = error.code; }
    expect(code === wanted.error, name, `${code} instead of ${wanted.error}`);
  } else if (wanted.skip) {
    const message = read();
    expect(message === null || message.kind === "unknown", name, "not skipped");
  } else if (text) {
    const message = read();
    const known = new Set(["subscribe", "audio_format", "interrupt", "ping", "open", "flush", "close"]);
    if (message === null) expect(known.has(wanted.text.type), name, "not read"); // a client's own
    else for (const [key, value] of Object.entries(wanted.text)) {
      expect(JSON.stringify(message[key]) === JSON.stringify(value), name, key);
    }
  } else {
    const message = read();
    const values = message.values ?? message.corners ?? message.samples;
    const scale = wanted.type === 16 && wanted.flags & 1 ? 32768 : 1;
    expect(values.length === wanted.values.length, name, "length");
    wanted.values.forEach((value, i) => expect(values[i] * scale === value, name, `value ${i}`));
    expect((message.sample ?? message.first) === wanted.sample, name, "sample");
    expect(message.sequence === wanted.sequence, name, "sequence");
    if (kinds[wanted.type]) expect(message.set === kinds[wanted.type], name, "set");
  }
}
const again = decode(encodeSound(new Int16Array([0, 16384, -32768]), 9));
expect(again.kind === "sound" && again.sequence === 9 && again.samples[1] === 0.5 && again.samples[2] === -1, "pcm", "own");
console.log(`checked ${checked}`);
