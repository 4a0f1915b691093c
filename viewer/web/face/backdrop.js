// What stands behind the face: the look's own studio, a colour, a picture, or nothing at all.

import { program } from "./program.js";

const PICTURE_VERTEX = `#version 300 es
uniform vec2 share; // of the picture that is seen, each way
out vec2 place;
void main() {
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  place = 0.5 + (corner - 0.5) * share * vec2(1.0, -1.0);
  gl_Position = vec4(corner * 2.0 - 1.0, 0.9999, 1.0);
}`;
const PICTURE_FRAGMENT = `#version 300 es
precision mediump float;
in vec2 place;
uniform sampler2D picture;
out vec4 shown;
void main() { shown = vec4(texture(picture, place).rgb, 1.0); }`;

export class Backdrop {
  constructor(gl, look) {
    this.gl = gl;
    this.kind = "studio"; // "colour", "picture", "transparent"
    this.colour = [0, 0, 0]; // 0..1
    this.studio = program(gl, look.backdrop_vertex, look.backdrop_fragment);
    this.empty = gl.createVertexArray();
    this.texture = null;
  }

  // An ImageBitmap, which fills the picture as CSS's `cover` does.
  picture(bitmap) {
    const { gl } = this;
    this.covering ??= program(gl, PICTURE_VERTEX, PICTURE_FRAGMENT);
    this.texture ??= gl.createTexture();
    this.aspect = bitmap.width / bitmap.height;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.kind = "picture";
  }

  // Before the head is drawn.
  clear() {
    const { gl } = this;
    const plain = this.kind === "colour" ? [...this.colour, 1] : [0, 0, 0, 0];
    gl.clearColor(...plain);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  }

  // After it: pixels under the head are never shaded twice.
  draw() {
    const { gl } = this;
    if (this.kind === "colour" || this.kind === "transparent") return;
    const covered = this.kind === "picture" && this.texture !== null;
    gl.useProgram(covered ? this.covering : this.studio);
    if (covered) {
      const wide = gl.canvas.width / gl.canvas.height / this.aspect;
      const share = wide > 1 ? [1, 1 / wide] : [wide, 1];
      gl.uniform2fv(gl.getUniformLocation(this.covering, "share"), share);
      gl.bindTexture(gl.TEXTURE_2D, this.texture);
    }
    gl.bindVertexArray(this.empty);
    gl.depthFunc(gl.LEQUAL);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindVertexArray(null);
  }
}
