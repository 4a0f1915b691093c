"""Runs of the live loop on a clock of the test's own: sources, models that take their time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream.backends.registry import load_backend
from stream.clock import FakeClock
from stream.core.session import Session
from stream.frames import Frame
from stream.run.sinks import Collected, FrameTiming
from stream.sources import Block, SourceError

BACKEND = load_backend("fake")


def speech(seconds: float) -> NDArray[np.float32]:
    """Noise that swells and fades, so that every frame differs from its neighbours."""
    n = int(16000 * seconds)
    swell = np.sin(np.arange(n) * 2e-4) ** 2
    return (np.random.default_rng(0).normal(0, 0.1, n) * swell).astype("f4")


class Collect(Collected):
    """Keeps everything, and checks that it comes in order."""

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        assert start == sum(map(len, self.pieces))
        super().on_audio(start, samples)

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        assert frame.sequence == len(self.frames)
        assert frame.sample == 640 * frame.sequence
        moments = [timing.captured, timing.complete, timing.arrived, timing.began, timing.computed]
        assert moments == sorted(moments)
        super().on_frame(frame, timing)


class Script:
    """A source that says what it is told to, on a fake clock."""

    name = "script"
    device_latency = 0.0
    kind = "microphone"
    dropped = 0

    def __init__(
        self,
        samples: NDArray[np.float32],
        clock: FakeClock,
        *,
        realtime: bool = True,
        skip: tuple[int, ...] = (),
        fail_at: int | None = None,
    ) -> None:
        self.realtime = realtime
        self._samples, self._clock = samples, clock
        self._skip, self._fail_at = skip, fail_at
        self._closed = threading.Event()
        self.turn = threading.Semaphore(0)  # released once per block that may come
        self.done = False

    def __iter__(self) -> Iterator[Block]:
        for number, at in enumerate(range(0, len(self._samples), 320)):
            self.turn.acquire()
            if self._closed.is_set():
                return
            if number == self._fail_at:
                raise SourceError("the script is torn")
            if number in self._skip:
                continue
            piece = self._samples[at : at + 320]
            now = self._clock.now()
            yield Block(at, piece, now, now)
        self.done = True

    def release_all(self) -> None:
        self.turn.release(len(self._samples) // 320 + 1)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self._closed.set()
        self.release_all()


def reference(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    session = Session(BACKEND)
    return np.stack([f.motion for f in session.feed(samples) + session.finish()])
