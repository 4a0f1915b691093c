// Speaking through the page's microphone, and its level.

import { Level } from "../sound/level.js";
import { Microphone } from "../sound/microphone.js";
import { pcmMessage } from "../link/wire.js";
import { $ } from "./page.js";

const IDLE = "Your voice goes to this server only, and is not played or kept.";
const OFFER = "Speak with my microphone";
const AWAY = "As soon as the server answers.";
const ASKING = "The browser asks whether this page may hear you: allow it.";
const LISTENING = "Listening: speak, and the face speaks with you.";
const ANEW = "opened again"; // what the server says of a session that gives way to the next
const QUIET = "Too quiet: come closer, or turn the microphone up.";
const CLIPS = "Too loud, it clips: turn the microphone down.";
const WORDS = { low: ", too low", clips: ", it clips" };

export class Speak extends EventTarget {
  // `conditions()` are the style and the life that a face of one's own begins with.
  constructor(link, conditions) {
    super();
    this.link = link;
    this.conditions = conditions;
    this.accepts = [];
    this.preset = null; // how soon a face of one's own speaks; null: as the server has it
    this.microphone = null;
    this.level = new Level();
    this.sent = 0; // samples of the microphone
    $("microphone").addEventListener("click", () => this.toggle());
    link.addEventListener("hello", ({ detail }) => this.greet(detail));
    link.addEventListener("state", () => this.state());
    link.addEventListener("opened", () => (this.ready = true));
    link.addEventListener("closed", ({ detail }) => this.own && detail.reason !== ANEW && this.stop());
    link.addEventListener("level", ({ detail }) => {
      if (!this.microphone) this.showLevel(detail.decibels, detail.state);
    });
    this.state();
  }

  greet(hello) {
    this.accepts = hello.accepts ?? [];
    this.stop();
    this.hint(IDLE, false);
    this.showLevel(null, "silent");
    $("speak").hidden = !this.accepts.includes("audio") && !this.accepts.includes("open");
  }

  state() {
    const live = this.link.state === "live";
    $("microphone").disabled = !live;
    if (live) return;
    this.stop();
    this.showLevel(null, "silent");
    this.hint(AWAY, false);
  }

  // The button stays enabled meanwhile: one that is not loses the keyboard's focus.
  async toggle() {
    if (this.microphone) {
      this.stop();
      return;
    }
    if (this.starting) return;
    this.starting = true;
    $("microphone-text").textContent = "Starting …";
    this.hint(ASKING, false);
    const microphone = new Microphone((samples) => this.hear(samples));
    try {
      await microphone.start();
      if (this.link.state !== "live") throw new Error("The connection was lost meanwhile.");
      this.microphone = microphone;
      this.begin();
    } catch (error) {
      await microphone.stop();
      $("microphone-text").textContent = OFFER;
      this.hint(error.message, true);
    }
    this.starting = false;
  }

  // Speak by this preset from now on; one that is not the server's takes a face of one's own.
  time(preset) {
    this.preset = preset;
    if (!this.microphone) return;
    if (this.own && preset === null && this.accepts.includes("audio")) {
      this.own = false; // or what it says of its end would stop the microphone
      this.link.send({ type: "close" });
    }
    this.begin();
  }

  // Speech goes to the face that everybody sees, where the server listens; else to one of our own.
  begin() {
    this.sent = 0;
    this.level = new Level();
    this.ready = this.accepts.includes("audio") && this.preset === null;
    this.own = !this.ready;
    this.link.send({ type: "audio_format", sample_rate: this.microphone.rate });
    if (this.own) {
      const request = { type: "open", protocol: 1, ...this.conditions(), pace: "live" };
      this.link.send(this.preset === null ? request : { ...request, preset: this.preset });
    }
    $("microphone").setAttribute("aria-pressed", "true");
    $("microphone-text").textContent = "Stop";
    this.hint(LISTENING, false);
    this.dispatchEvent(new Event("change"));
  }

  hear(samples) {
    if (!this.microphone) return;
    this.level.hear(samples, this.microphone.rate);
    $("level").style.transform = `scaleX(${this.level.share})`;
    $("meter").setAttribute("aria-valuenow", String(Math.round(100 * this.level.share)));
    const { decibels, quiet, state } = this.level;
    const clips = state === "clips";
    this.hint(clips ? CLIPS : quiet ? QUIET : LISTENING, clips || quiet);
    this.showLevel(decibels, state);
    if (!this.ready) return;
    this.link.send(pcmMessage(samples, Math.floor(this.sent / samples.length), this.sent));
    this.sent += samples.length;
  }

  // The server would not have it; false where that is not about the microphone.
  refused(error) {
    if (!this.microphone) return false;
    if (error.code === "audio_full") return true; // the next block may fit again
    if (!this.ready) this.own = false; // there is no session to close
    this.stop();
    this.hint(error.message, true);
    return true;
  }

  stop() {
    if (!this.microphone) return;
    this.microphone.stop();
    this.microphone = null;
    if (this.own) this.link.send({ type: "close" });
    this.own = false;
    this.showLevel(null, "silent");
    $("level").style.transform = "scaleX(0)";
    $("meter").setAttribute("aria-valuenow", "0");
    $("microphone").setAttribute("aria-pressed", "false");
    $("microphone-text").textContent = OFFER;
    this.hint(IDLE, false);
    this.dispatchEvent(new Event("change"));
  }

  // The level of the speech that drives the face: this page's microphone, or what the server hears.
  showLevel(decibels, state) {
    const shown = $("speech-level");
    shown.hidden = decibels === null;
    const text = shown.hidden ? "" : `Speech at ${Math.round(decibels)} dBFS${WORDS[state] ?? ""}`;
    if (shown.textContent !== text) shown.textContent = text;
    shown.classList.toggle("bad", state in WORDS);
  }

  hint(text, bad) {
    const hint = $("microphone-hint");
    if (hint.textContent !== text) hint.textContent = text;
    hint.classList.toggle("bad", bad);
  }
}
