// The page: a face that follows the frames, and the controls round it.

import { Controls } from "./controls.js";
import { Link } from "./link.js";
import { Playout } from "./playout.js";
import { Renderer } from "./renderer.js";
import { Rig, readHead } from "./rig.js";
import { look } from "./orbit.js";

const HOLD_SECONDS = 0.6; // a face without frames holds still that long, then comes to rest
const REST_SECONDS = 0.7;
const SLOW_SECONDS = 0.045; // between two pictures: the screen could show more
const COARSEST = 0.5;

const $ = (id) => document.getElementById(id);
// The server has made a cookie of a token in the address: it must stand there no longer.
if (location.search) history.replaceState(null, "", location.pathname);

class Face {
  constructor(rig, renderer) {
    this.rig = rig;
    this.renderer = renderer;
    this.playout = new Playout();
    this.stale = true;
    this.shown = 0; // pictures drawn
    this.last = null;
    this.values = new Float32Array(rig.channels + 6);
    this.pace = 0.016; // seconds between pictures, of late
    this.before = null;
  }

  tick(now) {
    this.mind(now / 1000);
    const at = this.playout.at(performance.now() / 1000);
    if (at && at.age < HOLD_SECONDS + REST_SECONDS + 0.2) this.show(at);
    if (this.renderer.resize() || this.stale) {
      this.renderer.draw(this.rig.drawn);
      this.stale = false;
      this.shown += 1;
    }
    requestAnimationFrame((next) => this.tick(next));
  }

  // A device that draws too slowly draws fewer pixels.
  mind(now) {
    const took = this.before === null ? 0 : now - this.before;
    this.before = now;
    if (!took || took > 0.5) return; // the page was out of sight
    this.pace += 0.05 * (took - this.pace);
    if (this.pace > SLOW_SECONDS && this.renderer.fineness > COARSEST) {
      this.renderer.fineness = Math.max(COARSEST, 0.8 * this.renderer.fineness);
      this.pace = 0.016;
    }
  }

  show({ values, sample, age }) {
    const left = 1 - Math.min(1, Math.max(0, (age - HOLD_SECONDS) / REST_SECONDS));
    const eased = left * left * (3 - 2 * left);
    if (values === this.last && left === 1) return;
    this.last = values;
    this.sample = sample;
    for (let k = 0; k < this.values.length; k++) this.values[k] = eased * values[k];
    this.rig.pose(this.values);
    this.stale = true;
  }
}

async function load(name) {
  const response = await fetch(name);
  if (response.status === 401) throw new TokenWanted();
  if (!response.ok) throw new Error(`The server has no ${name} (${response.status}).`);
  return response;
}

class TokenWanted extends Error {}

function askForToken() {
  $("token-form").hidden = false;
  $("token").focus();
  $("token-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = { Authorization: `Bearer ${$("token").value}` };
    const response = await fetch("head.bin", { headers }); // answered with the page's cookie
    if (response.ok) location.reload();
    else if (response.status === 401) say("That is not the token.");
    else say((await response.text()).trim() || `The server refused (${response.status}).`);
  });
}

function say(sentence) {
  $("notice").textContent = sentence;
  $("notice").hidden = !sentence;
}

async function start() {
  const [head, shaders] = await Promise.all([
    load("head.bin").then((response) => response.arrayBuffer()),
    load("look.json").then((response) => response.json()),
  ]);
  const rig = new Rig(readHead(head));
  const canvas = $("face");
  const face = new Face(rig, new Renderer(canvas, rig.head, shaders));
  look(canvas, face);
  canvas.addEventListener("webglcontextlost", () => location.reload());
  requestAnimationFrame((now) => face.tick(now));

  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const link = new Link(`${scheme}://${location.host}/`);
  const controls = new Controls(link, face, say);
  for (const restart of ["hello", "opened", "closed"]) {
    link.addEventListener(restart, () => face.playout.reset());
  }
  link.addEventListener("hello", ({ detail }) => {
    if (detail.head !== rig.head.id) location.reload(); // another server on this port by now
  });
  link.addEventListener("source", ({ detail }) => {
    say(detail.state === "ok" ? "" : `${detail.message}: silence until it is back.`);
  });
  link.addEventListener("interrupted", ({ detail }) => face.playout.cut(detail.sample));
  link.addEventListener("frame", ({ detail }) => {
    if (detail.values.length === face.values.length) {
      face.playout.push(detail.sample, detail.values, detail.arrival);
    }
  });
  window.posetalk = { link, face, controls };
}

start().catch((error) => {
  if (error instanceof TokenWanted) askForToken();
  else say(`${error.message} Reload the page to try again.`);
});
