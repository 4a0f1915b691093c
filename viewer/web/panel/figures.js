// What is measured here: from the sound to the picture drawn, and what arrives.

import { $ } from "./page.js";

const RECENT = 75; // pictures: some seconds
const SHOWN_SECONDS = 0.5;

export class Figures extends EventTarget {
  constructor(link, face) {
    super();
    this.link = link;
    this.face = face;
    this.arrivals = [];
    this.missed = 0;
    this.restart();
    link.addEventListener("frame", ({ detail }) => this.count(detail));
    for (const name of ["hello", "opened", "closed"]) {
      link.addEventListener(name, () => this.restart());
    }
    link.addEventListener("state", () => link.state === "live" || this.restart());
    face.taps.add((canvas, at, drawn) => this.drawn(at, drawn));
    setInterval(() => this.show(), 1000 * SHOWN_SECONDS);
  }

  restart() {
    this.last = null;
    this.latencies = [];
  }

  count(frame) {
    if (this.last !== null && frame.sequence > this.last + 1) {
      this.missed += frame.sequence - this.last - 1;
    }
    this.last = frame.sequence;
    this.arrivals.push(frame.arrival);
    if (this.arrivals.length > 2 * RECENT) this.arrivals.shift();
  }

  // A picture is drawn: how long ago was the sound that it belongs to?
  drawn(at, moment) {
    const latency = at && this.link.latency(at.time, moment);
    if (latency === null) return;
    this.latencies.push(latency);
    if (this.latencies.length > RECENT) this.latencies.shift();
  }

  // The middle one of late, in seconds; null where nothing moves.
  get latency() {
    const ordered = [...this.latencies].sort((a, b) => a - b);
    return ordered.length ? ordered[Math.floor(ordered.length / 2)] : null;
  }

  show() {
    const now = performance.now() / 1000;
    const recent = this.arrivals.filter((arrival) => arrival > now - 2).length / 2;
    const live = this.link.state === "live" && recent > 0;
    const { latency } = this;
    $("latency").textContent = live && latency !== null ? milliseconds(latency) : "–";
    $("delay").textContent = live ? milliseconds(this.face.playout.delay) : "–";
    $("rate").textContent = this.link.state === "live" ? Math.round(recent) : "–";
    this.dispatchEvent(new Event("shown"));
  }
}

function milliseconds(seconds) {
  return seconds < 10 ? String(Math.round(1000 * seconds)) : "9999+";
}
