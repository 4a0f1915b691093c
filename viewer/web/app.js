// The page: a face that follows the frames, and the controls round it.

import { Face } from "./face/face.js";
import { look } from "./face/orbit.js";
import { Renderer } from "./face/renderer.js";
import { Rig, readHead } from "./face/rig.js";
import { Link } from "./link/link.js";
import { Choices } from "./panel/choices.js";
import { Controls } from "./panel/controls.js";
import { $, say } from "./panel/page.js";
import { Speaker } from "./sound/speaker.js";

const choices = new Choices(location.search);
document.body.classList.toggle("clean", choices.clean);
// The server has made a cookie of a token in the address: it must stand there no longer.
const query = new URLSearchParams(location.search);
if (query.has("token")) {
  query.delete("token");
  const left = query.toString().replaceAll("=&", "&").replace(/=$/, "");
  history.replaceState(null, "", location.pathname + (left && `?${left}`));
}

const TRIES = 4;
const AGAIN_SECONDS = 1; // and longer each time

async function load(name) {
  const response = await reach(name);
  if (response.status === 401) throw new TokenWanted();
  if (!response.ok) throw new Error(`The server has no ${name} (${response.status}).`);
  return response;
}

// A server that is busy, or a network that is changing, may cut a first answer off.
async function reach(name) {
  for (let tried = 1; ; tried++) {
    try {
      return await fetch(name);
    } catch (error) {
      if (tried === TRIES) throw new Error(`The server does not answer (${name}: ${error.message}).`);
      await new Promise((done) => setTimeout(done, 1000 * AGAIN_SECONDS * tried));
    }
  }
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

async function start() {
  const [head, shaders, characters] = await Promise.all([
    load("head.bin").then((response) => response.arrayBuffer()),
    load("look.json").then((response) => response.json()),
    load("characters.json").then((response) => response.json()),
  ]);
  const rig = new Rig(readHead(head));
  const own = rig.head.id;
  const canvas = $("face");
  const face = new Face(rig, new Renderer(canvas, rig.head, shaders));
  look(canvas, face);
  canvas.addEventListener("webglcontextlost", () => location.reload());
  requestAnimationFrame((now) => face.tick(now));

  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const link = new Link(`${scheme}://${location.host}/`);
  const speaker = new Speaker(face.playout);
  const controls = new Controls(link, face, speaker, choices, characters);
  for (const restart of ["hello", "opened", "closed"]) {
    link.addEventListener(restart, () => face.playout.reset());
  }
  link.addEventListener("hello", ({ detail }) => {
    if (detail.head !== own) location.reload(); // another server on this port by now
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
  window.posetalk = { link, face, speaker, controls };
}

start().catch((error) => {
  if (error instanceof TokenWanted) {
    askForToken();
    return;
  }
  $("state").dataset.state = "refused";
  $("state").textContent = "no picture";
  say(`${error.message} Reload the page to try again.`);
});
