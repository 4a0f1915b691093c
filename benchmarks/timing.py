"""Proxies that note moments inside the product, at the seams it already has.

Each costs one reading of the clock and one write into an array that was made before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import Backend, FloatArray, SamplerCall, SpeechState
from stream.encoder import Encoder
from stream.frames import Frame
from stream.sink import FrameTiming

Now = Callable[[], float]

COLUMNS = ("captured", "complete", "arrived", "began", "computed", "speech", "sampler", "taken")
"""What is noted of a frame: moments of `FrameTiming`; seconds in the speech encoder and in the
sampler; the moment at which the server's thread had it as bytes for the first client."""


class TimedBackend:
    """A backend that counts the seconds spent in it; everything else passes through.

    Attributes:
        speech, sampler: seconds since the last `take`.
    """

    def __init__(self, inner: Backend, now: Now) -> None:
        self._inner, self._now = inner, now
        self.speech = self.sampler = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def encode(self, pcm: FloatArray, state: SpeechState) -> tuple[FloatArray, SpeechState]:
        """See `Backend`."""
        began = self._now()
        result = self._inner.encode(pcm, state)
        self.speech += self._now() - began
        return result

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """See `Backend`."""
        began = self._now()
        result = self._inner.encode_window(pcm)
        self.speech += self._now() - began
        return result

    def sample(self, call: SamplerCall) -> FloatArray:
        """See `Backend`."""
        began = self._now()
        result = self._inner.sample(call)
        self.sampler += self._now() - began
        return result

    def take(self) -> tuple[float, float]:
        """Seconds in the speech encoder and in the sampler since the last call of this."""
        spent = self.speech, self.sampler
        self.speech = self.sampler = 0.0
        return spent


class Notebook:
    """A sink that notes one row per frame: (frames, len(COLUMNS)), NaN where nothing came."""

    def __init__(self, frames: int, backend: TimedBackend) -> None:
        self.rows: NDArray[np.float64] = np.full((frames, len(COLUMNS)), np.nan)
        self._backend = backend
        self._call = np.nan
        self._spent = (0.0, 0.0)

    def send(self, frame: Frame, timing: FrameTiming) -> None:
        """Note the frame; frames of one call share its times."""
        if timing.began != self._call:
            self._call, self._spent = timing.began, self._backend.take()
        if frame.sequence < len(self.rows):
            self.rows[frame.sequence, :7] = (
                timing.captured,
                timing.complete,
                timing.arrived,
                timing.began,
                timing.computed,
                *self._spent,
            )

    def audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Not noted."""

    def interrupted(self, sample: int) -> None:
        """Not noted."""

    def close(self) -> None:
        """Nothing to finish."""


class TimedEncoder:
    """The server's encoder; notes when a frame's bytes were ready for the first client."""

    def __init__(self, inner: Encoder, notebook: Notebook, now: Now) -> None:
        self._inner, self._taken, self._now = inner, notebook.rows[:, -1], now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def frame(self, frame: Frame, name: str, as_json: bool) -> bytes | str:
        """See `Encoder`."""
        data = self._inner.frame(frame, name, as_json)
        if frame.sequence < len(self._taken) and np.isnan(self._taken[frame.sequence]):
            self._taken[frame.sequence] = self._now()
        return data
