// The panel: its parts, and what the connection says.

import { Driver } from "./driver.js";
import { Figures } from "./figures.js";
import { Life } from "./life.js";
import { Listen } from "./listen.js";
import { Obs } from "./obs.js";
import { $, say } from "./page.js";
import { Presets } from "./presets.js";
import { Scene } from "./scene.js";
import { Shortcuts } from "./shortcuts.js";
import { Speak } from "./speak.js";
import { Strength } from "./strength.js";
import { Styles } from "./styles.js";
import { Take } from "./take.js";

const STATES = {
  connecting: "connecting",
  live: "connected",
  lost: "reconnecting",
  ended: "ended",
  refused: "refused",
};

export class Controls {
  constructor(link, face, speaker, choices, characters) {
    this.link = link;
    this.figures = new Figures(link, face);
    this.styles = new Styles(link);
    this.strength = new Strength(link);
    this.life = new Life(link);
    this.speak = new Speak(link, () => ({ style: this.styles.text, ...this.life.conditions }));
    this.driver = new Driver(link, this.speak);
    this.presets = new Presets(link, this.speak);
    this.listen = new Listen(link, speaker, this.speak, choices);
    this.scene = new Scene(face, choices, characters);
    this.take = new Take(face, speaker, this.listen);
    this.obs = new Obs(link, this.figures, choices, this.driver);
    this.shortcuts = new Shortcuts([
      ["m", "microphone on and off", () => $("microphone").click()],
      ["s", "sound on and off", () => $("sound").click()],
      ["r", "record, and stop", () => $("record").click()],
      ["p", "picture: a screenshot", () => $("screenshot").click()],
      ["o", "for OBS: the face alone", () => $("obs").click()],
      ["c", "camera: head, bust, profile", () => this.scene.nextCamera()],
      ["b", "background", () => this.scene.nextBackground()],
      ["x", "mirror", () => $("mirror").click()],
      ["f", "full screen", () => fullScreen()],
      ["h", "hide and show the panel", () => document.body.classList.toggle("bare")],
      ["?", "this list", () => this.shortcuts.show()],
      ["Arrows", "look round, on the face; choose, on chips", null],
      ["+ −", "closer, farther", null],
      ["Home", "the camera as it was", null],
    ]);
    $("bare").addEventListener("click", () => document.body.classList.remove("bare"));
    link.addEventListener("state", () => this.showState());
    link.addEventListener("hello", () => say(""));
    link.addEventListener("error", ({ detail }) => {
      if (!this.speak.refused(detail) && !detail.fatal) say(detail.message, 6);
    });
    this.showState();
  }

  showState() {
    const { state } = this.link;
    $("state").dataset.state = state;
    $("state").textContent = STATES[state];
    if (state === "refused") say(this.link.refusal);
    else if (state === "ended") say("The stream has ended; waiting for the next.");
    else if (state === "lost") say("The connection was lost; trying to come back.");
  }
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => say("No full screen here.", 4));
}
