"""What a shown face does besides the model's motion: a head has mass, looks fade, stares blink.

What the starter imitates knows no look aside or up that stays (`training.labels.gaze`;
some styles do look down), but a model that goes on from its own past drifts into one.  So a shown
gaze is the model's without what is slow in it: quick looks, and the eyes' turn against the head's,
stay.  A model samples its blinks, one frame in a hundred begins one, and a few network calls from
its own past can miss that for a minute: a blink is added where none comes, and its own count.

The model goes on from its own motion; all this is laid over what is shown.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import LiveDefaults
from head.channels import LIDS
from head.eye_turns import AXES

Floats = NDArray[np.floating]

_LEFT, _RIGHT = (list(ends) for ends in zip(*AXES[:2], strict=True))
_UP, _DOWN = (list(ends) for ends in zip(*AXES[2:], strict=True))
_LIDS = list(LIDS)

SHUT = 0.5
"""Lids further down than this have blinked."""
BLINK = (0.6, 1.0, 0.95, 0.4, 0.1)
"""How far they are down in the frames of a blink, 0.2 s."""
SPREAD = 0.3
"""Of the stares' lengths, as of a logarithm: nobody blinks by the clock."""


class IdleMotion:
    """Applies all three to the frames of one stream, in order.

    Args:
        live: has `head_inertia`, `gaze_time_constant_frames` and `max_blink_interval_frames`; each
            is 0 where a bundle wants nothing laid over.
        rotation: channels of the head's rotation.
        seed: of the stares' lengths.
    """

    def __init__(self, live: LiveDefaults, rotation: slice, seed: int) -> None:
        self._inertia, self._gaze_time_constant = live.head_inertia, live.gaze_time_constant_frames
        self._rotation = rotation
        self._shown: Floats | None = None  # the head's rotation in the newest frame
        self._slow = np.zeros(2)  # of the gaze: to the left, up
        self._stares = Stares(live.max_blink_interval_frames, seed)

    def apply(self, raw: Floats) -> None:
        """Change the stream's next frames, (n, D) in raw units, in place."""
        self._shown = apply_inertia(raw[:, self._rotation], self._shown, self._inertia)
        high_pass_gaze(raw, self._slow, self._gaze_time_constant)
        self._stares.force_blink(raw)


def apply_inertia(rows: Floats, shown: Floats | None, inertia: float) -> Floats | None:
    """Let rotations (n, 3) keep a share `inertia` of the one before, in place.

    Args:
        shown: (3,) the frame before the first; None at a stream's start.

    Returns:
        The last rotation shown.
    """
    if not inertia:
        return shown
    for row in rows:
        if shown is not None:
            row += inertia * (shown - row)
        shown = row.copy()
    return shown


def high_pass_gaze(raw: Floats, slow: NDArray[np.float64], frames: float) -> None:
    """Take out of new frames (n, D) what is slow in their gaze, in place.

    Args:
        slow: (2,) the gaze's running mean to the left and up, in raw units; it moves along.
        frames: over so many a look aside or up fades; 0 leaves every look as it is.
    """
    if not frames:
        return
    for row in raw:
        looks = np.array(
            [row[_LEFT].mean() - row[_RIGHT].mean(), row[_UP].mean() - row[_DOWN].mean()]
        )
        slow += (looks - slow) / frames
        aside, up = looks - slow
        row[_LEFT], row[_RIGHT] = max(aside, 0.0), max(-aside, 0.0)
        if slow[1] > 0.0:
            row[_UP], row[_DOWN] = max(up, 0.0), max(-up, 0.0)


class Stares:
    """How long one stream's face has stared.

    Args:
        frames: a stare lasts about so long; 0 leaves the lids as they are.
        seed: of the stares' lengths.
    """

    def __init__(self, frames: float, seed: int) -> None:
        self._frames = frames
        self._rng = np.random.default_rng([seed & 0xFFFF_FFFF_FFFF_FFFF, 0x11D5])
        # A stream begins somewhere in a stare: short ones have their blinks, too.
        self._left = math.ceil(self._rng.random() * self._length())

    def force_blink(self, raw: Floats) -> None:
        """Let the lids of new frames (n, D) in raw units fall where they must, in place."""
        if not self._frames:
            return
        for row in raw:
            if row[_LIDS].mean() > SHUT:
                self._left = self._length()
            if self._left <= 0:
                row[_LIDS] = np.maximum(row[_LIDS], BLINK[-self._left])
                if self._left == 1 - len(BLINK):
                    self._left = self._length() + 1
            self._left -= 1

    def _length(self) -> int:
        """Frames until the lids must fall."""
        return max(1, round(self._frames * float(np.exp(SPREAD * self._rng.standard_normal()))))
