// The websocket: comes back when it was lost, knows the server's clock, hands on what arrives.

import { FLAME, PROTOCOL, parse } from "./wire.js";

const FIRST_WAIT = 0.25; // seconds
const LONGEST_WAIT = 4;
const PING_SECONDS = 1;
const PINGS = 10; // the quickest of so many tells the clocks' offset

export class Link extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.wait = FIRST_WAIT;
    this.state = "connecting";
    this.hello = null;
    this.refusal = "";
    this.connect();
    setInterval(() => this.ping(), 1000 * PING_SECONDS);
  }

  connect() {
    this.pings = new Map();
    this.trips = [];
    this.startTime = null;
    this.hello = null;
    this.socket = new WebSocket(this.url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.receive(event.data, performance.now() / 1000);
    this.socket.onclose = () => this.lost();
  }

  lost() {
    if (this.state === "ended" || this.state === "refused") return;
    this.change(this.state === "live" ? "lost" : this.state);
    setTimeout(() => this.connect(), 1000 * this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
  }

  receive(data, arrival) {
    try {
      if (typeof data === "string") this.obey(JSON.parse(data), arrival);
      else this.frame(parse(data), arrival);
    } catch (error) {
      this.refuse(`The server sent what this page cannot read: ${error.message}.`);
    }
  }

  frame(message, arrival) {
    if (!message || message.type !== FLAME) return;
    this.tell("frame", { ...message, arrival });
  }

  obey(message, arrival) {
    if (message.type === "hello") {
      if (message.protocol !== PROTOCOL) {
        this.refuse(`The server speaks protocol ${message.protocol}, this page ${PROTOCOL}.`);
        return;
      }
      this.hello = message;
      this.startTime = message.start_time;
      this.wait = FIRST_WAIT;
      this.send({ type: "subscribe", protocol: PROTOCOL, set: "flame" });
      this.change("live");
      this.ping();
    } else if (message.type === "pong") {
      const sent = this.pings.get(message.id);
      if (sent === undefined) return;
      this.pings.delete(message.id);
      this.trips.push({ trip: arrival - sent, offset: message.time - (arrival + sent) / 2 });
      if (this.trips.length > PINGS) this.trips.shift();
    } else if (message.type === "clock") {
      this.startTime = message.time - message.sample / 16000;
    } else if (message.type === "opened") {
      this.startTime = message.time - message.sample / 16000;
    } else if (message.type === "end") {
      this.change("ended");
    } else if (message.type === "error" && message.fatal) {
      this.refuse(message.message);
    }
    this.tell(message.type, message);
  }

  // Seconds between the middle of a frame's sound and its arrival here; null while unknown.
  latency(sample, arrival) {
    if (this.startTime === null || !this.trips.length) return null;
    const best = this.trips.reduce((a, b) => (b.trip < a.trip ? b : a));
    return arrival + best.offset - (this.startTime + (sample + 320) / 16000);
  }

  ping() {
    if (this.state !== "live" || this.socket.readyState !== WebSocket.OPEN) return;
    const id = Math.floor(Math.random() * 2 ** 31);
    if (this.pings.size > 2 * PINGS) this.pings.clear();
    this.pings.set(id, performance.now() / 1000);
    this.send({ type: "ping", id });
  }

  send(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
  }

  refuse(sentence) {
    this.refusal = sentence;
    this.change("refused");
    this.socket.close();
  }

  change(state) {
    this.state = state;
    this.tell("state", state);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
