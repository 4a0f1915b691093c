"""A tracker that sees the head's own points, and small films."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from head.model import Head
from head.rig import builtin_head
from head.skinning import skin
from posetalk.tracking.landmarks.points import IRIS, vertices_of
from posetalk.tracking.landmarks.tracker import POINTS, Face
from posetalk.tracking.sources.film import Shot

SIDE, SCALE = 320, 1000.0
"""Pixels of a picture, and of a metre."""


class HeadPoints:
    """Stands in for MediaPipe: the landmarks are the head's own vertices, without any error."""

    def __init__(self, exp: np.ndarray, pose: np.ndarray, fps: float = 25) -> None:
        self.head: Head = builtin_head()
        self.exp, self.pose, self.fps = exp, pose, fps
        self.hidden: set[int] = set()
        self.others: Callable[[int, Face], list[Face]] = lambda k, face: []
        self.shift = np.zeros((len(exp), 3))

    def __call__(self, picture: np.ndarray, seconds: float) -> list[Face]:
        k = min(len(self.exp) - 1, round(seconds * self.fps))
        if k in self.hidden:
            return []
        face = self.face(k)
        return [face, *self.others(k, face)]

    def face(self, k: int) -> Face:
        pose = self.pose[k]
        vertices = skin(self.head, self.exp[k], global_rotation=pose[:3], jaw_pose=pose[3:]).astype(
            np.float64
        )
        points = np.tile(vertices[self.head.landmarks["nose_tip"]], (POINTS, 1))
        for landmark, vertex in vertices_of(self.head.id).items():
            points[landmark] = vertices[vertex]
        for side in ("left", "right"):  # the middle of the iris is the eyeball's foremost part
            ball = self.head.regions[f"eye_{side}"]
            rest = self.head.template[ball]
            points[IRIS[side]] = vertices[ball[rest[:, 2].argmax()]]
        points = points * SCALE + self.shift[k]
        return Face((points * [1, -1, -1] + [SIDE / 2, SIDE / 2, 0]).astype(np.float32))


def shots(count: int, fps: float = 25) -> Iterator[Shot]:
    """Grey pictures."""
    picture = np.full((SIDE, SIDE, 3), 120, np.uint8)
    for k in range(count):
        yield Shot(picture, k / fps, (k + 1) / fps)


def write_film(
    path: Path,
    pictures: list[np.ndarray],
    *,
    times: list[float] | None = None,
    rate: int = 25,
    sound: np.ndarray | None = None,
    sound_at: float = 0.0,
    rotation: int = 0,
) -> Path:
    """A small film; pictures (h, w, 3) uint8 at `times` in seconds, sound at 16 kHz."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "15", "bf": "0"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        base = Fraction(1, 90000)
        stream.codec_context.time_base = base
        audio: Any = None
        if sound is not None:
            audio = container.add_stream("aac", rate=16000, layout="mono")
        if rotation:
            stream.set_display_rotation(rotation)
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            time = k / rate if times is None else times[k]
            frame.pts, frame.time_base = round(time * 90000), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None and sound is not None:
            for first in range(0, len(sound) - 1023, 1024):
                block = sound[None, first : first + 1024].astype(np.float32)
                heard = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                heard.sample_rate, heard.time_base = 16000, Fraction(1, 16000)
                heard.pts = first + round(sound_at * 16000)
                container.mux(audio.encode(heard))
            container.mux(audio.encode(None))
    return path
