"""The fake backend with slots: what sessions cost beside a model that costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.fake import FULL_JAW, SMOOTHING, FakeBackend, loudness
from stream.backends.protocol import FloatArray, SpeechState
from stream.backends.slots.hop_slots import Guided, HopKind, Slots

MOST_IN_A_CALL = 1024


class SlottedFake(FakeBackend):
    """The loudness follower, with the states of its streams in slots."""

    def hop_slots(self, kind: HopKind, count: int) -> FakeSlots:
        """Slots for so many streams."""
        return FakeSlots(self, kind, count)


class FakeSlots:
    """The streams' features and motion, as `HopSlots`.

    Args:
        backend: of the streams.
        kind: of their hops.
        count: slots.
    """

    most = MOST_IN_A_CALL

    def __init__(self, backend: FakeBackend, kind: HopKind, count: int) -> None:
        self._spec, self._kind, self.count = backend.spec, kind, count
        reach = kind.reach(self._spec)
        self._features = np.zeros((count, reach, 1), np.float32)
        self._motion = np.zeros((count, reach - kind.lookahead, self._spec.d_motion), np.float32)
        self.conditions: dict[int, dict[str, Any]] = {}

    def prepare(self, guided: Guided) -> None:
        """There is nothing to make."""

    def call_of(self, guided: Guided) -> Guided:
        """Loudness is not guided."""
        return False, False

    def put(self, slot: int, rows: Mapping[str, NDArray[Any]], speech: SpeechState) -> None:
        """See `HopSlots`."""
        self._features[slot], self._motion[slot] = rows["features"], rows["motion"]

    def get(self, slot: int) -> tuple[dict[str, NDArray[Any]], SpeechState]:
        """See `HopSlots`."""
        rows = {"features": self._features[slot].copy(), "motion": self._motion[slot].copy()}
        return rows, None

    def condition(self, slot: int, values: Mapping[str, Any]) -> None:
        """Kept; loudness knows none."""
        self.conditions[slot] = dict(values)

    def run(self, slots: Slots, pcm: FloatArray, noise: FloatArray, guided: Guided) -> FloatArray:
        """The jaw follows the loudness, as `FakeBackend.sample` has it."""
        hop, frame = self._kind.hop, self._spec.frame_samples
        fresh = loudness(pcm.reshape(-1), frame).reshape(len(slots), hop, 1)
        heard = np.concatenate([self._features[slots], fresh], axis=1)
        first = heard.shape[1] - self._kind.lookahead - hop  # what comes out is so far behind
        motion = np.zeros((len(slots), hop, self._spec.d_motion), np.float32)
        previous = self._motion[slots, -1, -1]
        for k in range(hop):
            target = FULL_JAW * heard[:, first + k, 0]
            previous = SMOOTHING * previous + (1.0 - SMOOTHING) * target
            motion[:, k, -1] = previous
        self._features[slots] = heard[:, hop:]
        self._motion[slots] = np.concatenate([self._motion[slots], motion], axis=1)[:, hop:]
        return motion

    def close(self) -> None:
        """See `HopSlots`; no thread is theirs."""
