"""What sessions and the live loop count and measure: values; printing them is another's affair."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream.frames import SAMPLE_RATE
from stream.run.input_level import InputLevel
from stream.run.sinks import FrameTiming

STAGES = ("algorithm", "capture", "queue", "model", "send")
"""The parts of a frame's latency, in order; they add up to it exactly.

algorithm: the hop and the lookahead; capture: until the audio's block was here; queue: until the
model call began; model: speech encoder and sampler; send: until the sinks had it.
"""


@dataclass(frozen=True)
class Spread:
    """A distribution, in milliseconds."""

    p50: float
    p90: float
    p99: float
    max: float


MOST_MERGES = 100_000
"""Merges that are written down: about 10 MB, hours of a machine that is never in time."""


@dataclass
class SessionMetrics:
    """What became of the audio of a scheduled session.

    Attributes:
        frames: delivered; calls: model calls that made them.
        late: calls that began more than a hop after their audio was here.
        merges: (end frame, hops) of the first 100,000 calls that covered more than one hop, and
            `merged` the number of all such calls: enough to replay the run
            (`stream.run.live_loop.replay`).
        refused: samples that found the queue full.
        interrupts: how often speech was cut.
    """

    frames: int = 0
    calls: int = 0
    late: int = 0
    merged: int = 0
    refused: int = 0
    interrupts: int = 0
    merges: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class ModelCall:
    """One model call of a session, its moments on the scheduler's clock.

    Attributes:
        end: the frame before which all audio had arrived.
        hops: that it covered.
        late: it began more than a hop after its audio was here.
        began, computed: when it began, and when its frames were there.
    """

    end: int
    hops: int
    late: bool
    began: float
    computed: float


class LiveStatistics:
    """Counters, and the timings of the last `history` frames, in constant memory.

    Attributes:
        frames: frames sent.
        late: frames whose model call began more than one hop after their audio was here.
        dropped: samples lost because nobody took them in time.
        merged: model calls that covered more than one hop.
        merges: (end frame, hops) of the first `most_merges` of these: as long as they are all of
            them (`len(merges) == merged`), the run can be replayed exactly.
        interrupts: how often speech was cut.
        audio_seconds: audio animated.
        level: of what is heard.
    """

    def __init__(self, history: int = 7500, most_merges: int = MOST_MERGES) -> None:
        self._rows = np.zeros((history, len(STAGES)), np.float64)
        self.frames = 0
        self.late = 0
        self.dropped = 0
        self.interrupts = 0
        self.audio_seconds = 0.0
        self.level = InputLevel()
        self.merged = 0
        self.merges: list[tuple[int, int]] = []
        self._most_merges = most_merges

    def hear(self, start: int, samples: NDArray[np.float32]) -> None:
        """Count sound that is animated: (n,) samples from the absolute index `start`."""
        self.level.hear(samples)
        self.audio_seconds = (start + len(samples)) / SAMPLE_RATE

    def add(self, timing: FrameTiming, sent: float, late: bool) -> None:
        """Count one frame that the sinks had at `sent`."""
        t = timing
        moments = (t.captured, t.complete, t.arrived, t.began, t.computed, sent)
        self._rows[self.frames % len(self._rows)] = np.diff(moments)
        self.frames += 1
        self.late += late

    def merge(self, end: int, hops: int) -> None:
        """Count one model call up to frame `end` that covered more than one hop."""
        self.merged += 1
        if len(self.merges) < self._most_merges:
            self.merges.append((end, hops))

    def rows(self) -> NDArray[np.float64]:
        """(n, 5) seconds per stage of the latest frames, oldest first."""
        held = len(self._rows)
        if self.frames <= held:
            return self._rows[: self.frames].copy()
        return np.roll(self._rows, -(self.frames % held), axis=0)

    def latency(self, last: int | None = None) -> Spread:
        """Latency of the latest frames (at most `last`); zeros before the first."""
        rows = self.rows()
        return spread(rows[-last:].sum(axis=1) if last else rows.sum(axis=1))

    def stages(self) -> dict[str, Spread]:
        """The same for each of `STAGES`."""
        return {name: spread(column) for name, column in zip(STAGES, self.rows().T, strict=True)}


def spread(seconds: NDArray[np.float64]) -> Spread:
    """Percentiles of (n,) seconds, in milliseconds."""
    if not len(seconds):
        return Spread(0.0, 0.0, 0.0, 0.0)
    p50, p90, p99, most = (float(v) for v in np.percentile(seconds * 1e3, (50, 90, 99, 100)))
    return Spread(p50, p90, p99, most)
