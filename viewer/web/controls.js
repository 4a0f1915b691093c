// The panel: connection and latency, styles and their mix, strengths, the microphone.

import { Microphone } from "./microphone.js";
import { pcmMessage } from "./wire.js";

const $ = (id) => document.getElementById(id);
const STATES = {
  connecting: "connecting",
  live: "connected",
  lost: "reconnecting",
  ended: "ended",
  refused: "refused",
};
const RECENT = 75; // frames: three seconds
const SEND_SECONDS = 0.08; // a slider that is dragged says so at most that often

export class Controls {
  constructor(link, face, say) {
    this.link = link;
    this.face = face;
    this.say = say;
    this.arrivals = [];
    this.latencies = [];
    this.missed = 0;
    this.microphone = null;
    this.sent = 0; // samples of the microphone
    this.later = new Map();
    link.addEventListener("state", () => this.showState());
    link.addEventListener("hello", ({ detail }) => this.greet(detail));
    link.addEventListener("frame", ({ detail }) => this.count(detail));
    // What the server answers to the beginning of a drag must not move the slider back.
    link.addEventListener("style", ({ detail }) => {
      if (!this.later.has("style")) this.showStyle(detail.name);
    });
    link.addEventListener("guidance", ({ detail }) => {
      if (!this.later.has("guidance")) this.showGuidance(detail);
    });
    link.addEventListener("opened", ({ detail }) => this.opened(detail));
    link.addEventListener("closed", ({ detail }) => this.closed(detail));
    link.addEventListener("error", ({ detail }) => this.refused(detail));
    setInterval(() => this.showFigures(), 500);
    this.listen();
    this.showState();
  }

  listen() {
    $("microphone").addEventListener("click", () => this.toggleMicrophone());
    $("second").addEventListener("change", () => this.sendStyle());
    $("share").addEventListener("input", () => this.soon("style", () => this.sendStyle()));
    for (const id of ["audio", "style"]) {
      $(id).addEventListener("input", () => {
        $(`${id}-value`).textContent = Number($(id).value).toFixed(2);
        this.soon("guidance", () => this.sendGuidance());
      });
    }
    $("reset").addEventListener("click", () => {
      if (!this.first) return;
      this.showGuidance({ audio_guidance: this.first.audio, style_guidance: this.first.style });
      this.sendGuidance();
    });
  }

  // Do it now and then again at the end of a burst, not for every step of a slider.
  soon(name, action) {
    if (this.later.has(name)) {
      this.later.set(name, action);
      return;
    }
    action();
    this.later.set(name, null);
    setTimeout(() => {
      const last = this.later.get(name);
      this.later.delete(name);
      last?.();
    }, 1000 * SEND_SECONDS);
  }

  greet(hello) {
    const accepts = hello.accepts ?? [];
    this.accepts = accepts;
    this.last = null;
    this.stopMicrophone();
    this.say("");
    $("speak").hidden = !accepts.includes("audio") && !accepts.includes("open");
    $("style-section").hidden = !accepts.includes("style") || hello.styles.length < 2;
    $("guidance-section").hidden = !accepts.includes("guidance") || !hello.guidance;
    this.listStyles(hello.styles);
    this.showStyle(hello.style);
    if (hello.guidance) {
      this.first ??= hello.guidance;
      this.showGuidance({
        audio_guidance: hello.guidance.audio,
        style_guidance: hello.guidance.style,
      });
    }
  }

  // Figures

  count(frame) {
    if (this.last !== null && frame.sequence > this.last + 1) {
      this.missed += frame.sequence - this.last - 1;
    }
    this.last = frame.sequence;
    this.arrivals.push(frame.arrival);
    if (this.arrivals.length > 2 * RECENT) this.arrivals.shift();
    const latency = this.link.latency(frame.sample, frame.arrival);
    if (latency !== null) this.latencies.push(latency);
    if (this.latencies.length > RECENT) this.latencies.shift();
  }

  get latency() {
    const ordered = [...this.latencies].sort((a, b) => a - b);
    return ordered.length ? ordered[Math.floor(ordered.length / 2)] : null;
  }

  showFigures() {
    const now = performance.now() / 1000;
    const recent = this.arrivals.filter((arrival) => arrival > now - 2).length / 2;
    const live = this.link.state === "live" && recent > 0;
    const latency = this.latency;
    $("latency").textContent = live && latency !== null ? milliseconds(latency) : "–";
    $("delay").textContent = live ? milliseconds(this.face.playout.delay) : "–";
    $("rate").textContent = this.link.state === "live" ? Math.round(recent) : "–";
  }

  showState() {
    const { state } = this.link;
    $("state").dataset.state = state;
    $("state").textContent = STATES[state];
    if (state === "refused") this.say(this.link.refusal);
    else if (state === "ended") this.say("The server has ended the stream.");
    else if (state === "lost") this.say("The connection was lost; trying to come back.");
    $("microphone").disabled = state !== "live";
    if (state !== "live") {
      this.stopMicrophone();
      this.latencies = [];
    }
  }

  refused(error) {
    if (this.microphone) {
      if (error.code === "audio_full") return; // the next block may fit again
      if (!this.ready) this.own = false; // there is no session to close
      this.stopMicrophone();
      this.microphoneHint(error.message, true);
    } else if (!error.fatal) {
      this.say(error.message);
      setTimeout(() => this.say(""), 6000);
    }
  }

  // Style

  listStyles(names) {
    $("styles").replaceChildren(
      ...names.map((name) => {
        const chip = document.createElement("button");
        chip.type = "button";
        chip.role = "radio";
        chip.textContent = chip.dataset.name = name;
        chip.addEventListener("click", () => {
          this.chosen = name;
          this.sendStyle();
        });
        return chip;
      }),
    );
    $("second").replaceChildren(new Option("nothing", ""), ...names.map((name) => new Option(name)));
  }

  // `text` is a name, or names with shares: calm*0.7+lively*0.3.
  showStyle(text) {
    const parts = text.split("+").map((part) => {
      const [name, share] = part.split("*");
      return { name: name.trim(), share: share === undefined ? 1 : Number(share) };
    });
    this.chosen = parts[0].name;
    for (const chip of $("styles").children) {
      chip.setAttribute("aria-checked", String(chip.dataset.name === this.chosen));
    }
    if (document.activeElement === $("share")) return;
    $("second").value = parts.length > 1 ? parts[1].name : "";
    if (parts.length > 1) $("share").value = Math.round(100 * parts[1].share);
    this.showShare();
  }

  showShare() {
    const mixed = $("second").value !== "";
    $("share").disabled = !mixed;
    $("share-value").textContent = mixed ? `${$("share").value} %` : "–";
  }

  sendStyle() {
    this.showShare();
    this.link.send({ type: "style", name: this.styleText() });
  }

  styleText() {
    const second = $("second").value;
    const share = Number($("share").value) / 100;
    if (!second || second === this.chosen || share === 0) return this.chosen;
    return `${this.chosen}*${(1 - share).toFixed(2)}+${second}*${share.toFixed(2)}`;
  }

  // Strength

  showGuidance({ audio_guidance: audio, style_guidance: style }) {
    for (const [id, value] of [
      ["audio", audio],
      ["style", style],
    ]) {
      if (typeof value !== "number" || document.activeElement === $(id)) continue;
      $(id).value = value;
      $(`${id}-value`).textContent = value.toFixed(2);
    }
  }

  sendGuidance() {
    this.link.send({
      type: "guidance",
      audio_guidance: Number($("audio").value),
      style_guidance: Number($("style").value),
    });
  }

  // Microphone

  async toggleMicrophone() {
    if (this.microphone) {
      this.stopMicrophone();
      return;
    }
    $("microphone").disabled = true;
    const microphone = new Microphone((samples) => this.hear(samples));
    try {
      await microphone.start();
      this.microphone = microphone;
      this.begin();
    } catch (error) {
      await microphone.stop();
      this.microphoneHint(error.message, true);
    }
    $("microphone").disabled = this.link.state !== "live";
  }

  // Speech goes to the face that everybody sees, where the server listens; else to one of our own.
  begin() {
    this.sent = 0;
    this.ready = this.accepts.includes("audio");
    this.own = !this.ready;
    this.link.send({ type: "audio_format", sample_rate: this.microphone.rate });
    if (this.own) {
      this.link.send({ type: "open", protocol: 1, style: this.styleText(), pace: "live" });
    }
    $("microphone").setAttribute("aria-pressed", "true");
    $("microphone-text").textContent = "Stop";
    this.microphoneHint("Listening: speak, and the face speaks with you.", false);
  }

  hear(samples) {
    if (!this.microphone) return;
    let most = 0;
    for (const sample of samples) most = Math.max(most, Math.abs(sample));
    $("level").style.transform = `scaleX(${Math.min(1, Math.sqrt(most))})`;
    if (!this.ready) return;
    this.link.send(pcmMessage(samples, Math.floor(this.sent / samples.length), this.sent));
    this.sent += samples.length;
  }

  opened() {
    this.ready = true;
    this.last = null;
    this.latencies = [];
  }

  closed() {
    this.last = null;
    this.latencies = [];
    if (this.own) this.stopMicrophone();
  }

  stopMicrophone() {
    if (!this.microphone) return;
    this.microphone.stop();
    this.microphone = null;
    if (this.own) this.link.send({ type: "close" });
    this.own = false;
    $("level").style.transform = "scaleX(0)";
    $("microphone").setAttribute("aria-pressed", "false");
    $("microphone-text").textContent = "Speak with my microphone";
    this.microphoneHint("Your voice goes to this server only, and is not played or kept.", false);
  }

  microphoneHint(text, bad) {
    $("microphone-hint").textContent = text;
    $("microphone-hint").classList.toggle("bad", bad);
  }
}

function milliseconds(seconds) {
  return seconds < 10 ? String(Math.round(1000 * seconds)) : "9999+";
}
