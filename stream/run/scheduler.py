"""Many sessions, one model: hops that are ready go into one batch, on one thread.

feed (any thread) --> ScheduledSession's queue --> Scheduler's thread: batches --> deliver

Nothing is waited for to fill a batch.  While a batch runs, other sessions become ready and make
the next one, so a quiet machine answers at once and a busy one batches more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from head.errors import PosetalkError, WrongValue
from stream.backends.protocol import BATCH_ON_CPU, Backend
from stream.clock import Clock, MonotonicClock
from stream.core.session import Session
from stream.run.batching import Batcher
from stream.run.capacity import measure_capacity, warm_up_batches
from stream.run.scheduled_session import AudioListener, Deliver, OnEnd, ScheduledSession

log = logging.getLogger(__name__)


class CapacityError(PosetalkError, RuntimeError):
    """No room for another session; the message is one sentence."""


class Scheduler:
    """Runs sessions of one backend until it is closed.

    Overload: every session that is ready gets one call before any gets a second one, oldest
    waiting first; late real-time sessions merge hops; a session's queue refuses what it cannot
    hold.  A session that fails, or whose `deliver` raises, ends alone.  Sessions without audio
    cost nothing but their memory.

    Attributes:
        rounds: batches of calls so far; round_began: when the latest one began, on `clock`;
            busy_seconds: spent in all of them.
        merges_freely: whether late hops are merged as they are here: where there is one session, on
            a CPU; else in powers of two.

    Args:
        backend: of all the sessions; its model runs them, whatever heads they move.
        capacity: sessions that may be open; None measures what this machine carries in real time
            at the bundle's live defaults (`measure_capacity`).
        workers: threads that share a batch; None chooses (`Batcher`).
        clock: for lateness.
        like: a session as those to come will be; None: with the bundle's live defaults.
    """

    def __init__(
        self,
        backend: Backend,
        capacity: int | None = None,
        *,
        workers: int | None = None,
        clock: Clock | None = None,
        like: Session | None = None,
    ) -> None:
        if capacity is not None and capacity < 1:
            raise WrongValue(f"a capacity of {capacity}: at least one session must fit")
        self.backend = backend
        self._batcher = Batcher(self.backend, workers)
        with backend.getting_ready():
            self.capacity = measure_capacity(self._batcher) if capacity is None else capacity
            self._batcher.make_room(self.capacity)
            self._batcher.prepare(like)
            if self.capacity > 1:
                warm_up_batches(self._batcher, self.capacity, like)
        self.merges_freely = self.capacity == 1 and backend.max_batch <= BATCH_ON_CPU
        self.lock = threading.Condition()
        self.now = (clock or MonotonicClock()).now
        self.rounds = 0
        self.round_began = self.busy_seconds = 0.0
        self._open: set[ScheduledSession] = set()
        self._ready: set[ScheduledSession] = set()
        self._left: list[ScheduledSession] = []  # ended; their slots are theirs still
        self._closing = self._stopped = False
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sessions(self) -> int:
        """How many are open."""
        with self.lock:
            return len(self._open)

    def open(
        self,
        session: Session,
        deliver: Deliver,
        *,
        on_end: OnEnd | None = None,
        realtime: bool = True,
        listener: AudioListener | None = None,
    ) -> ScheduledSession:
        """Take a session in; from now on it belongs to the scheduler.

        Args:
            session: of this scheduler's backend, on any head; new or reset.
            deliver: gets the frames of each call, in order, on the scheduler's thread; it must
                not wait.
            on_end: called once when no more frames will come, with the error if there was one.
            realtime: whether late hops may be merged.
            listener: hears the audio that goes into the session.

        Raises:
            CapacityError: it carries as many as it can, or is closing.
            ValueError: the session is of another backend.
        """
        if session.backend is not self.backend:
            raise WrongValue("a session of another backend: one scheduler runs one model")
        with self.lock:
            if self._closing:
                raise CapacityError("no new sessions: this server is shutting down")
            if len(self._open) >= self.capacity:
                raise CapacityError(
                    f"all {self.capacity} sessions of this server are taken: "
                    "try again when one has ended"
                )
            scheduled = ScheduledSession(self, session, deliver, on_end, realtime, listener)
            self._open.add(scheduled)
        return scheduled

    def close(self, deadline: float = 2.0) -> None:
        """Finish every session, for `deadline` seconds at most, then end those that are left."""
        with self.lock:
            self._deadline = time.monotonic() + deadline
            self._closing = True
            for scheduled in self._open.copy():
                scheduled.finish()
            self.lock.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(deadline + 0.5)
            if self._thread.is_alive():
                log.warning("a model call did not end in time; its session's last frames are lost")
        with self.lock:
            self._stopped = True
            left = self._open.copy()
        self._batcher.close()
        for scheduled in left:
            scheduled.close()

    # --- for scheduled_sessions, under the lock
    # -----------------------------------------------------------
    def wake(self, scheduled: ScheduledSession) -> None:
        """The scheduled has something to do."""
        if scheduled in self._open and scheduled not in self._ready:
            self._ready.add(scheduled)
            self.lock.notify_all()

    def leave(self, scheduled: ScheduledSession) -> None:
        """The scheduled has ended."""
        self._open.discard(scheduled)
        self._ready.discard(scheduled)
        self._left.append(scheduled)

    # --- the thread ----------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:  # whatever it was, nobody may wait for frames for ever
            log.exception("the scheduler broke")
            with self.lock:
                self._closing = True
                left = self._open.copy()
            for scheduled in left:
                scheduled.end(error)

    def _loop(self) -> None:
        while True:
            with self.lock:
                while not self._ready and not self._closing:
                    self.lock.wait()
                overdue = self._closing and time.monotonic() > self._deadline
                if self._stopped or overdue or (self._closing and not self._open):
                    return
                # A ready session that gets its turn goes to the back of the line.
                longest = sorted(self._ready, key=ScheduledSession.waiting_since)
                chosen = longest[: self._batcher.most]
                turns = [(scheduled, scheduled.take()) for scheduled in chosen]
                left, self._left = self._left, []
            self._let_go(left)
            self._serve(turns)
            with self.lock:
                for scheduled in chosen:
                    if not scheduled.ready:
                        self._ready.discard(scheduled)

    def _serve(self, turns: list[tuple[ScheduledSession, int]]) -> None:
        """One call of each session that has hops to do; those without have come to their end."""
        began = self.round_began = self.now()
        for scheduled, _ in turns:
            self._attempt(scheduled, scheduled.tell_audio)
        busy = [(scheduled, hops) for scheduled, hops in turns if hops]
        answers = self._batcher.run([(scheduled.session, hops) for scheduled, hops in busy])
        for (scheduled, hops), answer in zip(busy, answers, strict=True):
            if isinstance(answer, Exception):
                self._fail(scheduled, answer)
            else:
                self._attempt(scheduled, partial(scheduled.give, answer, hops, began))
        for scheduled, hops in turns:
            if not hops:
                scheduled.end(None)
        self.rounds += 1
        self.busy_seconds += self.now() - self.round_began

    def _let_go(self, left: list[ScheduledSession]) -> None:
        """The states of sessions that have ended come home: their slots are free.

        Here, as no round is under way on this thread.
        """
        for scheduled in left:
            try:
                scheduled.session.state.come_home()
            except Exception as error:
                log.warning("the state of a session that ended is lost: %s", error)

    def _attempt(self, scheduled: ScheduledSession, act: Callable[[], None]) -> None:
        """Do something for a session; what it raises ends that session alone."""
        try:
            act()
        except Exception as error:
            self._fail(scheduled, error)

    def _fail(self, scheduled: ScheduledSession, error: Exception) -> None:
        log.error("a session ended: %s", error)
        scheduled.end(error)
