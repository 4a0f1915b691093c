"""A client's own session: its audio, style and seed, its timeline, run by the scheduler.

The session counts *spoken* samples; the client sees the *clock's*: an interruption takes back what
lies ahead, so the two drift apart by whole frames (`_shift`).
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.clock import Clock, MonotonicClock
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE, Frame
from stream.run.other_heads import OtherHead
from stream.run.push.timeline import PushTimeline

if TYPE_CHECKING:
    pass

Floats = NDArray[np.float32]

PACES = ("fast", "live")
AHEAD_SECONDS = 60
CUSHION = 640  # samples: 40 ms
TAIL = 2 * SAMPLE_RATE  # of silence after which a session that is not `alive` stops
SLACK = SAMPLE_RATE // 4  # samples the model may have in hand beyond what it needs
MOST_BEHIND = 2 * SAMPLE_RATE  # an overloaded machine leaves silence out beyond that
MOST_BACK = SAMPLE_RATE  # how far behind the clock a client may be playing
MOST_SHAPE = 20.0
EASE_FRAMES = 10  # from the pose in which speech was cut to the one that follows


class OpenSession(Protocol):
    """What it needs of a `stream.run.scheduled_session.ScheduledSession`; from any thread."""

    def feed(self, block: Floats) -> bool: ...
    def finish(self) -> None: ...
    def interrupt(self) -> None: ...
    def hurry(self, until: int) -> None: ...
    def close(self) -> None: ...
    def change(self, request: ConditionChange) -> None: ...


class OpenScheduler(Protocol):
    """What it needs of `stream.run.scheduler.Scheduler`."""

    def close(self) -> None: ...

    def open(
        self,
        session: Session,
        deliver: Callable[[list[Frame]], None],
        *,
        on_end: Callable[[Exception | None], None] | None = None,
        realtime: bool = True,
    ) -> OpenSession: ...


class SessionListener(Protocol):
    """Who hears of a session; called in order, from any thread, and must not wait."""

    def session_frames(self, session: ClientSession, frames: list[Frame]) -> None: ...
    def session_audio(self, session: ClientSession, start: int, samples: Floats) -> None: ...
    def session_cut(self, session: ClientSession, sample: int) -> None: ...
    def session_ended(self, session: ClientSession, error: Exception | None) -> None: ...


class ClientSession:
    """One session of one client; its methods may be called from any thread.

    Args:
        scheduler: runs it.
        session: new; it belongs to the scheduler from here on.
        listener: gets frames and audio, on the client's clock.
        fast: make frames as soon as there is audio, at most a minute ahead of time; otherwise
            nothing is animated before its time.
        alive: silence is animated for as long as it lasts.
        clock: the pace of time.
        head: that it moves; None: the server's.

    Attributes:
        frames: how many were delivered.
        lookahead, hop: samples, see `Session`.
        capacity: samples that may be pushed ahead of the clock.
        zero: when its sample 0 is, on the clock.
        placed: the sample at which lies what was pushed last.

    Raises:
        stream.run.scheduler.CapacityError: there is no room for it.
    """

    CAPACITY = AHEAD_SECONDS * SAMPLE_RATE

    def __init__(
        self,
        scheduler: OpenScheduler,
        session: Session,
        listener: SessionListener,
        *,
        fast: bool = True,
        alive: bool = True,
        clock: Clock | None = None,
        head: OtherHead | None = None,
    ) -> None:
        self._clock, self._listener = clock or MonotonicClock(), listener
        self.head = head
        self.session = session
        self.lookahead = session.lookahead * FRAME_SAMPLES
        self.hop = session.hop * FRAME_SAMPLES
        self.capacity = self.CAPACITY
        self._timeline = PushTimeline(
            ahead=self.capacity if fast else 0,
            capacity=self.capacity,
            cushion=CUSHION,
            tail=None if alive else TAIL,
        )
        self._alive = alive
        self._lock = threading.RLock()
        self._shift = 0  # spoken samples - samples of the client's timeline
        self._fed = self._done = 0  # spoken samples: given to the session, and come back as frames
        self._sent: deque[Frame] = deque(maxlen=AHEAD_SECONDS * FPS + 250)
        self._first = 0  # sample of the client's timeline before which nothing is told
        self._slack = SLACK
        self.placed = 0
        self._held: Floats | None = None  # the pose to ease away from
        self._eased = 0
        self._closed = False
        self.frames = 0
        self.zero = self._clock.now()
        self._scheduled = scheduler.open(
            session, self._deliver, on_end=self._end, realtime=not fast
        )

    @property
    def now(self) -> int:
        """The clock's sample."""
        return int((self._clock.now() - self.zero) * SAMPLE_RATE)

    @property
    def seconds(self) -> float:
        """How long it has been open."""
        return self._clock.now() - self.zero

    def fits(self, count: int) -> bool:
        """Whether so many more samples may be pushed now."""
        with self._lock:
            return self._timeline.fits(count, self.now)

    def push(self, samples: Floats) -> bool:
        """Speech to animate: (n,) at 16 kHz; False, and nothing taken, if it does not fit."""
        with self._lock:
            now = self.now
            if not self._alive:
                self._shift -= self._timeline.skip(now)
            place = self._timeline.place(now)
            pushed = self._timeline.push(samples, now)
            self.placed = place if pushed else self.placed
        self.pump()
        return pushed

    def flush(self) -> None:
        """The utterance is over: silence follows at once, which brings its last frames."""
        count = self.lookahead + self.hop
        with self._lock:
            if self._timeline.fits(count, self.now):  # else there is silence enough to come
                self._timeline.pad(count)
        self.pump()

    def interrupt(self, at: int | None = None) -> None:
        """Cut the speech at the sample `at` of the client's timeline, by default the clock's.

        Frames and audio from there on are taken back, what follows is eased to from the pose in
        which it was cut.  `at` lies behind the clock by the client's delay, a second at most.
        """
        with self._lock:
            self._timeline.cut()
            self._scheduled.interrupt()
            made = self._done - self._shift
            earliest = self._sent[0].sample + FRAME_SAMPLES if self._sent else made
            now = self.now
            wanted = now if at is None else max(at, now - MOST_BACK)
            wanted = -(-wanted // FRAME_SAMPLES) * FRAME_SAMPLES
            cut = min(max(wanted, earliest), made)
            if cut >= made:  # no frame was made ahead of time; sound may have been told
                end = self._timeline.end
                cut = min(max(wanted, made, self._first), end)
                self._listener.session_cut(self, cut)
                if cut < end:
                    self._listener.session_audio(self, cut, np.zeros(end - cut, np.float32))
                return
            while self._sent and self._sent[-1].sample >= cut:
                self._sent.pop()
            self._held = self._sent[-1].motion if self._sent else None
            self._eased = 0
            self._shift += made - cut
            self._timeline.rewind(made - cut)
            self._listener.session_cut(self, cut)
            silence = np.zeros(self._timeline.end - cut, np.float32)
            self._listener.session_audio(self, cut, silence)
        self.pump()

    def change(self, request: ConditionChange) -> None:
        """Speak like this from the next call on; raises ValueError where that cannot be."""
        self._scheduled.change(request)

    def close(self) -> None:
        """End it; nothing more is told."""
        self._closed = True
        self._scheduled.close()

    def pump(self) -> None:
        """Let time pass: give the model what is due.  Called often; costs next to nothing."""
        with self._lock:
            if self._closed:
                return
            now = self.now
            if now - self._timeline.end > MOST_BEHIND and self._alive:
                self._shift -= self._timeline.skip(now)
            most = self.lookahead + self.hop + self._slack - (self._fed - self._done)
            start = self._timeline.end
            laid = self._timeline.take(now, most)
            if not len(laid):
                return
            self._fed += len(laid)
            known = min(len(laid), max(0, self._first - start))
            if known < len(laid):
                self._listener.session_audio(self, start + known, laid[known:])
            with contextlib.suppress(ValueError):  # it has ended meanwhile, and says so itself
                self._scheduled.feed(laid)

    def _deliver(self, frames: list[Frame]) -> None:
        with self._lock:
            if self._closed:
                return
            new = [frame for frame in frames if frame.sample - self._shift >= self._first]
            moved = [self._on_clock(frame) for frame in new]
            self._done = frames[-1].sample + FRAME_SAMPLES
            self._sent.extend(moved)
            if moved:
                self._listener.session_frames(self, moved)
        self.pump()

    def _on_clock(self, frame: Frame) -> Frame:
        """A frame of the session as its client sees it."""
        motion = frame.motion
        if self._held is not None:
            self._eased += 1
            share = self._eased / (EASE_FRAMES + 1)
            share = share * share * (3 - 2 * share)
            motion = (self._held + np.float32(share) * (motion - self._held)).astype(np.float32)
            if self._eased == EASE_FRAMES:
                self._held = None
        number, self.frames = self.frames, self.frames + 1
        return Frame(number, frame.sample - self._shift, motion)

    def _end(self, error: Exception | None) -> None:
        if not self._closed:
            self._listener.session_ended(self, error)
