"""Write the built-in head: `python -m head.builtin`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from head.channels import CHANNELS, INDEX, MOUTH_CLOSE_RADIANS
from head.model import JOINTS, Head, Material
from head.rig import BUILTIN_ID, save_head

N, K = 64, 26
MOUTH = np.array([0.0, -0.045, 0.0])
RADII = np.array([0.075, 0.115, 0.095])
JAW = np.array([0.0, -0.005, 0.0])
NECK = np.array([0.0, -0.07, -0.02])
ROOT = np.array([0.0, -0.13, -0.02])
EYES = {"left": np.array([0.031, 0.03, 0.068]), "right": np.array([-0.031, 0.03, 0.068])}
EYE_RADIUS = 0.0135


def _surface(xy: np.ndarray) -> np.ndarray:
    inside = 1 - (xy[..., 0] / RADII[0]) ** 2 - (xy[..., 1] / RADII[1]) ** 2
    z = RADII[2] * np.sqrt(np.clip(inside, 0, None))
    return np.concatenate([xy, z[..., None]], -1)


def _skin() -> tuple[np.ndarray, np.ndarray]:
    a = 2 * np.pi * np.arange(N) / N
    ring_x, ring_y = np.cos(a), np.sin(a)
    rings = []
    for depth in (0.03, 0.012):
        p = _surface(np.stack([0.024 * ring_x, MOUTH[1] + 0.014 * ring_y * (depth > 0.02)], -1))
        p[:, 2] -= depth
        rings.append(p)
    rings.append(_surface(np.stack([0.026 * ring_x, MOUTH[1] + 0 * ring_y], -1)))
    for w, h, out in ((0.0265, 0.004, 0.004), (0.028, 0.009, 0.001), (0.031, 0.015, 0)):
        p = _surface(np.stack([w * ring_x, MOUTH[1] + h * ring_y], -1))
        p[:, 2] += out * np.abs(ring_y)
        rings.append(p)
    axis = _surface(MOUTH[None, :2])[0] / RADII
    side = np.array([1.0, 0, 0])
    up = np.cross(axis, side)
    start = np.arcsin(0.033 / RADII[0])
    for phi in np.linspace(start, 0.97 * np.pi, K - len(rings)):
        grow = 0.55 + 0.45 * min(1.0, (phi - start) / 0.6)
        d = (np.cos(phi) * axis + np.sin(phi)
             * (side * ring_x[:, None] + grow * up * ring_y[:, None]))
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        rings.append(d * RADII)
    faces = [
        f
        for k in range(len(rings) - 1)
        for i in range(N)
        for j in [(i + 1) % N]
        for f in ((k * N + i, (k + 1) * N + i, (k + 1) * N + j), (k * N + i, (k + 1) * N + j, k * N + j))
    ]
    return np.concatenate(rings), np.array(faces)


def _ball(
    centre: np.ndarray, radius: np.ndarray | float, lat: np.ndarray, lon: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Rings of latitude about +z."""
    a = 2 * np.pi * np.arange(lon) / lon
    p = np.concatenate([np.stack([np.sin(t) * np.cos(a), np.sin(t) * np.sin(a),
                                  np.full(lon, np.cos(t))], -1) for t in lat])
    f = [
        q
        for k in range(len(lat) - 1)
        for i in range(lon)
        for j in [(i + 1) % lon]
        for q in ((k * lon + i, (k + 1) * lon + i, (k + 1) * lon + j), (k * lon + i, (k + 1) * lon + j, k * lon + j))
    ]
    return centre + radius * p, np.array(f)


def _lid(centre: np.ndarray, upper: bool, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    u = np.linspace(-1, 1, 17)
    edge = 0.0 if closed else (0.55 if upper else -0.45)
    far = 1.25 if upper else -1.2
    p = []
    for s in np.linspace(0, 1, 5):
        lat = (edge + (far - edge) * s) * np.cos(u * np.pi / 2) ** 0.5
        lon = u * np.pi / 2
        p.append(np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], -1))
    f = []
    for k in range(4):
        for i in range(16):
            q = [k * 17 + i, k * 17 + i + 1, (k + 1) * 17 + i + 1, (k + 1) * 17 + i]
            if not upper:
                q = q[::-1]
            f += [(q[0], q[1], q[2]), (q[0], q[2], q[3])]
    return centre + (EYE_RADIUS + 0.0015) * np.concatenate(p), np.array(f)


def build() -> Head:
    """The head as a value."""
    materials = (
        Material("skin", (0.80, 0.56, 0.45), 0.55), Material("lips", (0.66, 0.30, 0.28), 0.4),
        Material("sclera", (0.92, 0.91, 0.89), 0.2), Material("iris", (0.16, 0.30, 0.36), 0.15),
        Material("mouth", (0.30, 0.07, 0.07), 0.6),
    )  # fmt: skip
    verts, faces, mats, part = [], [], [], {}

    def add(name: str, p: np.ndarray, f: np.ndarray, m: np.ndarray | int) -> None:
        start = sum(map(len, verts))
        part[name] = np.arange(start, start + len(p))
        verts.append(p)
        faces.append(f + start)
        mats.append(np.broadcast_to(m, len(f)))

    p, f = _skin()
    ring = f.min(axis=1) // N
    add("skin", p, f, np.where(ring < 2, 4, np.where(ring < 4, 1, 0)))
    for side, centre in EYES.items():
        p, f = _ball(centre, EYE_RADIUS, np.linspace(0.01, np.pi - 0.01, 13))
        add(f"eye_{side}", p, f, np.where(f.min(axis=1) // 20 < 2, 3, 2))
        for upper, name in ((True, "upper"), (False, "lower")):
            add(f"lid_{name}_{side}", *_lid(centre, upper, False), 0)
    p, f = _ball(np.array([0, MOUTH[1] - 0.012, 0.052]), np.array([0.016, 0.006, 0.025]), np.linspace(0.01, np.pi - 0.01, 9))
    add("tongue", p, f, 1)
    v, t = np.concatenate(verts), np.concatenate(faces)
    skin_part = part["skin"]
    half = N // 2
    upper = skin_part[2 * N + 1 : 2 * N + half]
    lower = skin_part[2 * N + N - 1 : 2 * N + half : -1]
    y = v[:, 1]
    # jaw: below the line through the joint and the mouth, soft over the cheeks
    ringno = np.full(len(v), 99)
    ringno[skin_part] = np.arange(len(skin_part)) // N
    sina = np.zeros(len(v))
    sina[skin_part] = np.sin(2 * np.pi * (np.arange(len(skin_part)) % N) / N)
    soft = np.clip((MOUTH[1] - 0.0 - y) / 0.012 * 0.5 + 0.5, 0, 1)
    soft = np.where(ringno < 7, np.clip(0.5 - 0.5 * sina * 6, 0, 1), soft)
    neckfade = np.clip((y + 0.115) / 0.012, 0, 1) * np.clip((v[:, 2] + 0.03) / 0.06, 0, 1)
    jaw = np.where(ringno < 99, soft * neckfade, 0.0)
    jaw[part["tongue"]] = 1
    weights = np.zeros((len(v), 5))
    weights[:, 2] = jaw
    weights[:, 1] = 1 - jaw
    for i, side in ((3, "left"), (4, "right")):
        weights[part[f"eye_{side}"]] = 0
        weights[part[f"eye_{side}"], i] = 1
    regressor = np.zeros((5, len(v)))
    anchors = {0: (ROOT, skin_part), 1: (NECK, skin_part), 2: (JAW, skin_part),
               3: (EYES["left"], part["eye_left"]), 4: (EYES["right"], part["eye_right"])}
    for joint, (target, near) in anchors.items():
        rows = np.concatenate([v[near].T, np.ones((1, len(near)))])
        regressor[joint, near] = np.linalg.pinv(rows) @ np.append(target, 1)
    return Head(
        id=BUILTIN_ID, template=v.astype(np.float32), faces=t.astype(np.int32),
        shape_basis=_shapes(v).astype(np.float32),
        expression_basis=_channels(v, part, weights, upper, lower, ringno, sina).astype(np.float32),
        expression_names=CHANNELS, joint_regressor=regressor.astype(np.float32),
        skin_weights=weights.astype(np.float32), pose_from_expression=_gaze().astype(np.float32),
        face_material=np.concatenate(mats).astype(np.uint8), materials=materials,
        regions={
            "lip_upper_inner": upper.astype(np.int32), "lip_lower_inner": lower.astype(np.int32),
            "lip_gap_upper": upper[10:21].astype(np.int32), "lip_gap_lower": lower[10:21].astype(np.int32),
            "lips": np.flatnonzero((ringno >= 2) & (ringno <= 4)).astype(np.int32),
            "upper_face": np.flatnonzero((ringno < 99) & (y > -0.01) & (v[:, 2] > 0)).astype(np.int32),
            "eyelids": np.concatenate([part[n] for n in part if n.startswith("lid")]).astype(np.int32),
            "skin": skin_part.astype(np.int32), "tongue": part["tongue"].astype(np.int32),
            "eye_left": part["eye_left"].astype(np.int32), "eye_right": part["eye_right"].astype(np.int32),
        },
        landmarks={
            "mouth_left": int(skin_part[2 * N]), "mouth_right": int(skin_part[2 * N + half]),
            "lip_upper_mid": int(upper[15]), "lip_lower_mid": int(lower[15]),
            "lip_upper_top": int(skin_part[4 * N + 16]), "lip_lower_bottom": int(skin_part[4 * N + 48]),
            **{f"eye_{n}_{s}": int(part[f"lid_{n}_{s}"][8]) for s in EYES for n in ("upper", "lower")},
            **{f"eye_outer_{s}": int(part[f"lid_upper_{s}"][16 if s == "left" else 0]) for s in EYES},
            **{f"eye_inner_{s}": int(part[f"lid_upper_{s}"][0 if s == "left" else 16]) for s in EYES},
        },
        shape_names=("width", "length", "jaw_width", "depth"),
    )  # fmt: skip


def _shapes(v: np.ndarray) -> np.ndarray:
    basis = np.zeros((*v.shape, 4))
    basis[:, 0, 0] = v[:, 0] * 0.06
    basis[:, 1, 1] = v[:, 1] * 0.06
    basis[:, 0, 2] = v[:, 0] * 0.1 * np.clip(-v[:, 1] / 0.08, 0, 1)
    basis[:, 2, 3] = v[:, 2] * 0.05
    return basis


def _gaze() -> np.ndarray:
    turn = np.zeros((3 * len(JOINTS), len(CHANNELS)))
    for joint, side, inward in ((3, "Left", -1.0), (4, "Right", 1.0)):
        turn[3 * joint, INDEX[f"eyeLookDown{side}"]] = 0.5
        turn[3 * joint, INDEX[f"eyeLookUp{side}"]] = -0.5
        turn[3 * joint + 1, INDEX[f"eyeLookIn{side}"]] = 0.6 * inward
        turn[3 * joint + 1, INDEX[f"eyeLookOut{side}"]] = -0.6 * inward
    return turn


def _channels(v, part, weights, upper, lower, ringno, sina):  # type: ignore[no-untyped-def]
    d = {name: np.zeros_like(v) for name in CHANNELS}
    x, y, z = v.T
    skin_only = (ringno < 99).astype(float)
    near = np.exp(-(((x / 0.04) ** 2 + ((y - MOUTH[1]) / 0.03) ** 2))) * (z > 0) * skin_only
    up, low = np.clip(sina * 4 + 0.5, 0, 1) * near, np.clip(0.5 - sina * 4, 0, 1) * near
    sides = {"Left": 1 / (1 + np.exp(-x / 0.008)), "Right": 1 / (1 + np.exp(x / 0.008))}
    middle = np.exp(-((x / 0.02) ** 2)) * near
    # mouthClose: undo the jaw on the lips at the tuned angle, a fifth of it by the upper lip
    c, s = np.cos(MOUTH_CLOSE_RADIANS), np.sin(MOUTH_CLOSE_RADIANS)
    rot = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    lips = np.clip(near * 1.6, 0, 1) * (ringno <= 7)
    drop = (v - JAW) @ rot.T - (v - JAW)
    share = np.where(sina > 0, 0.2, 1.0)
    full = weights[:, 2:3] * drop
    lipdrop = drop * np.exp(-((x / 0.02) ** 4))[:, None] * 0.2
    d["mouthClose"] = lips[:, None] * np.where(
        (sina > 0)[:, None], lipdrop * (1 - weights[:, 2:3]), (lipdrop - full) @ rot)
    for side, w in sides.items():
        sg = 1 if side == "Left" else -1
        corner = near * w
        d[f"mouthSmile{side}"] = corner[:, None] * [0.012 * sg, 0.010, -0.006]
        d[f"mouthFrown{side}"] = corner[:, None] * [0.003 * sg, -0.009, -0.002]
        d[f"mouthDimple{side}"] = corner[:, None] * [0.006 * sg, 0.001, -0.005]
        d[f"mouthStretch{side}"] = corner[:, None] * [0.010 * sg, -0.003, -0.004]
        d[f"mouthPress{side}"] = (low * w)[:, None] * [0, 0.002, -0.002] + (up * w)[:, None] * [0, -0.002, -0.002]
        d[f"mouthLowerDown{side}"] = (low * w)[:, None] * [0, -0.009, 0]
        d[f"mouthUpperUp{side}"] = (up * w)[:, None] * [0, 0.007, 0]
        d[f"mouth{side}"] = near[:, None] * [0.012 * sg, 0, 0]
        d[f"jaw{side}"] = weights[:, 2:3] * [0.01 * sg, 0, 0]
        brow = np.exp(-(((x - 0.03 * sg) / 0.02) ** 2 + ((y - 0.06) / 0.02) ** 2)) * (z > 0) * skin_only
        d[f"browDown{side}"] = brow[:, None] * [0, -0.008, 0.001]
        d[f"browOuterUp{side}"] = (brow * np.clip(np.abs(x) / 0.03, 0, 1))[:, None] * [0, 0.009, 0]
        d[f"noseSneer{side}"] = np.exp(-(((x - 0.014 * sg) / 0.012) ** 2 + ((y + 0.015) / 0.015) ** 2))[:, None] * skin_only[:, None] * (z > 0)[:, None] * [0, 0.005, 0]
        d[f"cheekSquint{side}"] = np.exp(-(((x - 0.04 * sg) / 0.018) ** 2 + ((y - 0.0) / 0.015) ** 2))[:, None] * skin_only[:, None] * (z > 0)[:, None] * [0, 0.006, 0.002]
        key = side.lower()
        for name, is_up in (("upper", True), ("lower", False)):
            idx = part[f"lid_{name}_{key}"]
            closed, _ = _lid(EYES[key], is_up, True)
            travel = closed - v[idx]
            d[f"eyeBlink{side}"][idx] = travel
            d[f"eyeSquint{side}"][idx] = travel * (0.3 if is_up else 0.7)
            d[f"eyeWide{side}"][idx] = travel * (-0.3 if is_up else -0.1)
            if is_up:
                d[f"eyeLookDown{side}"][idx] = travel * 0.5
                d[f"eyeLookUp{side}"][idx] = travel * -0.25
    d["browInnerUp"] = (np.exp(-(((np.abs(x) - 0.012) / 0.014) ** 2 + ((y - 0.06) / 0.02) ** 2)) * (z > 0) * skin_only)[:, None] * [0, 0.009, 0]
    d["mouthPucker"] = near[:, None] * (np.array([0, 0, 0.010]) - v * [0.5, 0, 0])
    d["mouthFunnel"] = near[:, None] * (np.array([0, 0, 0.008]) - v * [0.35, 0, 0]) + up[:, None] * [0, 0.004, 0] + low[:, None] * [0, -0.004, 0]
    d["mouthRollLower"] = low[:, None] * [0, 0.002, -0.006]
    d["mouthRollUpper"] = up[:, None] * [0, -0.002, -0.006]
    d["mouthShrugLower"] = (low + middle)[:, None] * [0, 0.004, 0.003]
    d["mouthShrugUpper"] = up[:, None] * [0, 0.004, 0.003]
    d["jawForward"] = weights[:, 2:3] * [0, 0, 0.008]
    d["tongueOut"][part["tongue"]] = [0, 0.006, 0.04]
    basis = np.stack([d[name] for name in CHANNELS], -1)
    return np.where(np.abs(basis) < 2e-5, 0, basis)


if __name__ == "__main__":
    target = Path(__file__).parent / "data" / "builtin.npz"
    target.parent.mkdir(exist_ok=True)
    head = build()
    save_head(head, target)
    print(f"{target}: {head.vertex_count} vertices, {len(head.faces)} triangles, {target.stat().st_size} bytes")
