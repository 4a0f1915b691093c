"""What a shown face does besides the model's motion: it is alive in silence, and keeps its poise.

A model that goes on from its own past adds up its errors: a head that is turned stays turned, eyes
drift, blinks pile up.  So a shown head has mass and comes back to the middle, the eyes jump and
rest (`eyes.py`), blinks keep a distance (`blinks.py`), and in silence the face breathes.  On demand
it is still: head, eyes and brows at rest, while lips speak and lids blink.

The model goes on from its own motion; all this is laid over what is shown.  Everything is done for
any number of streams at once, whose frames are as many: a session's own stream is one of one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import LiveDefaults
from head.channels import INDEX
from stream.core.shown.blinks import Blinks
from stream.core.shown.eyes import Eyes
from stream.frames import FPS

Floats = NDArray[np.floating]
Rows = slice | NDArray[np.intp]
"""Which of the streams."""

BACK_FRAMES = 6.0 * FPS
"""Over so many a head that is turned or tilted comes back to the middle."""
EASE = 1.0 / 12.0
"""Of the way to stillness and back, in a frame."""
QUIET_FRAMES = 1.0 * FPS
"""Over so many the face comes to breathe after speech."""
BREATH_SECONDS, BREATH_SPREAD = 4.0, 0.15
BREATH_PITCH = 0.009
"""Radians by which the head goes up with a breath, half a degree."""
BREATH_CHANNELS = {"browInnerUp": 0.03, "noseSneerLeft": 0.03, "noseSneerRight": 0.03}
CORNER_CHANNELS = {"mouthSmileLeft": 0.03, "mouthSmileRight": 0.022}
"""Weights that go along with a breath, and with every third."""

_BREATH, _CORNERS = (
    (np.array([INDEX[name] for name in weights]), np.array(list(weights.values())))
    for weights in (BREATH_CHANNELS, CORNER_CHANNELS)
)
_BROWS = [index for name, index in INDEX.items() if name.startswith("brow")]


class Manner(NamedTuple):
    """How B streams behave besides speaking, for each of them.

    speaking: (B,) whether there is speech. gaze: (B,) from 0, eyes that stay on who watches, to 1,
    those of people. still: (B,) whether the face is to be still.
    """

    speaking: NDArray[np.bool_]
    gaze: NDArray[np.float64]
    still: NDArray[np.bool_]


class IdleMotion:
    """Applies all of it to the frames of S streams, in order.

    Args:
        live: has `head_inertia`, `gaze_time_constant_frames` and `max_blink_interval_frames`; each
            is 0 where a bundle wants nothing laid over.
        rotation: channels of the head's rotation.
        seeds: of all chance, one a stream.
    """

    def __init__(self, live: LiveDefaults, rotation: slice, seeds: Sequence[int]) -> None:
        streams, turns = len(seeds), len(range(*rotation.indices(rotation.stop)))
        self._inertia, self._rotation = live.head_inertia, rotation
        # Where a bundle's eyes are not ours to move, its channels are not known here at all.
        self._known = live.gaze_time_constant_frames > 0 and turns == 3
        # The head's rotation in the newest frame; not a number before the first.
        self._shown = np.full((streams, turns), np.nan, np.float32)
        self._turned = np.zeros((streams, 2))  # its running mean: yaw, roll
        self._quiet, self._still = np.ones(streams), np.full(streams, np.nan)  # shares
        self._breath = np.zeros((streams, 2))  # phase, breaths a frame
        self._rngs: list[Any] = [
            np.random.default_rng([seed & 0xFFFF_FFFF_FFFF_FFFF, 0xB0DE]) for seed in seeds
        ]
        for stream, rng in enumerate(self._rngs):
            self._breath[stream] = rng.random(), _pace(rng)
        self._eyes = Eyes(seeds, max(live.gaze_time_constant_frames, 1.0))
        self._blinks = Blinks(live.max_blink_interval_frames, seeds)

    def apply(self, raw: Floats, manner: Manner, at: Rows = slice(None)) -> None:
        """Change the next frames of some streams, (B, n, D) in raw units, in place."""
        still = self._still[at]
        self._still[at] = np.where(np.isnan(still), manner.still, still)  # as it begins
        turns = raw[..., self._rotation]
        if self._inertia:
            shown = self._shown[at]
            apply_inertia(turns, shown, self._inertia)
            self._shown[at] = shown
        if self._known:
            turned = self._turned[at]
            come_back(turns, turned)
            self._turned[at] = turned
            self._breathe(raw, manner, at)
        self._be_still(raw, manner, at)
        if self._known:
            gaze = manner.gaze * (1.0 - self._still[at])
            self._eyes.apply(raw, self._rotation, manner.speaking, gaze, self._still[at], at)
        self._blinks.apply(raw, at)

    def put(self, stream: int, other: IdleMotion) -> None:
        """Let a stream go on as that of `other`, which has one."""
        for mine, theirs in zip(self._arrays(), other._arrays(), strict=True):
            mine[stream] = theirs[0]
        self._rngs[stream] = other._rngs[0]
        self._eyes.put(stream, other._eyes)
        self._blinks.put(stream, other._blinks)

    def of(self, stream: int) -> IdleMotion:
        """One stream's, which goes its own way from here."""
        one = copy.copy(self)
        one._shown, one._turned, one._quiet, one._still, one._breath = (
            each[stream : stream + 1].copy() for each in self._arrays()
        )
        one._rngs = [copy.deepcopy(self._rngs[stream])]
        one._eyes, one._blinks = self._eyes.of(stream), self._blinks.of(stream)
        return one

    def copy(self) -> Self:
        """The same streams, which go their own way from here."""
        return copy.deepcopy(self)

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self._shown, self._turned, self._quiet, self._still, self._breath

    def _breathe(self, raw: Floats, manner: Manner, at: Rows) -> None:
        """Let the face breathe where nobody speaks, in place."""
        streams = np.arange(len(self._quiet))[at]
        quiet, breath = self._quiet[streams], self._breath[streams]
        for row in raw.swapaxes(0, 1):
            quiet += (~manner.speaking - quiet) / QUIET_FRAMES
            breath[:, 0] += breath[:, 1]
            for i in np.flatnonzero(breath[:, 0] % 1.0 < breath[:, 1]):
                breath[i, 1] = _pace(self._rngs[streams[i]])
            size = quiet * (1.0 - self._still[streams])
            air = 0.5 * size * (1.0 - np.cos(2.0 * np.pi * breath[:, 0]))
            slow = 0.5 * size * (1.0 - np.cos(2.0 * np.pi * breath[:, 0] / 3.0))
            row[:, self._rotation.start] -= BREATH_PITCH * air
            row[:, _BREATH[0]] += air[:, None] * _BREATH[1]
            row[:, _CORNERS[0]] += slow[:, None] * _CORNERS[1]
        self._quiet[streams], self._breath[streams] = quiet, breath

    def _be_still(self, raw: Floats, manner: Manner, at: Rows) -> None:
        """Let head and brows rest where they are to be still, in place."""
        still = self._still[at]
        if not (manner.still.any() or still.any()):
            return
        for row in raw.swapaxes(0, 1):
            still = np.clip(still + np.where(manner.still, EASE, -EASE), 0.0, 1.0)
            row[:, self._rotation] *= (1.0 - still)[:, None]
            if self._known:
                row[:, _BROWS] *= (1.0 - still)[:, None]
        self._still[at] = still


def apply_inertia(rows: Floats, shown: Floats, inertia: float) -> None:
    """Let rotations (B, n, 3) keep a share `inertia` of the one before, in place.

    Args:
        shown: (B, 3) the frame before the first, not a number at a stream's start; becomes the
            last one.
    """
    for row in rows.swapaxes(0, 1):
        row += inertia * (np.where(np.isnan(shown), row, shown) - row)
        shown[...] = row


def come_back(rows: Floats, turned: Floats) -> None:
    """Take out of rotations (B, n, 3) what is slow in their yaw and roll, in place.

    Args:
        turned: (B, 2) their running mean; it moves along.
    """
    for row in rows.swapaxes(0, 1):
        turned += (row[:, 1:] - turned) / BACK_FRAMES
        row[:, 1:] -= turned


def _pace(rng: np.random.Generator) -> float:
    """Breaths a frame, for one breath."""
    return float(np.exp(rng.normal(0.0, BREATH_SPREAD)) / (BREATH_SECONDS * FPS))
