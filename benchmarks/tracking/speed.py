"""`posetalk bench films speed`: how many pictures a second one core tracks, by the film's size.

What counts is the time of processors, all threads together, so that other work on the machine does
not: decoding, landmarks and the fit. Films of one drawn head, as phones and cameras write them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.rig import builtin_head
from posetalk.tracking.landmarks.tracker import LandmarkTracker
from posetalk.tracking.scenes import Scene, draw, known_motion
from posetalk.tracking.sources.film import Film
from posetalk.tracking.track import FPS, track

Picture = NDArray[np.uint8]

ASKED: Final = 30.0
"""Pictures a second on one core, asked for beforehand."""
SECONDS: Final = 2.0
DRAWN: Final = (640, 360)
"""Pixels in which the head is drawn; larger films show it enlarged."""


@dataclass(frozen=True)
class Kind:
    """A film as some camera writes it."""

    name: str
    width: int
    height: int
    codec: str = "libx264"
    pixels: str = "yuv420p"
    hdr: bool = False


KINDS: Final = (
    Kind("webcam", 640, 360),
    Kind("720p", 1280, 720),
    Kind("1080p", 1920, 1080),
    Kind("4k", 3840, 2160),
    Kind("4k, 10 bits, HDR", 3840, 2160, "libx265", "yuv420p10le", True),
)


def measure(
    model: Path, kinds: Sequence[Kind], note: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row for each kind of film: pictures, seconds of processors and of the clock."""
    scene = Scene("speed", "motion_lively", 0, width=DRAWN[0], height=DRAWN[1], seconds=SECONDS)
    pictures = list(draw(scene, builtin_head(), *known_motion(scene)))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            path = Path(folder) / "film.mp4"
            write(path, kind, pictures)
            with LandmarkTracker(model) as sees:
                begin, used = time.perf_counter(), time.process_time()
                found = track(Film(path), sees)
                used, passed = time.process_time() - used, time.perf_counter() - begin
            rows.append(
                {
                    "name": kind.name,
                    "size": [kind.width, kind.height],
                    "pictures": found.pictures,
                    "seen": int((found.marks == 0).sum()),
                    "core_seconds": round(used, 3),
                    "seconds": round(passed, 3),
                }
            )
            note(f"{kind.name}: {found.pictures / used:.0f} pictures a second of one core")
    return rows


def write(path: Path, kind: Kind, pictures: Sequence[Picture]) -> None:
    """Write pictures (h, w, 3) as a film of some kind, enlarged to its size."""
    import av

    options = {"preset": "ultrafast", "crf": "23"}
    if kind.hdr:
        options["x265-params"] = "log-level=none"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(kind.codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = kind.width, kind.height, kind.pixels
        if kind.hdr:
            stream.codec_context.color_trc = 16  # SMPTE ST 2084
            stream.codec_context.color_primaries = 9  # BT.2020
            stream.codec_context.colorspace = 9
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(kind.width, kind.height, kind.pixels)
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""
    lines = ["| film | pixels | pictures a second of one core |", "|---|---|---|"]
    for row in rows:
        width, height = row["size"]
        rate = row["pictures"] / row["core_seconds"]
        lines.append(f"| {row['name']} | {width} x {height} | {rate:.0f} |")
    return lines
