// Looking round the face: drag, scroll, pinch, or the arrow keys; a double click comes back.

const TURN = 0.006; // radians a pixel
const MOST_YAW = 2.6;
const MOST_PITCH = 0.7;
const STEP = 0.09;

export function look(canvas, face) {
  const { renderer } = face;
  const fingers = new Map();

  function turn(yaw, pitch) {
    renderer.yaw = clamp(renderer.yaw + yaw, -MOST_YAW, MOST_YAW);
    renderer.pitch = clamp(renderer.pitch + pitch, -MOST_PITCH, MOST_PITCH);
    face.stale = true;
  }

  function approach(factor) {
    renderer.zoom = clamp(renderer.zoom * factor, 0.6, 4);
    face.stale = true;
  }

  function home() {
    renderer.yaw = renderer.pitch = 0;
    renderer.zoom = 1;
    face.stale = true;
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 2) {
      const apart = spread(fingers);
      fingers.set(event.pointerId, event);
      approach(spread(fingers) / Math.max(1, apart));
    } else {
      turn(-TURN * (event.clientX - before.clientX), TURN * (event.clientY - before.clientY));
      fingers.set(event.pointerId, event);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("dblclick", home);
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      approach(Math.exp(-0.0012 * event.deltaY));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => turn(-STEP, 0),
      ArrowRight: () => turn(STEP, 0),
      ArrowUp: () => turn(0, STEP),
      ArrowDown: () => turn(0, -STEP),
      "+": () => approach(1.1),
      "-": () => approach(1 / 1.1),
      Home: home,
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

function spread(fingers) {
  const [a, b] = [...fingers.values()];
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}
