// Films and screenshots of what is seen.

import { Composer } from "../capture/composer.js";
import { Film } from "../capture/film.js";
import { save } from "../capture/save.js";
import { $, say } from "./page.js";

export class Take {
  constructor(face, speaker, listen) {
    Object.assign(this, { face, speaker, listen });
    this.film = null;
    this.saved = null; // the last file, for who looks after us
    $("record").addEventListener("click", () => this.record());
    $("screenshot").addEventListener("click", () => this.screenshot());
  }

  async record() {
    if (this.busy) return;
    this.busy = true;
    try {
      if (this.film) await this.stop();
      else await this.begin();
    } catch (error) {
      say(error.message, 8);
      this.film = null;
      this.listen.filming = false;
      await this.listen.update();
    }
    this.busy = false;
    this.show();
  }

  async begin() {
    await this.speaker.start();
    this.listen.filming = true;
    await this.listen.update();
    this.film = new Film(this.face, this.speaker, (sentence) => this.broken(sentence));
    this.ticking = setInterval(() => this.show(), 500);
  }

  // What was recorded until then is saved.
  async broken(sentence) {
    if (!this.film) return;
    await this.record();
    say(`${sentence} ${$("notice").textContent}`, 12);
  }

  async stop() {
    clearInterval(this.ticking);
    const { film } = this;
    this.film = null;
    this.listen.filming = false;
    await this.listen.update();
    this.saved = await film.stop();
    say(`Saved ${save(this.saved, "webm")}.`, 6);
  }

  show() {
    $("record").setAttribute("aria-pressed", String(this.film !== null));
    $("record-text").textContent = this.film ? `Stop ${clock(this.film.seconds)}` : "Record";
  }

  async screenshot() {
    const composer = new Composer();
    this.face.renderer.draw(this.face.rig.drawn);
    composer.draw(this.face.renderer.canvas);
    this.picture = await new Promise((done) => composer.canvas.toBlob(done, "image/png"));
    say(`Saved ${save(this.picture, "png")}.`, 4);
  }
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
