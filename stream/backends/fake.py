"""The fake backend: a loudness follower, with no network and no weights.

It opens the jaw with the sound's log energy.  It runs everywhere in microseconds, and it is the
trivial predictor that every quality figure of a real model stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from diffposetalk.spec import DenoiserSpec, LiveDefaults, ModelSpec, SpeechEncoderSpec
from stream.backends.protocol import BATCH_ON_CPU, FloatArray, SamplerCall, SpeechState, Statistics

if TYPE_CHECKING:
    from stream.backends.hop import HopGraph
    from stream.backends.slots.hop_slots import HopKind, HopSlots

FLOOR_DB, FULL_DB = -50.0, -15.0
"""Sound at FLOOR_DB (of full scale) leaves the jaw shut, at FULL_DB opens it by FULL_JAW."""
FULL_JAW = 0.16
"""Radians."""
SMOOTHING = 0.35
"""Share of the previous frame's jaw that is kept."""

_SPEC = ModelSpec(
    T_p=1,
    use_style=False,
    speech=SpeechEncoderSpec(kind="mel", d_out=1, history_frames=1),
    denoiser=DenoiserSpec(d_model=1, n_heads=1, n_layers=0),
    live=LiveDefaults(
        hop=2, lookahead=2, steps=1, window_rule="adjacent", audio_guidance=1.0, style_guidance=1.0
    ),
)


def loudness(pcm: FloatArray, frame_samples: int = 640) -> FloatArray:
    """Log energy per frame, 0 at FLOOR_DB and 1 at FULL_DB, clipped: (n * 640,) -> (n,)."""
    frames = pcm.reshape(-1, frame_samples).astype(np.float64)
    level = 10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    return np.clip((level - FLOOR_DB) / (FULL_DB - FLOOR_DB), 0.0, 1.0).astype(np.float32)


class FakeBackend:
    """A loudness follower behind the `Backend` protocol."""

    name, precision, place, threads = "fake", "fp32", "cpu", 1
    incremental = True
    max_batch = BATCH_ON_CPU

    def __init__(self, head_id: str = "posetalk-head-1") -> None:
        self.spec = _SPEC
        d, n_shape = self.spec.d_motion, self.spec.n_shape
        self.statistics = Statistics(
            np.zeros(d, np.float32),
            np.ones(d, np.float32),
            np.zeros(n_shape, np.float32),
            np.ones(n_shape, np.float32),
        )
        self.styles: Mapping[str, FloatArray] = {"neutral": np.zeros(0, np.float32)}
        self.head_id = head_id
        self.bundle_hash = "fake"

    def speech_state(self) -> SpeechState:
        """Loudness has no memory."""
        return None

    def encode(self, pcm: FloatArray, state: SpeechState) -> tuple[FloatArray, SpeechState]:
        """(n * 640,) -> (n, 1) loudness."""
        return loudness(pcm, self.spec.frame_samples)[:, None], state

    def encode_many(
        self, pcms: Sequence[FloatArray], states: Sequence[SpeechState]
    ) -> list[tuple[FloatArray, SpeechState]]:
        """One after the other: there is nothing to share."""
        return [self.encode(pcm, state) for pcm, state in zip(pcms, states, strict=True)]

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """The same, for callers that encode windows."""
        return self.encode(pcm, None)[0]

    def encode_window_many(self, pcms: Sequence[FloatArray]) -> list[FloatArray]:
        """One after the other."""
        return [self.encode_window(pcm) for pcm in pcms]

    def sample(self, call: SamplerCall) -> FloatArray:
        """The jaw follows the loudness, smoothed from the context on: (n, D)."""
        motion = np.zeros((len(call.features), self.spec.d_motion), np.float32)
        previous = 0.0 if call.missing else float(call.context_motion[-1, -1])
        for frame in range(len(motion)):
            target = FULL_JAW * float(call.features[frame, 0])
            previous = SMOOTHING * previous + (1.0 - SMOOTHING) * target
            motion[frame, -1] = previous
        return motion

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        """One after the other."""
        return [self.sample(call) for call in calls]

    def hop_graph(self, kind: HopKind) -> HopGraph | None:
        """It has none."""
        return None

    def hop_slots(self, kind: HopKind, count: int) -> HopSlots | None:
        """It has none; `SlottedFake` does."""
        return None

    def getting_ready(self) -> AbstractContextManager[None]:
        """There is nothing to make."""
        return nullcontext()
