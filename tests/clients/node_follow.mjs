// Follows a server through a restart, pushes sound, and reports as JSON lines: node_follow.mjs DIST URL [TOKEN]
import { pathToFileURL } from "node:url";

const [dist, url, token] = process.argv.slice(2);
const { PosetalkClient } = await import(pathToFileURL(`${dist}/client.js`));
const client = new PosetalkClient({ url, set: "arkit52", audio: true, ...(token ? { token } : {}) });
const say = (value) => console.log(JSON.stringify(value));
let frames = 0;
let widest = 0;
let heard = 0;

client.on("hello", (hello) => {
  say({ event: "hello", head: hello.head, channels: hello.channels.arkit52.length });
  client.open({ seed: 5 });
});
client.on("sound", (_sample, samples) => (heard += samples.length));
client.on("frame", (frame) => {
  frames += 1;
  widest = Math.max(widest, frame.get("jawOpen"));
  if (frames === 25) {
    say({ event: "frames", widest, heard, seconds: frame.seconds, count: Object.keys(frame.byName()).length });
    client.style("opera");
  }
});
client.on("text", (text) => {
  if (text.type === "interrupted") say({ event: "interrupted" });
  if (text.type !== "opened") return;
  frames = widest = heard = 0;
  client.push(Float32Array.from({ length: 48000 }, () => Math.random() - 0.5), 48000);
});
client.on("error", (error) => {
  say({ event: "error", code: error.code });
  if (error.code === "no_such_style") client.interrupt();
});
client.on("lost", () => say({ event: "lost" }));
client.on("end", () => say({ event: "end" }));
