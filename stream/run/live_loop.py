"""The live loop: a source's thread, a bounded queue, the session in the caller's thread, the sinks.

source --Block--> BlockQueue --> Session.append / step --> Frame --> sinks
(own thread)                     (the thread that calls `run`)
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
from stream.clock import Clock, MonotonicClock
from stream.core.session import Session
from stream.frames import Frame
from stream.run.block_queue import BlockQueue
from stream.run.metrics import LiveStatistics
from stream.run.sinks import FrameSink, FrameTiming, Sinks

log = logging.getLogger(__name__)

QUEUE_SECONDS = 10.0
POLL_SECONDS = 0.1  # how soon a stop is seen while no audio comes
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LiveLoop:
    """Animates a source until it ends or is stopped.

    Args:
        source: closed by `run`, whatever happens.
        session: used by the thread that calls `run`, and by no other.
        sinks: get audio and frames; their owner closes them.
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
        self._source, self._session = source, session
        self._sinks = Sinks(sinks)
        self._clock = clock or MonotonicClock()
        self._stop_deadline = stop_deadline
        self._queue = BlockQueue(int(QUEUE_SECONDS * SAMPLE_RATE), may_wait=not source.realtime)
        spec = session.backend.spec
        self._frame_samples = spec.frame_samples
        self._hop_seconds = session.hop * spec.frame_samples / SAMPLE_RATE
        self._appended = 0
        # Stamps of the blocks that frames still to come depend on, oldest first.
        self._stamps: deque[Block] = deque()
        self._source_error: BaseException | None = None
        self._interrupted = threading.Event()
        self._cut = -math.inf  # audio that arrived before this moment is not to be spoken
        self._style: deque[Any] = deque(maxlen=1)
        self._guidance: deque[tuple[float | None, float | None]] = deque(maxlen=16)

    # --- from any thread -----------------------------------------------------------------------
    def interrupt(self) -> None:
        """Cut the speech: audio that waits, here or in the source, becomes silence.

        The next model call, at most one hop away, sees silence; frames go on without a gap.
        """
        self._source.interrupt()
        self._cut = self._clock.now()
        self._interrupted.set()

    def set_style(self, style: Any) -> None:
        """Speak in another style from the next call on; the last wish counts."""
        self._style.append(style)

    def set_guidance(self, audio: float | None = None, style: float | None = None) -> None:
        """Guide by these scales from the next call on; None leaves one as it is."""
        self._guidance.append((audio, style))

    # --- the loop ------------------------------------------------------------------------------
    def run(
        self, *, stop: threading.Event | None = None, seconds: float | None = None
    ) -> LiveStatistics:
        """Animate until the audio ends, `stop` is set or `seconds` of audio have passed.

        Raises what the source or a sink raised, after everything produced has been delivered.
        """
        limit = None if seconds is None else round(seconds * SAMPLE_RATE)
        reader = threading.Thread(target=self._capture, name="capture", daemon=True)
        reader.start()
        until = None  # clock time at which a stop gives up on what is left
        try:
            while not self._queue.finished:
                blocks = self._queue.take(POLL_SECONDS)
                self._take(blocks, limit)
                full = limit is not None and self._appended >= limit
                if until is None and (full or (stop is not None and stop.is_set())):
                    self._source.close()
                    self._queue.end()
                    until = self._clock.now() + self._stop_deadline
                self._animate(until)
            if until is None or self._clock.now() < until:
                self._finish()
        finally:
            self._source.close()
            self._queue.end()
            reader.join(self._stop_deadline)
            if reader.is_alive():
                log.warning("the source %s did not stop in time", self._source.name)
            self.statistics.dropped = self._queue.dropped + self._source.dropped
        error = self._source_error or self._sinks.error
        if error is not None:
            raise error
        return self.statistics

    def _capture(self) -> None:
        try:
            for block in self._source:
                self._queue.put(block)
        except BaseException as error:
            self._source_error = error
        finally:
            self._queue.end()

    def _take(self, blocks: list[Block], limit: int | None) -> None:
        """Append blocks, with silence where some were dropped."""
        if self._interrupted.is_set():
            self._interrupted.clear()
            self.statistics.interrupts += 1
            self._sinks.on_interrupt(self._appended)
        for block in blocks:
            samples = block.samples
            if block.arrival <= self._cut:
                samples = np.zeros_like(samples)
            if block.start > self._appended:
                gap = np.zeros(block.start - self._appended, np.float32)
                samples = np.concatenate([gap, samples])
            if limit is not None:
                samples = samples[: max(0, limit - self._appended)]
            if not len(samples):
                continue
            self._session.append(samples)
            self._sinks.on_audio(self._appended, samples)
            self._appended += len(samples)
            self._stamps.append(block)
        self.statistics.audio_seconds = self._appended / SAMPLE_RATE
        self.statistics.dropped = self._queue.dropped + self._source.dropped

    def _animate(self, until: float | None) -> None:
        """Run every hop whose audio is there; merge hops when late."""
        session = self._session
        while session.pending_hops and (until is None or self._clock.now() < until):
            self._change_wishes()
            began = self._clock.now()
            end = max(session.end, session.lookahead) + session.hop
            late = began - self._arrival(end * self._frame_samples) > self._hop_seconds
            late = late and self._source.realtime
            hops = min(session.pending_hops, session.most_hops) if late else 1
            frames = session.step(hops)
            if hops > 1:
                self.statistics.merge(session.end, hops)
            self._deliver(frames, session.end, began, late)

    def _change_wishes(self) -> None:
        if self._style:
            try:
                self._session.set_style(self._style.pop())
            except ValueError as error:
                log.error("the style stays as it is: %s", error)
        while self._guidance:
            try:
                self._session.set_guidance(*self._guidance.popleft())
            except ValueError as error:
                log.error("the guidance stays as it is: %s", error)

    def _finish(self) -> None:
        began = self._clock.now()
        frames = self._session.finish()
        if frames:
            self._deliver(frames, self._session.end, began, late=False)

    def _deliver(self, frames: list[Frame], end: int, began: float, late: bool) -> None:
        computed = self._clock.now()
        # When sample 0 was captured, by the latest and best estimate.
        t0 = min(block.captured - block.end / SAMPLE_RATE for block in self._stamps)
        complete = t0 + end * self._frame_samples / SAMPLE_RATE
        arrived = self._arrival(end * self._frame_samples)
        for frame in frames:
            captured = t0 + (frame.sample + self._frame_samples / 2) / SAMPLE_RATE
            timing = FrameTiming(captured, complete, arrived, began, computed)
            self._sinks.on_frame(frame, timing)
            self.statistics.add(timing, self._clock.now(), late)
        done = self._session.committed * self._frame_samples
        while len(self._stamps) > 1 and self._stamps[0].end < done:
            self._stamps.popleft()

    def _arrival(self, end: int) -> float:
        """When all samples before `end` were here."""
        return next(block.arrival for block in self._stamps if block.end >= end)


def warm_up(session: Session, seconds: float = 1.0) -> None:
    """Run the session on silence for a moment, so that its first real frame is not the slowest.

    Afterwards the session is as new, and what lives now is out of the garbage collector's sight,
    whose full passes would otherwise stop the loop for many milliseconds.
    """
    clock = MonotonicClock()
    until = clock.now() + seconds
    hop = np.zeros(session.hop * session.backend.spec.frame_samples, np.float32)
    session.append(np.zeros(session.lookahead * session.backend.spec.frame_samples, np.float32))
    for _ in range(12):
        session.feed(hop)
        if clock.now() > until:
            break
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


@contextlib.contextmanager
def stop_on_ctrl_c() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; a second Ctrl-C interrupts as usual.  For the main thread."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
