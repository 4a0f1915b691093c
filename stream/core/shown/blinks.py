"""When shown lids fall: no face stares for long, and none blinks without pause.

A model samples its blinks, one frame in a hundred begins one, and a few network calls from its own
past can miss that for a minute, or begin one upon another.  A blink is added where none comes for
long, one that would follow too soon on the last is held open, and the model's others count.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.channels import LIDS

Floats = NDArray[np.floating]
Rows = slice | NDArray[np.intp]
"""Which of the streams."""

_LIDS = list(LIDS)

SHUT = 0.5
"""Lids further down than this have blinked."""
BEGINS, ENDS = 0.45, 0.35
"""A blink has begun with lids further down than the first, and is over with lids above the other;
lids that follow a look down stay above."""
BLINK = (0.6, 1.0, 0.95, 0.4, 0.1)
"""How far they are down in the frames of a blink that is added, 0.2 s."""
SPREAD = 0.3
"""Of the stares' lengths, as of a logarithm: nobody blinks by the clock."""
APART = 0.28
"""Of the longest stare, in which no other blink may begin: 2 s where that is 7."""
_OPEN, _BLINKING, _HELD = range(3)


class Blinks:
    """The blinks of S streams.

    Args:
        frames: a stare lasts about so long at most; 0 leaves the lids as they are.
        seeds: of the stares' lengths, one a stream.
    """

    def __init__(self, frames: float, seeds: Sequence[int]) -> None:
        self._frames = frames
        self._rngs: list[Any] = [None] * len(seeds)
        self._left = np.zeros(len(seeds), np.int64)  # until the lids must fall
        self._apart = np.zeros(len(seeds), np.int64)  # until they may
        self._lids = np.zeros(len(seeds), np.int64)
        for stream, seed in enumerate(seeds if frames else ()):
            self._rngs[stream] = np.random.default_rng([seed & 0xFFFF_FFFF_FFFF_FFFF, 0x11D5])
            # A stream begins somewhere in a stare: short ones have their blinks, too.
            share = self._rngs[stream].random()
            self._left[stream] = math.ceil(share * self._length(stream))

    def apply(self, raw: Floats, at: Rows = slice(None)) -> None:
        """Let the lids of new frames (B, n, D) in raw units fall or stay, in place."""
        if not self._frames:
            return
        streams = np.arange(len(self._left))[at]
        for row in raw.swapaxes(0, 1):
            self._space(row, streams)
            left = self._left[streams]
            for i in np.flatnonzero(row[:, _LIDS].mean(-1) > SHUT):
                left[i] = self._length(streams[i])
            for i in np.flatnonzero(left <= 0):
                row[i, _LIDS] = np.maximum(row[i, _LIDS], BLINK[-left[i]])
                self._apart[streams[i]] = round(APART * self._frames)
                if left[i] == 1 - len(BLINK):
                    left[i] = self._length(streams[i]) + 1
            self._left[streams] = left - 1

    def put(self, stream: int, other: Blinks) -> None:
        """Let a stream go on as that of `other`, which has one."""
        self._left[stream], self._apart[stream] = other._left[0], other._apart[0]
        self._lids[stream], self._rngs[stream] = other._lids[0], other._rngs[0]

    def of(self, stream: int) -> Blinks:
        """One stream's, which goes its own way from here."""
        one = copy.copy(self)
        one._left, one._apart, one._lids = (
            each[stream : stream + 1].copy() for each in (self._left, self._apart, self._lids)
        )
        one._rngs = [copy.deepcopy(self._rngs[stream])]
        return one

    def _space(self, row: Floats, streams: NDArray[np.intp]) -> None:
        """Hold lids open that would fall too soon again; (B, D), in place."""
        down, lids, apart = row[:, _LIDS].mean(-1), self._lids[streams], self._apart[streams]
        begins = (lids == _OPEN) & (down > BEGINS)
        ends = (lids != _OPEN) & (down < ENDS)
        for i in np.flatnonzero(ends & (lids == _BLINKING)):
            apart[i] = round(APART * self._length(streams[i]))
        lids = np.where(begins, np.where(apart > 0, _HELD, _BLINKING), np.where(ends, _OPEN, lids))
        held = lids == _HELD
        if held.any():
            row[np.ix_(held, _LIDS)] = np.minimum(row[np.ix_(held, _LIDS)], ENDS)
        self._lids[streams], self._apart[streams] = lids, apart - 1

    def _length(self, stream: int) -> int:
        """Frames until the lids must fall."""
        spread = float(np.exp(SPREAD * self._rngs[stream].standard_normal()))
        return max(1, round(self._frames * spread))
