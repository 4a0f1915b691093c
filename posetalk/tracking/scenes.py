"""Scenes of the closed loop: known motion, acted by characters of the built-in head, and filmed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import INDEX
from head.model import Head
from head.skinning import skin
from posetalk.formats.motion_file import Motion
from posetalk.tracking.track import FPS

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

CLIPS: Final = Path(__file__).resolve().parents[1] / "demo"


@dataclass(frozen=True)
class Scene:
    """How a clip is filmed."""

    name: str
    clip: str
    character: int
    """Seed of the face's shape; 0 is the head as it comes."""
    width: int = 512
    height: int = 512
    zoom: float = 1.0
    yaw: float = 0.0
    pitch: float = 0.0
    """Degrees by which the camera stands to the side and above."""
    light: tuple[float, float, float] = (1.0, 1.0, 0.0)
    """Gain, gamma, and how much darker the right half is."""
    blur: float = 0.0
    """Standard deviation in pixels."""
    crf: int = 20
    """H.264's quality: 20 is good, 36 is a poor line."""
    acted: bool = True
    seconds: float = 14.0


SCENES: Final = (
    Scene("studio", "motion_lively", 0),
    Scene("from the side", "motion_cheerful", 1, yaw=18, pitch=4),
    Scene("from above, dim", "motion_calm", 2, yaw=-8, pitch=12, light=(0.45, 1.2, 0.0)),
    Scene("window light", "motion_serious", 3, yaw=8, light=(1.15, 0.9, 0.6)),
    Scene("small", "motion_lively", 4, width=320, height=320, zoom=0.8),
    Scene("blurred", "motion_cheerful", 5, yaw=-10, blur=1.6),
    Scene("poor line", "motion_calm", 6, width=400, height=400, pitch=-6, crf=36),
    Scene(
        "webcam",
        "motion_serious",
        7,
        width=576,
        height=324,
        yaw=5,
        pitch=6,
        blur=0.7,
        light=(0.8, 1.1, 0.25),
        crf=30,
    ),
)
SPEECH_ONLY: Final = (
    Scene("speech only, lively", "motion_lively", 0, acted=False),
    Scene("speech only, cheerful", "motion_cheerful", 1, acted=False, yaw=10),
    Scene("speech only, calm", "motion_calm", 2, acted=False, yaw=-10),
    Scene("speech only, serious", "motion_serious", 3, acted=False),
)


def known_motion(scene: Scene) -> tuple[Floats, Floats]:
    """`exp` (L, 50) and `pose` (L, 6) of a scene: the clip's, with acting on top."""
    clip = Motion.load(CLIPS / f"{scene.clip}.npz")
    count = min(len(clip), int(scene.seconds * FPS))
    exp, pose = clip.exp[:count].astype(np.float64), clip.pose[:count].astype(np.float64)
    if not scene.acted:
        return exp.astype(np.float32), pose.astype(np.float32)
    rng = np.random.default_rng([7, scene.character])
    smile, open_wide = (_pulses(rng, count, n, 1.6) for n in (4, 2))
    up, inner, down = (_pulses(rng, count, 3, 1.1) for _ in range(3))
    for half in ("Left", "Right"):
        share = rng.uniform(0.85, 1.0)
        exp[:, INDEX[f"mouthSmile{half}"]] += 0.75 * share * smile
        exp[:, INDEX[f"cheekSquint{half}"]] += 0.4 * share * smile
        exp[:, INDEX[f"browOuterUp{half}"]] += 0.8 * up
        exp[:, INDEX[f"browDown{half}"]] += 0.8 * share * down * (1 - up)
    exp[:, INDEX["browInnerUp"]] += 0.8 * np.maximum(up, inner) * (1 - down)
    pose[:, 3] += 0.22 * open_wide * (1 - smile)
    side, high = _glances(rng, count)
    for eye, sign in (("Left", 1.0), ("Right", -1.0)):
        exp[:, INDEX[f"eyeLookOut{eye}"]] += np.maximum(sign * side, 0)
        exp[:, INDEX[f"eyeLookIn{eye}"]] += np.maximum(-sign * side, 0)
        exp[:, INDEX[f"eyeLookUp{eye}"]] += np.maximum(high, 0)
        exp[:, INDEX[f"eyeLookDown{eye}"]] += np.maximum(-high, 0)
    time = np.arange(count) / FPS
    for axis, (degrees, hertz) in enumerate(((6, 0.23), (10, 0.17), (5, 0.13))):
        phase = rng.uniform(0, 2 * np.pi)
        pose[:, axis] += np.radians(degrees) * np.sin(2 * np.pi * hertz * time + phase)
    return np.clip(exp, 0, 1).astype(np.float32), pose.astype(np.float32)


def _pulses(rng: np.random.Generator, count: int, number: int, seconds: float) -> Doubles:
    """(count,) `number` raised cosines of 0..1, each in its own part of the time."""
    out = np.zeros(count)
    length = int(seconds * FPS)
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(length) + 0.5) / length)
    part = count // number
    for k in range(number):
        start = k * part + int(rng.integers(0, max(1, part - length)))
        room = out[start : start + length]
        room[:] = np.maximum(room, rng.uniform(0.6, 1.0) * shape[: len(room)])
    return out


def _glances(rng: np.random.Generator, count: int) -> tuple[Doubles, Doubles]:
    """(count,) weights to the left and up, in jumps of 80 ms that are held."""
    goals = np.zeros((count, 2))
    at = 0
    while at < count:
        hold = int(rng.integers(12, 40))
        goals[at : at + hold] = rng.uniform((-0.6, -0.55), (0.6, 0.55)) * (rng.random() < 0.75)
        at += hold
    kernel = np.array([0.25, 0.5, 0.25])
    side, high = (np.convolve(np.pad(g, 1, "edge"), kernel, "valid") for g in goals.T)
    return side, high


def draw(scene: Scene, head: Head, exp: Floats, pose: Floats) -> Iterator[Picture]:
    """The pictures of a scene: drawn, lit and blurred."""
    from viewer.render.renderer import Renderer

    rng = np.random.default_rng([11, scene.character])
    shape = rng.normal(0, 0.6, head.shape_count) * (scene.character > 0)
    shape = shape.astype(np.float32)
    gain, gamma, dark = scene.light
    across = (1 - dark * np.linspace(0, 1, scene.width, dtype=np.float32))[None, :, None]
    curve = (255 * gain * np.linspace(0, 1, 256) ** gamma).astype(np.float32)
    noise = rng.normal(0, 1.5, (4, scene.height, scene.width, 3)).astype(np.float32)
    with Renderer(head, scene.width, scene.height) as renderer:
        for k in range(len(exp)):
            vertices = skin(
                head, exp[k], global_rotation=pose[k, :3], jaw_pose=pose[k, 3:], shape=shape
            )
            picture = renderer.render(vertices, yaw=scene.yaw, pitch=scene.pitch, zoom=scene.zoom)
            lit = curve[_blurred(picture, scene.blur)] * across + noise[rng.integers(4)]
            yield np.clip(lit, 0, 255).astype(np.uint8)


def _blurred(picture: Picture, sigma: float) -> Picture:
    if not sigma:
        return picture
    from PIL import Image, ImageFilter

    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))


def film(scene: Scene, head: Head, path: Path) -> tuple[Floats, Floats]:
    """Write the scene as a film; what it shows, `exp` and `pose`."""
    import av

    exp, pose = known_motion(scene)
    with av.open(str(path), "w", format="mp4") as container:
        quality = {"crf": str(scene.crf), "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=FPS, options=quality)
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        for k, picture in enumerate(draw(scene, head, exp, pose)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return exp, pose
