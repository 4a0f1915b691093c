"""One session's place in a scheduler: its bounded queue of audio, and what became of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from head.errors import WrongValue
from stream.backends.protocol import FloatArray
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.frames import FPS, Frame
from stream.run.metrics import MOST_MERGES, ModelCall, SessionMetrics
from stream.run.waiting_audio import WaitingAudio

log = logging.getLogger(__name__)

Deliver = Callable[[list[Frame]], None]
OnEnd = Callable[[Exception | None], None]


class AudioListener(Protocol):
    """Hears what a session hears, on the scheduler's thread, before the frames made of it."""

    def on_audio(self, start: int, samples: FloatArray) -> None:
        """(n,) samples from the absolute index `start` went into the session."""
        ...

    def on_interrupt(self, sample: int) -> None:
        """Speech was cut: from `sample` on there is silence until new audio comes."""
        ...


class SessionHost(Protocol):
    """What a scheduled session needs of its scheduler."""

    lock: threading.Condition
    merges_freely: bool

    def now(self) -> float: ...
    def wake(self, scheduled: ScheduledSession) -> None: ...
    def leave(self, scheduled: ScheduledSession) -> None: ...


class ScheduledSession:
    """A session that a scheduler runs; made by `Scheduler.open`, used from any thread.

    Frames come to `deliver`, in order, on the scheduler's thread.  `ended` is set once no more
    will come: after `finish` and the last frame, after `close`, or when the session failed
    (`error`).

    Attributes:
        session: the scheduler's own while this is open; read its settings, set none.
        realtime: late hops are merged; otherwise every hop is one call, however late.
        counts: may be read at any time.
        call: the latest model call; for `deliver`, that which made its frames.
    """

    def __init__(
        self,
        host: SessionHost,
        session: Session,
        deliver: Deliver,
        on_end: OnEnd | None,
        realtime: bool,
        listener: AudioListener | None = None,
    ) -> None:
        self.session, self.realtime = session, realtime
        self.counts = SessionMetrics()
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.call = ModelCall(0, 0, False, 0.0, 0.0)
        self._host, self._deliver, self._on_end = host, deliver, on_end
        self._hop, self._lookahead = session.hop, session.lookahead
        self._frame_samples = session.backend.spec.frame_samples
        self._listener = listener
        self._audio = WaitingAudio()
        self._untold: list[FloatArray] = []  # of those, what the listener has not heard yet
        self._told = 0
        self._cut = self._late = self._finishing = False
        self._idle_since = 0.0
        self._hurry = 0

    # --- from any thread -----------------------------------------------------------------------
    def feed(self, block: FloatArray, *, wait: bool = False) -> bool:
        """Queue (n,) mono samples in [-1, 1] at 16 kHz.

        Args:
            wait: for room, where the audio has time.

        Returns:
            False, and nothing queued but counted as refused, if ten seconds of audio wait already.

        Raises:
            ValueError: the block is not one-dimensional, or the audio has ended.
        """
        samples = np.array(block, np.float32)  # a copy: the caller may reuse its buffer
        if samples.ndim != 1:
            raise WrongValue(f"a block is (n,) mono samples, got shape {samples.shape}")
        with self._host.lock:
            while wait and self.waiting and not self._audio.fits(len(samples)) and not self._over:
                self._host.lock.wait()
            if self._over:
                raise WrongValue("this session has ended: open another one")
            if not wait and not self._audio.fits(len(samples)):
                self.counts.refused += len(samples)
                return False
            if len(samples):
                self._audio.add(samples, self._host.now())
                self._wake_if_ready()
        return True

    def finish(self) -> None:
        """No more audio: the frames still held back are delivered, then it ends."""
        with self._host.lock:
            self._finishing = True
            self._host.wake(self)
            self._host.lock.notify_all()

    def interrupt(self) -> None:
        """Cut the speech: audio that waits becomes silence; frames go on without a gap."""
        with self._host.lock:
            self.counts.interrupts += 1
            self._cut = True
            self._audio.silence()

    def hurry(self, until: int) -> None:
        """Merge hops up to the sample `until`, whose frames nobody sees."""
        with self._host.lock:
            self._hurry = until

    def close(self) -> None:
        """End now: what waits is forgotten, and the place is free for another session."""
        self.end(None)

    def change(self, request: ConditionChange) -> None:
        """Speak like this from the next call on; see `Session.change`."""
        with self._host.lock:
            self.session.change(request)

    @property
    def waiting(self) -> int:
        """Samples queued and not yet used."""
        return self._audio.waiting

    # --- from the scheduler --------------------------------------------------------------------
    @property
    def ready(self) -> bool:
        """Whether a model call has something to do; under the host's lock."""
        return not self.ended.is_set() and (self._finishing or self._hops() > 0)

    def waiting_since(self) -> float:
        """Since when it has been waiting its turn: oldest first is fair."""
        arrival = self._arrival(self._next_end() * self._frame_samples)
        return max(arrival, self._idle_since)

    def take(self) -> int:
        """Hand the session the audio of its next call; returns its hops, 0 when all is done.

        A late real-time session merges hops: as many as are here where it has a lane of its own on
        a CPU, else in powers of two, so that sessions that are late together share their batches,
        and that a GPU knows the call.
        """
        session, now = self.session, self._host.now()
        hops = self._hops()
        if not hops:
            self._move(self._audio.arrived)
            session.end_audio()
            return int(session.pending)
        end = self._next_end() * self._frame_samples
        late = now - self._arrival(end) > self._hop / FPS
        self.counts.late += late
        self._late = late
        hop = self._hop * self._frame_samples
        hops = 1 if hops == 1 else self._merged(hops, (self._hurry - end) // hop + 1)
        self._move(end + (hops - 1) * hop)
        return hops

    def tell_audio(self) -> None:
        """Let the listener hear what the session was handed; raises what it raises."""
        with self._host.lock:
            samples, self._untold = self._untold, []
            cut, self._cut = self._cut, False
        if self._listener is None:
            return
        if cut:
            self._listener.on_interrupt(self._told)
        if samples:
            block = np.concatenate(samples)
            start, self._told = self._told, self._told + len(block)
            self._listener.on_audio(start, block)

    def give(self, frames: list[Frame], hops: int, began: float) -> None:
        """Count a call's frames and deliver them; raises what `deliver` raises."""
        counts, computed = self.counts, self._host.now()
        self.call = ModelCall(self.session.end, hops, self._late, began, computed)
        counts.calls += 1
        counts.frames += len(frames)
        if hops > 1:
            counts.merged += 1
            if len(counts.merges) < MOST_MERGES:
                counts.merges.append((self.session.end, hops))
        self._idle_since = computed
        if frames and not self.ended.is_set():
            self._deliver(frames)

    def end(self, error: Exception | None) -> None:
        """Leave the scheduler, once, and say so."""
        with self._host.lock:
            if self.ended.is_set():
                return
            self.error = error
            self.ended.set()
            self._audio.forget()
            self._host.leave(self)
            self._host.lock.notify_all()
        if self._on_end is not None:
            try:
                self._on_end(error)
            except Exception as raised:
                log.error("the end of a session could not be told: %s", raised)

    @property
    def _over(self) -> bool:
        return self._finishing or self.ended.is_set()

    def _merged(self, hops: int, unseen: int) -> int:
        """Hops of the next call, of those that are here; nobody sees the first `unseen` of them."""
        most = min(hops, self.session.most_hops)
        merged = most if self._host.merges_freely else 1 << most.bit_length() - 1
        if self._late and self.realtime:
            return merged
        return min(merged, 1 << unseen.bit_length() - 1) if unseen > 0 else 1

    def _next_end(self) -> int:
        return max(self.session.state.end, self._lookahead) + self._hop

    def _hops(self) -> int:
        """Hops whose audio is here, in the queue or in the session."""
        start = max(self.session.state.end, self._lookahead)
        return max(0, (self._audio.arrived // self._frame_samples - start) // self._hop)

    def _arrival(self, end: int) -> float:
        """When all samples before `end` were here; of the last piece if they are not."""
        arrival = self._audio.arrival(end)
        return self._idle_since if arrival is None else arrival

    def _move(self, end: int) -> None:
        """Audio before the absolute index `end` goes to the session."""
        for part in self._audio.take_until(end):
            self.session.append(part)
            if self._listener is not None:
                self._untold.append(part)
        self._host.lock.notify_all()  # there is room again

    def _wake_if_ready(self) -> None:
        if self._hops() > 0:
            self._host.wake(self)
