"""The closed loop: known motion is drawn, filmed, tracked, and compared channel by channel.

    posetalk bench films loop

Several characters of the built-in head speak a sample clip and act on top of it: smiles, brows,
glances, turns of the head. Each scene has its own size, light, side, blur and compression. What
comes out is the tracker's honest limit: drawn faces are not people, but only here is the truth
known.
"""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import INDEX
from head.eye_turns import looks
from head.geometry.measure import eye_opening, lip_gap, mouth_width
from head.model import Head
from head.new_file import new_file
from head.skinning import rotation_matrices, skin
from posetalk.tracking.fitting.skull import axis_angle, mean_rotation
from posetalk.tracking.landmarks.follow import Followed, follow
from posetalk.tracking.landmarks.tracker import LandmarkTracker
from posetalk.tracking.scenes import Scene, film, known_motion
from posetalk.tracking.sources.film import Film
from posetalk.tracking.track import FPS, Tracked, motion_of

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

BARS: Final = {
    "jaw": 0.9,
    "lip gap": 0.9,
    "mouth width": 0.9,
    "smile": 0.8,
    "brows": 0.8,
    "lids": 0.8,
    "gaze to the side": 0.8,
    "gaze up and down": 0.8,
}
"""Correlation asked for, by channel."""
MOST_DEGREES: Final = 1.5
MOST_LAG: Final = 0.010


def measures(head: Head, exp: Floats, pose: Floats) -> dict[str, Doubles]:
    """(L,) what is compared, by name, from channels (L, 50) and poses (L, 6)."""
    vertices = skin(head, exp, jaw_pose=pose[:, 3:])
    eyes = looks(exp)
    both = [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]
    sad = [INDEX["mouthFrownLeft"], INDEX["mouthFrownRight"]]
    brows = np.concatenate([head.regions["brow_left"], head.regions["brow_right"]])
    values = {
        "jaw": pose[:, 3],
        "lip gap": lip_gap(head, vertices),
        "mouth width": mouth_width(head, vertices),
        "smile": exp[:, both].sum(1) - exp[:, sad].sum(1),
        "brows": vertices[:, brows, 1].mean(1),
        "lids": eye_opening(head, vertices, "left") + eye_opening(head, vertices, "right"),
        "gaze to the side": eyes[:, 0] + eyes[:, 1],
        "gaze up and down": eyes[:, 2] + eyes[:, 3],
    }
    return {name: np.asarray(value, np.float64) for name, value in values.items()}


def compare(
    head: Head, truth: tuple[Floats, Floats], found: Tracked
) -> dict[str, dict[str, float]]:
    """By channel: correlation `r` and `gain` (spread found over spread there is); `head pose` in
    degrees; `lag` in seconds, positive where the tracker is late.

    Gaze counts while the eyes are open: nobody sees it through a lid.
    """
    count = min(len(found), len(truth[0]))
    exp, pose = truth[0][:count], truth[1][:count]
    there, came = measures(head, exp, pose), measures(head, found.exp[:count], found.pose[:count])
    awake = exp[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].max(1) < 0.3
    out: dict[str, dict[str, float]] = {}
    for name in BARS:
        kept = awake if name.startswith("gaze") else np.ones(count, bool)
        a, b = there[name][kept], came[name][kept]
        moved = a.std() > 1e-6 and b.std() > 1e-9
        out[name] = {
            "r": float(np.corrcoef(a, b)[0, 1]) if moved else float("nan"),
            "gain": float(b.std() / a.std()) if moved else float("nan"),
        }
    errors = _pose_errors(pose[:, :3], found.pose[:count, :3])
    lags = [lag(there[name], came[name]) for name in ("lip gap", "mouth width", "lids")]
    lags += [lag(pose[:, 1].astype(np.float64), found.pose[:count, 1].astype(np.float64))]
    out["head pose"] = {"degrees": float(np.degrees(np.sqrt((errors**2).mean())))}
    out["lag"] = {"seconds": float(np.median(lags))}
    return out


def _pose_errors(truth: Floats, found: Floats) -> Doubles:
    """(L,) angles between rotations, each from its own rest."""
    one, other = (rotation_matrices(np.asarray(r, np.float64)) for r in (truth, found))
    one = np.einsum("ji,njk->nik", mean_rotation(one), one)
    other = np.einsum("ji,njk->nik", mean_rotation(other), other)
    between = axis_angle(np.einsum("nji,njk->nik", one, other))
    return np.asarray(np.linalg.norm(between, axis=1))


def lag(truth: Doubles, found: Doubles, most: int = 6) -> float:
    """Seconds by which `found` (L,) is behind `truth` (L,): where their correlation is highest,
    by a parabola through the best whole frame and its neighbours."""
    a, b = truth - truth.mean(), found - found.mean()
    scores = []
    for shift in range(-most, most + 1):
        one = a[max(0, -shift) : len(a) - max(0, shift)]
        other = b[max(0, shift) : len(b) - max(0, -shift)]
        size = np.linalg.norm(one) * np.linalg.norm(other)
        scores.append(float(one @ other / size) if size else 0.0)
    best = int(np.clip(np.argmax(scores), 1, 2 * most - 1))
    low, middle, high = scores[best - 1 : best + 2]
    bend = low - 2 * middle + high
    part = 0.5 * (low - high) / bend if bend < 0 else 0.0
    return (best - most + part) / FPS


def run(
    scene: Scene, model: Path, head: Head, keep: Path | None = None
) -> tuple[dict[str, dict[str, float]], Tracked]:
    """Draw, film, track and compare one scene; `keep` as for `seen_in`."""
    found = motion_of(seen_in(scene, model, head, keep), head)
    return compare(head, known_motion(scene), found), found


def seen_in(scene: Scene, model: Path, head: Head, keep: Path | None = None) -> Followed:
    """The landmarks of a scene, drawn and filmed; those that lie in `keep` are taken from there,
    others are left there."""
    kept = None if keep is None else keep / f"{scene.name.replace(' ', '_').replace(',', '')}.npz"
    if kept is not None and kept.is_file():
        return _read(kept)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.mp4"
        film(scene, head, path)
        with LandmarkTracker(model) as sees:
            seen = follow(Film(path), sees)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with new_file(kept) as part, part.open("wb") as file:
            np.savez(file, **{item.name: getattr(seen, item.name) for item in fields(seen)})
    return seen


def _read(path: Path) -> Followed:
    with np.load(path, allow_pickle=False) as arrays:
        held = {item.name: arrays[item.name] for item in fields(Followed)}
    width, height = held.pop("size").tolist()
    return Followed(**held | {"end": float(held["end"])}, size=(width, height))


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """The comparison as a table in Markdown, one row a scene and one of medians at the end."""
    names = list(BARS)
    lines = ["| scene | " + " | ".join(names) + " | head pose | lag |"]
    lines.append("|---" * (len(names) + 3) + "|")
    middle = {n: float(np.median([f[n]["r"] for f in results.values()])) for n in names}
    lines.append(
        "| *asked* | " + " | ".join(f"*{BARS[n]:.1f}*" for n in names) + " | *1.5°* | *±10 ms* |"
    )
    for scene, found in results.items():
        cells = [f"{found[n]['r']:.2f}" for n in names]
        degrees, seconds = found["head pose"]["degrees"], found["lag"]["seconds"]
        cells += [f"{degrees:.2f}°", f"{1000 * seconds:+.0f} ms"]
        lines.append(f"| {scene} | " + " | ".join(cells) + " |")
    degrees = float(np.median([f["head pose"]["degrees"] for f in results.values()]))
    seconds = float(np.median([f["lag"]["seconds"] for f in results.values()]))
    cells = [f"{middle[n]:.2f}" for n in names] + [f"{degrees:.2f}°", f"{1000 * seconds:+.0f} ms"]
    lines.append("| median | " + " | ".join(cells) + " |")
    return "\n".join(lines)
