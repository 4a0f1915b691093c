// A head in FLAME form, posed on the processor: blend shapes, joints, smooth normals.
// The file is written by viewer/page/head_file.py; the order of things is that of head/skinning.py.

const TYPES = {
  float32: Float32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint8: Uint8Array,
};

export function readHead(buffer) {
  const view = new DataView(buffer);
  if (view.getUint32(0, true) !== 0x31485450) throw new Error("head.bin is not a head");
  const length = view.getUint32(4, true);
  const index = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const arrays = {};
  for (const [name, place] of Object.entries(index.arrays)) {
    const count = place.shape.reduce((product, size) => product * size, 1);
    arrays[name] = new TYPES[place.type](buffer, 8 + length + place.offset, count);
  }
  return { ...index, arrays };
}

export class Rig {
  constructor(head) {
    this.head = head;
    const { arrays } = head;
    this.joints = head.parents.length;
    this.channels = head.channels.length;
    this.moved = new Float32Array(3 * head.vertices);
    this.positions = new Float32Array(3 * head.vertices);
    this.normals = new Float32Array(3 * head.vertices);
    this.drawn = new Float32Array(6 * arrays.source.length); // position and normal
    this.axes = new Float64Array(3 * this.joints);
    this.rest = new Float64Array(arrays.joints);
    this.turns = new Float64Array(9 * this.joints);
    this.world = new Float64Array(12 * this.joints); // rotation by rows, then translation
    this.bones = arrays.bone.length / head.vertices;
    this.faces = arrays.triangles.map((drawn) => arrays.source[drawn]); // over the head's vertices
    this.pose(new Float32Array(this.channels + 6));
  }

  // Pose by (expression, head rotation 3, jaw 3), axis-angle in radians.
  pose(values) {
    this.blend(values);
    this.turn(values);
    this.skin();
    this.shade();
  }

  blend(values) {
    const { arrays } = this.head;
    this.moved.set(arrays.template);
    for (let c = 0; c < this.channels; c++) this.add("expression", c, values[c]);
  }

  add(basis, channel, weight) {
    if (weight === 0 || !Number.isFinite(weight)) return;
    const { arrays } = this.head;
    const start = arrays[`${basis}_start`];
    const vertex = arrays[`${basis}_vertex`];
    const move = arrays[`${basis}_move`];
    const scale = weight * arrays[`${basis}_scale`][channel];
    const moved = this.moved;
    for (let k = start[channel]; k < start[channel + 1]; k++) {
      const to = 3 * vertex[k];
      moved[to] += scale * move[3 * k];
      moved[to + 1] += scale * move[3 * k + 1];
      moved[to + 2] += scale * move[3 * k + 2];
    }
  }

  turn(values) {
    const { arrays, parents, turning_joint: turning, joint_names: names } = this.head;
    const { axes, turns, world } = this;
    const gaze = arrays.pose_from_expression;
    for (let k = 0; k < axes.length; k++) {
      let sum = 0;
      for (let c = 0; c < this.channels; c++) sum += gaze[k * this.channels + c] * values[c];
      axes[k] = sum;
    }
    const jaw = names.indexOf("jaw");
    for (let k = 0; k < 3; k++) {
      axes[k] += values[this.channels + k];
      if (jaw >= 0) axes[3 * jaw + k] += values[this.channels + 3 + k];
      if (turning) {
        axes[3 * turning + k] += axes[k];
        axes[k] = 0;
      }
    }
    for (let j = 0; j < this.joints; j++) rotation(axes, 3 * j, turns, 9 * j);
    if (arrays.pose_start) {
      for (let j = 1; j < this.joints; j++) {
        for (let k = 0; k < 9; k++) {
          this.add("pose", 9 * (j - 1) + k, turns[9 * j + k] - (k % 4 === 0 ? 1 : 0));
        }
      }
    }
    this.place(values);
    this.chain(parents, this.rest);
    for (let j = 0; j < this.joints; j++) {
      // So that a point at rest, p, moves to R p + t.
      for (let r = 0; r < 3; r++) {
        let at = 0;
        for (let k = 0; k < 3; k++) at += world[12 * j + 3 * r + k] * this.rest[3 * j + k];
        world[12 * j + 9 + r] -= at;
      }
    }
  }

  // Joints at rest; those of some heads follow the expression.
  place(values) {
    const { joints, joints_from_expression: moves } = this.head.arrays;
    this.rest.set(joints);
    if (!moves) return;
    for (let c = 0; c < this.channels; c++) {
      const weight = values[c];
      if (weight === 0 || !Number.isFinite(weight)) continue;
      for (let k = 0; k < joints.length; k++) this.rest[k] += weight * moves[joints.length * c + k];
    }
  }

  chain(parents, rest) {
    const { turns, world } = this;
    for (let j = 0; j < this.joints; j++) {
      const parent = parents[j];
      for (let r = 0; r < 3; r++) {
        for (let c = 0; c < 3; c++) {
          let sum = parent < 0 ? turns[9 * j + 3 * r + c] : 0;
          if (parent >= 0) {
            for (let k = 0; k < 3; k++) {
              sum += world[12 * parent + 3 * r + k] * turns[9 * j + 3 * k + c];
            }
          }
          world[12 * j + 3 * r + c] = sum;
        }
        let at = parent < 0 ? rest[3 * j + r] : world[12 * parent + 9 + r];
        if (parent >= 0) {
          for (let k = 0; k < 3; k++) {
            at += world[12 * parent + 3 * r + k] * (rest[3 * j + k] - rest[3 * parent + k]);
          }
        }
        world[12 * j + 9 + r] = at;
      }
    }
  }

  skin() {
    const { bone, bone_weight: weight } = this.head.arrays;
    const { moved, positions, world, bones } = this;
    for (let v = 0; v < this.head.vertices; v++) {
      const x = moved[3 * v];
      const y = moved[3 * v + 1];
      const z = moved[3 * v + 2];
      let px = 0;
      let py = 0;
      let pz = 0;
      for (let b = bones * v; b < bones * (v + 1); b++) {
        const w = weight[b];
        if (w === 0) continue;
        const m = 12 * bone[b];
        px += w * (world[m] * x + world[m + 1] * y + world[m + 2] * z + world[m + 9]);
        py += w * (world[m + 3] * x + world[m + 4] * y + world[m + 5] * z + world[m + 10]);
        pz += w * (world[m + 6] * x + world[m + 7] * y + world[m + 8] * z + world[m + 11]);
      }
      positions[3 * v] = px;
      positions[3 * v + 1] = py;
      positions[3 * v + 2] = pz;
    }
  }

  // Area-weighted normals on the head's own vertices, so that borders of materials stay smooth.
  shade() {
    const { source } = this.head.arrays;
    const { faces, positions: p, normals: n, drawn } = this;
    n.fill(0);
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f];
      const b = 3 * faces[f + 1];
      const c = 3 * faces[f + 2];
      const ux = p[b] - p[a];
      const uy = p[b + 1] - p[a + 1];
      const uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a];
      const vy = p[c + 1] - p[a + 1];
      const vz = p[c + 2] - p[a + 2];
      const nx = uy * vz - uz * vy;
      const ny = uz * vx - ux * vz;
      const nz = ux * vy - uy * vx;
      n[a] += nx;
      n[a + 1] += ny;
      n[a + 2] += nz;
      n[b] += nx;
      n[b + 1] += ny;
      n[b + 2] += nz;
      n[c] += nx;
      n[c + 1] += ny;
      n[c + 2] += nz;
    }
    for (let d = 0; d < source.length; d++) {
      const v = 3 * source[d];
      const length = Math.sqrt(n[v] * n[v] + n[v + 1] * n[v + 1] + n[v + 2] * n[v + 2]) || 1;
      for (let k = 0; k < 3; k++) {
        drawn[6 * d + k] = p[v + k];
        drawn[6 * d + 3 + k] = n[v + k] / length;
      }
    }
  }
}

// Axis-angle to a matrix by rows (Rodrigues).
function rotation(axes, from, out, to) {
  const x = axes[from];
  const y = axes[from + 1];
  const z = axes[from + 2];
  const angle = Math.sqrt(x * x + y * y + z * z) + 1e-12;
  const s = Math.sin(angle) / angle;
  const half = Math.sin(angle / 2) / (angle / 2);
  const c = (half * half) / 2;
  out[to] = 1 - c * (y * y + z * z);
  out[to + 1] = c * x * y - s * z;
  out[to + 2] = c * x * z + s * y;
  out[to + 3] = c * x * y + s * z;
  out[to + 4] = 1 - c * (x * x + z * z);
  out[to + 5] = c * y * z - s * x;
  out[to + 6] = c * x * z - s * y;
  out[to + 7] = c * y * z + s * x;
  out[to + 8] = 1 - c * (x * x + y * y);
}
