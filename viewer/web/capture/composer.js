// The face with its mark, as a canvas: what is recorded, and what a screenshot shows.

const MARK = "◆ Synthetic face";

export class Composer {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.pen = this.canvas.getContext("2d");
  }

  // At an even size, as encoders want it, and the first one for good: a film has one size.
  draw(face) {
    const { canvas, pen } = this;
    if (!this.drawn) {
      canvas.width = face.width - (face.width % 2);
      canvas.height = face.height - (face.height % 2);
      this.drawn = true;
    }
    const { width, height } = canvas;
    const fit = Math.min(width / face.width, height / face.height);
    const [wide, high] = [fit * face.width, fit * face.height];
    pen.clearRect(0, 0, width, height);
    pen.drawImage(face, (width - wide) / 2, (height - high) / 2, wide, high);
    const size = Math.max(11, Math.round(0.024 * Math.min(width, height)));
    pen.font = `${size}px system-ui, sans-serif`;
    pen.textBaseline = "middle";
    const long = pen.measureText(MARK).width;
    const x = 0.9 * size;
    const y = height - 2.9 * size;
    pen.fillStyle = "rgb(16 21 25 / 62%)";
    pen.beginPath();
    if (pen.roundRect) pen.roundRect(x, y, long + 1.6 * size, 2 * size, size);
    else pen.rect(x, y, long + 1.6 * size, 2 * size);
    pen.fill();
    pen.fillStyle = "#edf2f4";
    pen.fillText(MARK, x + 0.8 * size, y + 1.05 * size);
  }
}
