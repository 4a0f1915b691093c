"""Windows of 4 s to take a style from, out of what can be believed of one or more films."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.skinning import parameters_to_motion
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.quality import WINDOW, believed, good_windows
from posetalk.tracking.report import runs
from posetalk.tracking.track import FPS, Tracked

Floats = NDArray[np.float32]

SHORTEST_RUN: Final = 25
"""Frames: shorter pieces say nothing of a style."""
BLEND: Final = 5
"""Frames over which one piece passes into the next."""
STRIDE: Final = 25


def style_windows(films: Sequence[Tracked]) -> Floats:
    """(n, 100, 54) windows of motion, a second apart, without a mark in them.

    Where no film has 4 s in one piece that can be believed, pieces of a second and more are
    joined, each blended into the next.

    Raises:
        TrackingError: all pieces together are shorter than 4 s.
    """
    motions = [motion_vectors(film) for film in films]
    found = [
        motion[first : first + WINDOW]
        for film, motion in zip(films, motions, strict=True)
        for first in good_windows(film.marks, STRIDE)
    ]
    if not found:
        joined = _join(
            [
                motion[run]
                for film, motion in zip(films, motions, strict=True)
                for run in runs(believed(film.marks), SHORTEST_RUN)
            ]
        )
        if len(joined) < WINDOW:
            raise TrackingError(
                f"a style takes 4 s that can be believed; here are {len(joined) / FPS:.1f} s: "
                "film a face that looks at the camera, well lit, for 20 s"
            )
        firsts = {*range(0, len(joined) - WINDOW + 1, STRIDE), len(joined) - WINDOW}
        found = [joined[first : first + WINDOW] for first in sorted(firsts)]
    return np.stack(found).astype(np.float32)


def motion_vectors(tracked: Tracked) -> Floats:
    """(L, 54) motion vectors."""
    out: Floats = parameters_to_motion(tracked.exp, tracked.pose[:, :3], tracked.pose[:, 3:])
    return out


def _join(pieces: Sequence[Floats]) -> Floats:
    """All pieces in a row; where two meet, `BLEND` frames of both are mixed."""
    out = np.zeros((0, 54), np.float32)
    share = (np.arange(BLEND, dtype=np.float32)[:, None] + 0.5) / BLEND
    for piece in pieces:
        if len(out):
            mixed = (1 - share) * out[-BLEND:] + share * piece[:BLEND]
            out = np.concatenate([out[:-BLEND], mixed, piece[BLEND:]])
        else:
            out = piece
    return out
