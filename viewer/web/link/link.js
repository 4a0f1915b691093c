// The websocket: comes back when it was lost, knows the server's clock, hands on what arrives.

import { FLAME, PCM, PROTOCOL, RATE, parse } from "./wire.js";

const FIRST_WAIT = 0.25; // seconds
const LONGEST_WAIT = 4;
const PING_SECONDS = 1;
const PINGS = 10; // the quickest of so many tells the clocks' offset
const DEAD_SECONDS = 6; // nothing came for so long though we asked: a network that is no more

export class Link extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.wait = FIRST_WAIT;
    this.state = "connecting";
    this.hello = null;
    this.refusal = "";
    this.audio = false; // whether the sound is wanted, too
    this.connect();
    setInterval(() => this.ping(), 1000 * PING_SECONDS);
    // After sleep and on another network nobody waits for a timer.
    window.addEventListener("online", () => this.wake());
    window.addEventListener("pageshow", () => this.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
  }

  connect() {
    clearTimeout(this.later);
    this.pings = new Map();
    this.trips = [];
    this.startTime = null;
    this.hello = null;
    this.heard = this.asked = performance.now() / 1000;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.receive(event.data, performance.now() / 1000);
    socket.onclose = () => this.lost();
  }

  // A server that has ended may start again: it is asked now and then.
  lost() {
    if (this.state === "refused") return;
    // After an end it is lost where it does not answer; `hello` is the last connection's until then.
    const gone = this.state === "ended" && this.hello === null;
    if (this.state === "live" || gone) this.change("lost");
    clearTimeout(this.later);
    this.later = setTimeout(() => this.connect(), 1000 * this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
  }

  wake() {
    this.wait = FIRST_WAIT;
    if (this.state === "refused" || this.socket.readyState === WebSocket.CONNECTING) return;
    if (this.socket.readyState === WebSocket.OPEN) this.ping();
    else this.connect();
  }

  // Closing takes an answer, which a network that is gone does not bring: so nobody waits for it.
  drop() {
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.lost();
  }

  receive(data, arrival) {
    this.heard = arrival;
    try {
      if (typeof data === "string") this.obey(JSON.parse(data), arrival);
      else this.binary(parse(data), arrival);
    } catch (error) {
      this.refuse(`The server sent what this page cannot read: ${error.message}.`);
    }
  }

  binary(message, arrival) {
    if (message?.type === FLAME) this.tell("frame", { ...message, arrival });
    else if (message?.type === PCM) this.tell("audio", message);
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
      this.subscribe();
      this.change("live");
      this.ping();
    } else if (message.type === "pong") {
      const sent = this.pings.get(message.id);
      if (sent === undefined) return;
      this.pings.delete(message.id);
      this.trips.push({ trip: arrival - sent, offset: message.time - (arrival + sent) / 2 });
      if (this.trips.length > PINGS) this.trips.shift();
    } else if (message.type === "clock" || message.type === "opened") {
      this.startTime = message.time - message.sample / RATE;
    } else if (message.type === "end") {
      this.change("ended");
    } else if (message.type === "error" && message.fatal) {
      this.refuse(message.message);
    }
    this.tell(message.type, message);
  }

  subscribe() {
    this.send({ type: "subscribe", protocol: PROTOCOL, set: "flame", audio: this.audio });
  }

  // Have the sound as well, or no longer.
  wantAudio(wanted) {
    if (this.audio === wanted) return;
    this.audio = wanted;
    if (this.state === "live") this.subscribe();
  }

  // Seconds between the sound that `sample` (a frame's) is in the middle of, and a moment here;
  // null while unknown.
  latency(sample, moment) {
    if (this.startTime === null || !this.trips.length) return null;
    const best = this.trips.reduce((a, b) => (b.trip < a.trip ? b : a));
    return moment + best.offset - (this.startTime + (sample + 320) / RATE);
  }

  ping() {
    if (this.state !== "live" || this.socket.readyState !== WebSocket.OPEN) return;
    const now = performance.now() / 1000;
    if (this.asked > this.heard && now - this.asked > DEAD_SECONDS) {
      this.drop();
      return;
    }
    if (this.heard >= this.asked) this.asked = now;
    const id = Math.floor(Math.random() * 2 ** 31);
    if (this.pings.size > 2 * PINGS) this.pings.clear();
    this.pings.set(id, now);
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
