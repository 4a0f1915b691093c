"""Where finished frames go: the server, a recording, a test."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream.frames import Frame

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameTiming:
    """The life of one frame, in seconds on the live loop's clock, each not before the last.

    Attributes:
        captured: the middle sample of the frame's 40 ms was captured.
        complete: the last sample that the model call needed was captured: what lies between is
            the hop and the lookahead, the algorithmic part.
        arrived: that sample's block was here: capture buffering.
        began: the model call began: waiting for the call before.
        computed: the call was done: speech encoder and sampler.
    """

    captured: float
    complete: float
    arrived: float
    began: float
    computed: float


class FrameSink(Protocol):
    """Takes what the live loop produces; called from one thread, and never makes it wait."""

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """(n,) samples from the absolute index `start` went into the session."""
        ...

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        """A finished frame."""
        ...

    def on_interrupt(self, sample: int) -> None:
        """Speech was cut: from `sample` on there is silence until new audio comes."""
        ...

    def close(self) -> None:
        """No more frames will come."""
        ...


class Sinks:
    """Several sinks; one that fails is told nothing more, and the others go on.

    Attributes:
        error: what the first sink to fail raised.
    """

    def __init__(self, sinks: Iterable[FrameSink]) -> None:
        self._sinks = list(sinks)
        self.error: Exception | None = None

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        """A finished frame, for every sink."""
        self._each(lambda sink: sink.on_frame(frame, timing))

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Sound that went into the session, for every sink."""
        self._each(lambda sink: sink.on_audio(start, samples))

    def on_interrupt(self, sample: int) -> None:
        """Speech was cut, for every sink to know."""
        self._each(lambda sink: sink.on_interrupt(sample))

    def _each(self, act: Callable[[FrameSink], None]) -> None:
        for sink in list(self._sinks):
            try:
                act(sink)
            except Exception as error:
                log.error("%s failed and gets no more frames: %s", type(sink).__name__, error)
                self._sinks.remove(sink)
                self.error = self.error or error


@dataclass
class Collected:
    """A sink that keeps everything: for short runs and for tests.

    Attributes:
        frames, timings: what `on_frame` got.
        pieces: what `on_audio` got.
        cuts: what `on_interrupt` got.
    """

    frames: list[Frame] = field(default_factory=list)
    timings: list[FrameTiming] = field(default_factory=list)
    pieces: list[NDArray[np.float32]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        self.pieces.append(samples)

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        self.frames.append(frame)
        self.timings.append(timing)

    def on_interrupt(self, sample: int) -> None:
        self.cuts.append(sample)

    def close(self) -> None:
        pass

    @property
    def motion(self) -> NDArray[np.float32]:
        """(L, D) all frames."""
        return np.stack([frame.motion for frame in self.frames])

    @property
    def heard(self) -> NDArray[np.float32]:
        """(n,) all audio."""
        return np.concatenate(self.pieces)
