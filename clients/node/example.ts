import { PosetalkClient } from "./client.js";

const client = new PosetalkClient({ url: process.argv[2] ?? "ws://127.0.0.1:8765", set: "arkit52" });
client.on("hello", (hello) => console.log(`connected: head ${hello.head}, styles ${hello.styles.join(", ")}`));
client.on("frame", (frame) => console.log(frame.seconds.toFixed(2), "#".repeat(Math.round(60 * frame.get("jawOpen")))));
client.on("error", (error) => console.error(error.message));
client.on("lost", () => console.log("no connection"));
