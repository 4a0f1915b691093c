"""Proxies that note moments inside the product, at the seams it already has.

Each costs one reading of the clock and one write into an array that was made before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.hop import HopCall, HopGraph
from stream.backends.protocol import Backend, FloatArray, SamplerCall, SpeechState
from stream.backends.slots.hop_slots import Guided, HopKind, HopSlots, Slots
from stream.frames import Frame
from stream.run.sinks import FrameTiming
from stream.serve.frame_encoder import Encoder

Now = Callable[[], float]

COLUMNS = (
    "captured",
    "complete",
    "arrived",
    "began",
    "computed",
    "speech",
    "sampler",
    "sampled",
    "taken",
)
"""What is noted of a frame: moments of `FrameTiming`; seconds in the speech encoder and in the
sampler; the moment at which the sampler was done; the moment at which the server's thread had it as
bytes for the first client."""


class TimedBackend:
    """A backend that counts the seconds spent in it; everything else passes through.

    Attributes:
        speech, sampler: seconds since the last `take`.
        sampled: when the sampler was last done.
        batches: how many windows each call of the sampler had.
    """

    def __init__(self, inner: Backend, now: Now) -> None:
        self._inner, self._now = inner, now
        self.now = now
        self.speech = self.sampler = self.sampled = 0.0
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def encode(self, pcm: FloatArray, state: SpeechState) -> tuple[FloatArray, SpeechState]:
        """See `Backend`."""
        return self._heard(self._inner.encode, pcm, state)

    def encode_many(
        self, pcms: Sequence[FloatArray], states: Sequence[SpeechState]
    ) -> list[tuple[FloatArray, SpeechState]]:
        """See `Backend`."""
        return self._heard(self._inner.encode_many, pcms, states)

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """See `Backend`."""
        return self._heard(self._inner.encode_window, pcm)

    def encode_window_many(self, pcms: Sequence[FloatArray]) -> list[FloatArray]:
        """See `Backend`."""
        return self._heard(self._inner.encode_window_many, pcms)

    def sample(self, call: SamplerCall) -> FloatArray:
        """See `Backend`."""
        return self.sample_many([call])[0]

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        """See `Backend`."""
        began = self._now()
        result = self._inner.sample_many(calls)
        self.sampled = self._now()
        self.sampler += self.sampled - began
        self.batches.append(len(calls))
        return result

    def hop_graph(self, kind: HopKind) -> Any:
        """A graph of whole hops, where the model has one, timed as the sampler is."""
        graph = self._inner.hop_graph(kind)
        return None if graph is None else TimedHops(graph, self)

    def hop_slots(self, kind: HopKind, count: int) -> Any:
        """Slots for the states of streams, where the model has some, timed likewise."""
        slots = self._inner.hop_slots(kind, count)
        return None if slots is None else TimedSlots(slots, self)

    def note_hop(self, seconds: float, sessions: int = 1) -> None:
        """Count a whole hop of so many, done now."""
        self.sampled = self._now()
        self.sampler += seconds
        self.batches.append(sessions)

    def _heard(self, encode: Callable[..., Any], *values: Any) -> Any:
        began = self._now()
        result = encode(*values)
        self.speech += self._now() - began
        return result

    def take(self) -> tuple[float, float, float]:
        """Seconds in the speech encoder and in the sampler since the last call of this, and
        `sampled`."""
        spent = self.speech, self.sampler, self.sampled
        self.speech = self.sampler = 0.0
        return spent


class TimedHops:
    """A graph of whole hops: speech and sampler in one call, counted as the sampler's."""

    def __init__(self, inner: HopGraph, backend: TimedBackend) -> None:
        self._inner, self._backend = inner, backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, call: HopCall) -> FloatArray:
        """See `HopGraph`."""
        began = self._backend.now()
        result = self._inner.run(call)
        self._backend.note_hop(self._backend.now() - began)
        return result


class TimedSlots:
    """Whole hops of many streams: speech and sampler in one call, counted as the sampler's."""

    def __init__(self, inner: HopSlots, backend: TimedBackend) -> None:
        self._inner, self._backend = inner, backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def run(self, slots: Slots, pcm: FloatArray, noise: FloatArray, guided: Guided) -> FloatArray:
        """See `HopSlots`."""
        began = self._backend.now()
        result = self._inner.run(slots, pcm, noise, guided)
        self._backend.note_hop(self._backend.now() - began, len(slots))
        return result


class Notebook:
    """A sink that notes one row per frame: (frames, len(COLUMNS)), NaN where nothing came."""

    def __init__(self, frames: int, backend: TimedBackend) -> None:
        self.rows: NDArray[np.float64] = np.full((frames, len(COLUMNS)), np.nan)
        self._backend = backend
        self._call = np.nan
        self._spent = (0.0, 0.0, 0.0)

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        """Note the frame; frames of one call share its times."""
        if timing.began != self._call:
            self._call, self._spent = timing.began, self._backend.take()
        if frame.sequence < len(self.rows):
            self.rows[frame.sequence, :8] = (
                timing.captured,
                timing.complete,
                timing.arrived,
                timing.began,
                timing.computed,
                *self._spent,
            )

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Not noted."""

    def on_interrupt(self, sample: int) -> None:
        """Not noted."""

    def close(self) -> None:
        """Nothing to finish."""


class TimedEncoder:
    """The server's encoder; notes when a frame's bytes were ready for the first client."""

    def __init__(self, inner: Encoder, notebook: Notebook, now: Now) -> None:
        self._inner, self._taken, self._now = inner, notebook.rows[:, -1], now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def encoded(self, frame: Frame, name: str, as_json: bool) -> bytes | str:
        """See `Encoder`."""
        data = await self._inner.encoded(frame, name, as_json)
        if frame.sequence < len(self._taken) and np.isnan(self._taken[frame.sequence]):
            self._taken[frame.sequence] = self._now()
        return data
