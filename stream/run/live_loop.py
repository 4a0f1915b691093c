"""The live loop: a source's thread feeds a scheduled session, whose frames go to the sinks.

source --Block--> ScheduledSession.feed        Scheduler's thread --> Frame, sound --> sinks
(own thread)

The session has a scheduler of its own, so that nobody else's batch makes it wait.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import signal
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE, AudioSource, Block
from stream.backends.protocol import BATCH_ON_CPU
from stream.clock import Clock, MonotonicClock
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.frames import Frame
from stream.run.capacity import merged_hops
from stream.run.metrics import LiveStatistics
from stream.run.scheduler import Scheduler
from stream.run.sinks import FrameSink, FrameTiming, Sinks

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05  # how soon a stop is seen
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LiveLoop:
    """Animates a source until it ends or is stopped.

    Args:
        source: closed by `run`, whatever happens.
        session: belongs to the loop.
        sinks: get audio and frames, on one thread; their owner closes them.
        clock: the source's clock.
        statistics: where to count; may be read while the loop runs.
        stop_deadline: seconds that a stop may take to bring out what was captured before it.
    """

    def __init__(
        self,
        source: AudioSource,
        session: Session,
        sinks: Sequence[FrameSink],
        *,
        clock: Clock | None = None,
        statistics: LiveStatistics | None = None,
        stop_deadline: float = 2.0,
    ) -> None:
        self.statistics = statistics or LiveStatistics()
        self._source, self._sinks = source, Sinks(sinks)
        self._clock = clock or MonotonicClock()
        self._stop_deadline = stop_deadline
        self._frame_samples = session.backend.spec.frame_samples
        self._scheduler = Scheduler(session.backend, 1, workers=1, clock=self._clock, like=session)
        self._scheduled = self._scheduler.open(
            session, self._deliver, realtime=source.realtime, listener=self
        )
        self._lock = threading.Lock()  # of the stamps
        # Stamps of the blocks that frames still to come depend on, oldest first.
        self._stamps: deque[Block] = deque()
        self._fed = 0
        self._limit: int | None = None
        self._source_error: BaseException | None = None
        self._cut = -math.inf  # audio that arrived before this moment is not to be spoken
        self._refused = 0

    # --- from any thread -----------------------------------------------------------------------
    def interrupt(self) -> None:
        """Cut the speech: audio that waits, here or in the source, becomes silence.

        The next model call, at most one hop away, sees silence; frames go on without a gap.
        """
        self._source.interrupt()
        self._cut = self._clock.now()
        self._scheduled.interrupt()
        self.statistics.interrupts += 1

    def change(self, request: ConditionChange) -> None:
        """Speak like this from the next call on; raises ValueError where that cannot be."""
        self._scheduled.change(request)

    @property
    def conditions(self) -> dict[str, Any]:
        """How it speaks by now, see `ConditionTrack.now`."""
        return self._scheduled.session.conditions.now

    # --- the loop ------------------------------------------------------------------------------
    def run(
        self, *, stop: threading.Event | None = None, seconds: float | None = None
    ) -> LiveStatistics:
        """Animate until the audio ends, `stop` is set or `seconds` of audio have passed.

        Raises what the source, the model or a sink raised, after everything produced has been
        delivered.
        """
        self._limit = None if seconds is None else round(seconds * SAMPLE_RATE)
        reader = threading.Thread(target=self._capture, name="capture", daemon=True)
        reader.start()
        ended = self._scheduled.ended
        try:
            while not ended.wait(POLL_SECONDS):
                if stop is not None and stop.is_set():
                    self._source.close()
                    self._scheduled.finish()
                    ended.wait(self._stop_deadline)
                    break
        finally:
            self._source.close()
            self._scheduled.close()
            self._scheduler.close()
            reader.join(self._stop_deadline)
            if reader.is_alive():
                log.warning("the source %s did not stop in time", self._source.name)
            self._count_dropped()
        error = self._source_error or self._scheduled.error or self._sinks.error
        if error is not None:
            raise error
        return self.statistics

    def _capture(self) -> None:
        """On the source's thread: every block goes to the session, or is counted as dropped."""
        try:
            for block in self._source:
                self._feed(block)
                if self._limit is not None and self._fed >= self._limit:
                    break
        except BaseException as error:
            self._source_error = error
        finally:
            self._scheduled.finish()

    def _feed(self, block: Block) -> None:
        """Feed a block, with silence where some before it were dropped."""
        samples = block.samples
        if block.arrival <= self._cut:
            samples = np.zeros_like(samples)
        if block.start > self._fed:
            gap = np.zeros(block.start - self._fed, np.float32)
            samples = np.concatenate([gap, samples])
        if self._limit is not None:
            samples = samples[: max(0, self._limit - self._fed)]
        if not len(samples):
            return
        with self._lock:
            self._stamps.append(block)
        with contextlib.suppress(ValueError):  # it has been stopped meanwhile
            if self._scheduled.feed(samples, wait=not self._source.realtime):
                self._fed += len(samples)
                return
            self._refused += len(block.samples)
        with self._lock:
            self._stamps.remove(block)

    # --- from the scheduler's thread -----------------------------------------------------------
    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Sound went into the session."""
        self.statistics.hear(start, samples)
        self._sinks.on_audio(start, samples)

    def on_interrupt(self, sample: int) -> None:
        """From this sample on the session hears silence."""
        self._sinks.on_interrupt(sample)

    def _deliver(self, frames: list[Frame]) -> None:
        scheduled, call = self._scheduled, self._scheduled.call
        n, done = self._frame_samples, scheduled.session.committed * self._frame_samples
        with self._lock:
            stamps = list(self._stamps)
            while len(self._stamps) > 1 and self._stamps[0].end < done:
                self._stamps.popleft()
        # When sample 0 was captured, by the latest and best estimate.
        t0 = min(block.captured - block.end / SAMPLE_RATE for block in stamps)
        complete = t0 + call.end * n / SAMPLE_RATE
        arrived = next((b.arrival for b in stamps if b.end >= call.end * n), stamps[-1].arrival)
        if call.hops > 1:
            self.statistics.merge(call.end, call.hops)
        for frame in frames:
            captured = t0 + (frame.sample + n / 2) / SAMPLE_RATE
            timing = FrameTiming(captured, complete, arrived, call.began, call.computed)
            self._sinks.on_frame(frame, timing)
            self.statistics.add(timing, self._clock.now(), call.late)
        self._count_dropped()

    def _count_dropped(self) -> None:
        self.statistics.dropped = self._refused + self._source.dropped


def warm_up(session: Session, seconds: float = 1.0) -> None:
    """Run the session on silence for a moment, so that its first real frame is not the slowest.

    On a GPU, whose calls are captured when they are first made, it takes as long as it takes to
    come by every window from the start on, and by hops that are merged.

    Afterwards the session is as new, and what lives now is out of the garbage collector's sight,
    whose full passes would otherwise stop the loop for many milliseconds.
    """
    clock = MonotonicClock()
    until = clock.now() + seconds
    spec, hops = session.backend.spec, 12
    if session.backend.max_batch > BATCH_ON_CPU:
        until, hops = math.inf, max(hops, (spec.T_w + spec.T_p) // session.hop + 2)
    merges = [2, 3]
    if session.backend.max_batch > BATCH_ON_CPU:
        merges = merged_hops(session)
    hop = np.zeros(session.hop * spec.frame_samples, np.float32)
    session.append(np.zeros(session.lookahead * spec.frame_samples, np.float32))
    with session.backend.getting_ready():
        for _ in range(hops):
            session.feed(hop)
            if clock.now() > until:
                break
        for merged in merges:
            if clock.now() <= until:
                session.append(np.tile(hop, merged))
                session.step(merged)
    session.reset()
    gc.collect()
    gc.freeze()


def replay(
    session: Session, samples: NDArray[np.float32], merges: Sequence[tuple[int, int]]
) -> list[Frame]:
    """The frames of a live run again: its audio, (n,), and all its merges.

    `LiveStatistics.merges` has them all unless `merged` is more than their number.
    """
    hops_at: Mapping[int, int] = dict(merges)
    most = max(hops_at.values(), default=1)
    session.append(samples)
    frames: list[Frame] = []
    while session.pending_hops:
        start = max(session.end, session.lookahead)
        hops = next((h for h in range(2, most + 1) if hops_at.get(start + h * session.hop) == h), 1)
        frames += session.step(hops)
    return frames + session.finish()


class StopEvent(threading.Event):
    """Set where a run is to end; `signal` is the signal that asked for it, 0 if none did."""

    signal: int = 0


@contextlib.contextmanager
def stop_on_ctrl_c() -> Iterator[StopEvent]:
    """An event that Ctrl-C or SIGTERM sets; a second one interrupts.  For the main thread."""
    stop = StopEvent()

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.signal = number
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
