// Draws a posed head with WebGL 2, in the look that look.json brings.

import { Backdrop } from "./backdrop.js";
import { program } from "./program.js";

export class Renderer {
  constructor(canvas, head, look) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, depth: true });
    if (!gl) throw new Error("This browser has no WebGL 2, which draws the face: switch hardware acceleration on.");
    this.gl = gl;
    this.canvas = canvas;
    this.look = look;
    this.yaw = 0;
    this.pitch = 0;
    this.zoom = 1;
    this.shot = "head"; // a name of the head's cameras
    this.mirrored = false;
    this.fineness = 1; // pixels drawn per pixel of the screen, each way; less where that is slow
    this.program = program(gl, look.vertex, look.fragment);
    this.backdrop = new Backdrop(gl, look);
    this.buffers = [];
    this.uniforms = {};
    for (const name of [
      "view",
      "projection",
      "key_direction",
      "fill_direction",
      "rim_direction",
    ]) {
      this.uniforms[name] = gl.getUniformLocation(this.program, name);
    }
    this.wear(head);
  }

  // Draw another head from now on.
  wear(head) {
    const { gl } = this;
    for (const buffer of this.buffers) gl.deleteBuffer(buffer);
    if (this.mesh) gl.deleteVertexArray(this.mesh);
    this.head = head;
    const { arrays } = head;
    this.buffers = [0, 1, 2, 3].map(() => gl.createBuffer());
    const [moving, trait, paint, triangles] = this.buffers;
    this.mesh = gl.createVertexArray();
    gl.bindVertexArray(this.mesh);
    this.moving = moving;
    gl.bindBuffer(gl.ARRAY_BUFFER, moving);
    gl.bufferData(gl.ARRAY_BUFFER, 24 * arrays.source.length, gl.DYNAMIC_DRAW);
    attribute(gl, 0, 3, gl.FLOAT, 24, 0);
    attribute(gl, 1, 3, gl.FLOAT, 24, 12);
    gl.bindBuffer(gl.ARRAY_BUFFER, trait);
    gl.bufferData(gl.ARRAY_BUFFER, arrays.trait, gl.STATIC_DRAW);
    attribute(gl, 2, 2, gl.UNSIGNED_BYTE, 4, 0);
    attribute(gl, 3, 2, gl.UNSIGNED_BYTE, 4, 2);
    gl.bindBuffer(gl.ARRAY_BUFFER, paint);
    gl.bufferData(gl.ARRAY_BUFFER, arrays.paint, gl.STATIC_DRAW);
    attribute(gl, 4, 4, gl.FLOAT, 16, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, triangles);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, arrays.triangles, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
  }

  // Fit the picture to its place on the page; true where that changed it.
  resize() {
    const dense = this.fineness * Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * dense));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * dense));
    if (this.canvas.width === width && this.canvas.height === height) return false;
    this.canvas.width = width;
    this.canvas.height = height;
    return true;
  }

  // `drawn` is position and normal of every drawn vertex.
  draw(drawn) {
    const { gl, uniforms } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    this.backdrop.clear();
    gl.enable(gl.DEPTH_TEST);
    gl.polygonOffset(this.look.slope_offset, 0);
    gl.cullFace(gl.BACK);
    gl.frontFace(this.mirrored ? gl.CW : gl.CCW);
    const { view, projection } = this.camera();
    gl.useProgram(this.program);
    gl.uniformMatrix4fv(uniforms.view, false, view);
    gl.uniformMatrix4fv(uniforms.projection, false, projection);
    for (const [name, direction] of Object.entries(this.look.lights)) {
      gl.uniform3fv(uniforms[name], turned(view, direction));
    }
    gl.uniform3fv(uniforms.rim_direction, this.look.rim_direction);
    gl.bindVertexArray(this.mesh);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.moving);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, drawn);
    let first = 0;
    this.look.ranges.forEach(({ body, back }, number) => {
      const count = this.head.arrays.ranges[number];
      gl[body ? "enable" : "disable"](gl.CULL_FACE);
      gl[back ? "enable" : "disable"](gl.POLYGON_OFFSET_FILL);
      gl.drawElements(gl.TRIANGLES, 3 * count, gl.UNSIGNED_INT, 12 * first);
      first += count;
    });
    this.backdrop.draw();
  }

  camera() {
    const framing = this.head.cameras[this.shot] ?? this.head.cameras.head;
    const aspect = this.canvas.width / this.canvas.height;
    const half = Math.tan((framing.field_of_view * Math.PI) / 360);
    const distance = (framing.height / 2 / half / this.zoom) * Math.max(1, framing.slender / aspect);
    const near = Math.max(distance - framing.size, distance / 20);
    const far = distance + 2 * framing.size;
    const yaw = this.yaw + (framing.turn * Math.PI) / 180;
    const [sy, cy] = [Math.sin(yaw), Math.cos(yaw)];
    const [sp, cp] = [Math.sin(this.pitch), Math.cos(this.pitch)];
    // Columns of the camera's pose: right, up, back.
    const right = [cy, 0, -sy];
    const up = [sy * sp, cp, cy * sp];
    const back = [sy * cp, -sp, cy * cp];
    const eye = framing.target.map((value, k) => value + distance * back[k]);
    const rows = [right, up, back];
    const view = new Float32Array(16);
    for (let r = 0; r < 3; r++) {
      for (let c = 0; c < 3; c++) view[4 * c + r] = rows[r][c];
      view[12 + r] = -(rows[r][0] * eye[0] + rows[r][1] * eye[1] + rows[r][2] * eye[2]);
    }
    view[15] = 1;
    const projection = new Float32Array(16);
    projection[0] = (this.mirrored ? -1 : 1) / (half * aspect);
    projection[5] = 1 / half;
    projection[10] = (far + near) / (near - far);
    projection[11] = -1;
    projection[14] = (2 * far * near) / (near - far);
    return { view, projection };
  }
}

function attribute(gl, place, size, type, stride, offset) {
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, size, type, type === gl.UNSIGNED_BYTE, stride, offset);
}

function turned(view, direction) {
  return [0, 1, 2].map(
    (r) => view[r] * direction[0] + view[4 + r] * direction[1] + view[8 + r] * direction[2],
  );
}
