// The page: a call to the pipeline over WebRTC, and the face that its voice has.

import { Renderer } from "./face/renderer.js";
import { Rig, readHead } from "./face/rig.js";
import { Follower, SoundClock } from "./follower.js";

const $ = (id) => document.getElementById(id);

async function call(onMessage) {
  const connection = new RTCPeerConnection();
  const channel = connection.createDataChannel("messages");
  channel.onmessage = ({ data }) => {
    const { type, data: inner } = JSON.parse(data);
    if (type === "server-message") onMessage(inner);
  };
  const { receiver } = connection.addTransceiver("audio", { direction: "sendrecv" });
  connection.addTransceiver("video", { direction: "sendrecv" }); // Pipecat looks for these two
  connection.addTransceiver("video", { direction: "sendrecv" });
  $("sound").srcObject = new MediaStream([receiver.track]);
  await connection.setLocalDescription(await connection.createOffer());
  await new Promise((resolve) => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
    if (connection.iceGatheringState === "complete") resolve();
  });
  const { sdp, type } = connection.localDescription;
  const response = await fetch("offer", { method: "POST", body: JSON.stringify({ sdp, type }) });
  if (!response.ok) throw new Error(await response.text());
  await connection.setRemoteDescription(await response.json());
  await new Promise((resolve) => (channel.onopen = resolve));
  return { connection, channel, receiver };
}

// ARKit's weights, by name, and the head's rotation as what the rig takes.
function poser(rig, { arkit, jaw_open: jaw, mouth_close: close }) {
  const { channels } = rig.head;
  const values = new Float32Array(channels.length + 6);
  const places = channels.map((name) => arkit.indexOf(name));
  const opening = arkit.indexOf("jawOpen");
  return ({ weights, rotation }) => {
    places.forEach((place, channel) => {
      const scale = channels[channel] === "mouthClose" ? jaw / close : 1;
      values[channel] = place < 0 ? 0 : scale * weights[place];
    });
    values.set(rotation, channels.length);
    values[channels.length + 3] = jaw * weights[opening];
    rig.pose(values);
  };
}

async function start() {
  const [head, look, names] = await Promise.all([
    fetch("head.bin").then((response) => response.arrayBuffer()),
    fetch("look.json").then((response) => response.json()),
    fetch("channels.json").then((response) => response.json()),
  ]);
  const rig = new Rig(readHead(head));
  const renderer = new Renderer($("face"), rig.head, look);
  const pose = poser(rig, names);
  let follower = null;
  const { channel, receiver } = await call((data) => follower?.take(data, performance.now()));
  follower = new Follower(new SoundClock(receiver));
  const page = { follower, receiver, channel, renderer, pose, drawn: null }; // for who watches the page
  const tell = (t, d) => {
    const message = { label: "rtvi-ai", type: "client-message", id: crypto.randomUUID(), data: { t, d } };
    channel.send(JSON.stringify(message));
  };
  page.say = (text) => tell("say", text);
  page.stop = () => tell("stop");
  $("say").addEventListener("submit", (event) => {
    event.preventDefault();
    page.say($("text").value);
  });
  $("stop").addEventListener("click", page.stop);
  let before = null;
  const draw = () => {
    requestAnimationFrame(draw);
    const shown = follower.at(performance.now());
    if (!renderer.resize() && shown === before) return;
    before = shown;
    pose(shown);
    renderer.draw(rig.drawn);
    page.drawn?.(shown, performance.now());
  };
  draw();
  window.posetalk = page;
}

start().catch((error) => {
  document.title = "No face";
  $("say").textContent = error.message;
});
