"""The server's own stream, where clients push its sound: made ahead of time, shown in time.

push --> ClientSession --> whoever wants frames as they are made (`EarlySink`)
                    --> held until their time --> sinks

The sound may come faster than it is spoken.  Its frames are made at once, each with its full
lookahead; viewers, which know no time but that of arrival, get each when its sound has been spoken.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.audio import BLOCK_SAMPLES
from stream.clock import Clock, MonotonicClock
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE, Frame
from stream.run.metrics import LiveStatistics
from stream.run.push.session import ClientSession, OpenScheduler
from stream.run.scheduler import Scheduler
from stream.run.sinks import FrameSink, FrameTiming, Sinks

Floats = NDArray[np.float32]

TICK_SECONDS = 0.01
STOP_SECONDS = 2.0
"""That the last frames of a run of given length may take."""


class EarlySink(Protocol):
    """Takes what is made, as it is made; must not wait.

    A sink too: its `on_interrupt` takes back what lies ahead.
    """

    def on_early_frame(self, frame: Frame, timing: FrameTiming) -> None: ...
    def on_early_audio(self, start: int, samples: Floats) -> None: ...


class PushLoop:
    """Animates what is pushed, until it is stopped; its methods may be called from any thread.

    Args:
        session: belongs to the loop.
        sinks: get audio and frames when their time has come; their owner closes them.
        early: gets them as they are made.
        clock: the pace of time.
        statistics: where to count; may be read while the loop runs.
        start: makes what runs the session.
    """

    def __init__(
        self,
        session: Session,
        sinks: Sequence[FrameSink],
        *,
        early: EarlySink | None = None,
        clock: Clock | None = None,
        statistics: LiveStatistics | None = None,
        start: Callable[[], OpenScheduler] | None = None,
    ) -> None:
        self.statistics = statistics or LiveStatistics()
        self._session, self._sinks, self._early = session, Sinks(sinks), early
        self._clock = clock or MonotonicClock()
        self._start = start or (
            lambda: Scheduler(session.backend, 1, workers=1, clock=self._clock, like=session)
        )
        self._lock = threading.RLock()  # taken after the session's own, never before
        self._waiting: list[Floats] = []  # pushed before it began
        self._frames: deque[tuple[Frame, float]] = deque()  # not due yet, and when each was made
        self._sound: deque[tuple[int, Floats]] = deque()
        self._client_session: ClientSession | None = None
        self._scheduler: OpenScheduler | None = None
        self._shown = self._shown_end = 0  # frames, samples
        self._limit: int | None = None
        self._failure: Exception | None = None  # of the session: the run is over

    # --- from any thread -----------------------------------------------------------------------
    def push(self, samples: Floats) -> bool:
        """Speech to animate: (n,) at 16 kHz; False, and nothing taken, if it does not fit."""
        with self._lock:
            if self._client_session is None:
                fits = sum(map(len, self._waiting)) + len(samples) <= ClientSession.CAPACITY
                if fits:
                    self._waiting.append(samples)
                return fits
        return self._client_session.push(samples)

    def fits(self, count: int) -> bool:
        """Whether so many samples may be pushed now."""
        session = self._client_session
        if session is not None:
            return session.fits(count)
        return sum(map(len, self._waiting)) + count <= ClientSession.CAPACITY

    def interrupt(self) -> None:
        """Cut the speech now; what was made ahead is taken back, the face eases to rest."""
        self.statistics.interrupts += 1
        if self._client_session is not None:
            self._client_session.interrupt()
        else:
            self._waiting.clear()

    def change(self, request: ConditionChange) -> None:
        """Speak like this from the next call on; raises ValueError where that cannot be."""
        (self._client_session or self._session).change(request)

    @property
    def conditions(self) -> dict[str, Any]:
        """How it speaks by now, see `ConditionTrack.now`."""
        return self._session.conditions.now

    # --- the loop ------------------------------------------------------------------------------
    def run(
        self, *, stop: threading.Event | None = None, seconds: float | None = None
    ) -> LiveStatistics:
        """Animate until `stop` is set or `seconds` of sound have been shown.

        Raises what the session or a sink raised, after everything produced has been delivered.
        """
        stop = stop or threading.Event()
        self._limit = None if seconds is None else round(seconds * SAMPLE_RATE)
        session = self._client_session or self.begin()
        try:
            while not stop.is_set() and self._failure is None and not self._over(session):
                self.advance()
                self._clock.wait(stop, TICK_SECONDS)
        finally:
            self.close()
        error = self._failure or self._sinks.error
        if error is not None:
            raise error
        return self.statistics

    def begin(self) -> ClientSession:
        """Time begins: sample 0 is now.  `run` does it, unless it was done before."""
        self._scheduler = self._start()
        session = ClientSession(self._scheduler, self._session, self, clock=self._clock)
        while self._client_session is None:
            with self._lock:
                waiting, self._waiting = self._waiting, []
                if not waiting:
                    self._client_session = session
            for samples in waiting:
                session.push(samples)
        return session

    def advance(self) -> None:
        """Let time pass: called often, costs next to nothing."""
        if self._client_session is not None:
            self._client_session.pump()
            self._release()

    def close(self) -> None:
        """End the session; what is not due yet is forgotten."""
        if self._client_session is not None:
            self._client_session.close()
        if self._scheduler is not None:
            self._scheduler.close()

    def _over(self, session: ClientSession) -> bool:
        if self._limit is None:
            return False
        return (
            self._shown_end >= self._limit
            or session.now >= self._limit + STOP_SECONDS * SAMPLE_RATE
        )

    # --- the session's listener; under the session's lock ----------------------------------------
    def session_frames(self, session: ClientSession, frames: list[Frame]) -> None:
        with self._lock:
            made = self._clock.now()
            for frame in frames:
                self._frames.append((frame, made))
                if self._early is not None:
                    self._early.on_early_frame(frame, self._timing(session, frame, made))
        self._release()

    def session_audio(self, session: ClientSession, start: int, samples: Floats) -> None:
        with self._lock:
            self._sound.append((start, samples))
            if self._early is not None:
                self._early.on_early_audio(start, samples)

    def session_cut(self, session: ClientSession, sample: int) -> None:
        with self._lock:
            self._frames = deque(item for item in self._frames if item[0].sample < sample)
            kept = ((start, samples[: max(0, sample - start)]) for start, samples in self._sound)
            self._sound = deque(item for item in kept if len(item[1]))
            self._sinks.on_interrupt(sample)

    def session_ended(self, session: ClientSession, error: Exception | None) -> None:
        self._failure = self._failure or error

    # --- what is due -----------------------------------------------------------------------------
    def _release(self) -> None:
        """Give the sinks what has been spoken by now: sound first, then its frames."""
        session = self._client_session
        if session is None:
            return
        with self._lock:
            now = session.now if self._limit is None else min(session.now, self._limit)
            whole = now // BLOCK_SAMPLES * BLOCK_SAMPLES
            while self._sound and self._sound[0][0] < whole:
                start, samples = self._sound.popleft()
                spoken = samples[: whole - start]
                if len(spoken) < len(samples):
                    self._sound.appendleft((whole, samples[len(spoken) :]))
                self.statistics.hear(start, spoken)
                self._sinks.on_audio(start, spoken)
            while self._frames and self._frames[0][0].sample + FRAME_SAMPLES <= now:
                frame, made = self._frames.popleft()
                timing = self._timing(session, frame, made)
                # Taken back or not, what viewers get is numbered without gaps.
                self._sinks.on_frame(Frame(self._shown, frame.sample, frame.motion), timing)
                self._shown += 1
                self._shown_end = frame.sample + FRAME_SAMPLES
                late = timing.computed - timing.complete > session.hop / SAMPLE_RATE
                self.statistics.add(timing, self._clock.now(), late)

    def _timing(self, session: ClientSession, frame: Frame, made: float) -> FrameTiming:
        """A frame made ahead of its time counts as made when it was due: it waits for nothing."""
        captured = session.zero + (frame.sample + FRAME_SAMPLES / 2) / SAMPLE_RATE
        computed = max(captured, made)
        complete = min(computed, captured + (FRAME_SAMPLES / 2 + session.lookahead) / SAMPLE_RATE)
        return FrameTiming(captured, complete, complete, complete, computed)
