"""A frame sink that sends datagrams at the pace of time.

Frames come in bursts of one hop. A receiver without a play-out buffer of its own would show them at
once and then stand still, so each is sent a constant delay after its sound was captured: the
smallest that the last ten seconds of frames kept.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from stream.clock import Clock, MonotonicClock, unix_time
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE, Frame
from stream.resample import Resampler
from stream.run.sinks import FrameTiming
from stream.wire.channels import channel_values
from stream.wire.messages import ARKIT52

log = logging.getLogger(__name__)

Encoder = Callable[[Frame, NDArray[np.float32], float], list[bytes]]
"""A frame, its (55,) `arkit52` values and its Unix time of capture, to datagrams."""

REMEMBERED_SECONDS = 10
LONGEST_DELAY = 0.5
"""Seconds; a frame that is later than this is sent at once."""
WAITING_SECONDS = 2
"""Of frames that may wait; newest wins."""


class UdpSender:
    """Sends each frame to one address; a `FrameSink`.

    Args:
        head: maps to `arkit52`.
        encode: makes the datagrams.
        target: (host, port), resolved already.
        protocol: its name, for people.
        fps: frames per second that are sent; motion between two frames is interpolated, which takes
            one of them more.
        clock: the clock of the frames' timings.

    Attributes:
        sent, dropped, failed: frames so far: sent, too late for the queue, refused by the system.
        delay: seconds between capture and sending.
    """

    def __init__(
        self,
        head: Head,
        encode: Encoder,
        target: tuple[str, int],
        *,
        protocol: str = "datagrams",
        fps: int = FPS,
        clock: Clock | None = None,
    ) -> None:
        self._head, self._encode = head, encode
        self.target, self.protocol = target, protocol
        self._clock = clock or MonotonicClock()
        self._fps = fps
        self._resampler, self._base, self._made, self._next = Resampler(fps), 0, 0, 0
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self.sent = self.dropped = self.failed = 0
        self.delay = 0.0
        self._late: deque[float] = deque(maxlen=REMEMBERED_SECONDS * fps)
        self._waiting: deque[tuple[float, Frame]] = deque()
        self._lock = threading.Lock()
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="udp-sender", daemon=True)
        self._thread.start()

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """These protocols carry no sound."""

    def on_interrupt(self, sample: int) -> None:
        """Frames are never taken back: those that wait are still shown."""

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        """Send this frame when its time has come, without waiting here."""
        for captured, each in self._at_rate(frame, timing.captured):
            self._late.append(min(self._clock.now() - captured, LONGEST_DELAY))
            self.delay = max(self._late)
            with self._lock:
                self._waiting.append((captured, each))
                if len(self._waiting) > WAITING_SECONDS * self._fps:
                    self._waiting.popleft()
                    self.dropped += 1
        self._news.set()

    def _at_rate(self, frame: Frame, captured: float) -> list[tuple[float, Frame]]:
        """The frames to send, up to this one, and when the sound of each was captured."""
        if self._fps == FPS:
            return [(captured, frame)]
        if frame.sample != self._next:  # a gap, or a new timeline: nothing lies in between
            self._resampler, self._base, self._made = Resampler(self._fps), frame.sample, 0
        self._next = frame.sample + FRAME_SAMPLES
        out = []
        for motion in self._resampler.feed([frame.motion]):
            sample = self._base + self._made * SAMPLE_RATE // self._fps
            before = (frame.sample - sample) / SAMPLE_RATE
            out.append((captured - before, Frame(self._made, sample, motion)))
            self._made += 1
        return out

    def close(self) -> None:
        """Send what waits, at once, and stop."""
        self._stop.set()
        self._news.set()
        self._thread.join(2.0)
        self._socket.close()

    def summary(self) -> str:
        """One line on what was sent, and how long after its sound."""
        lost = f", {self.dropped + self.failed} lost" if self.dropped + self.failed else ""
        behind = f"{1000 * self.delay:.0f} ms after their sound"
        return f"{self.protocol}: {self.sent} frames, {behind}{lost}"

    def _run(self) -> None:
        while True:
            self._news.wait()
            with self._lock:
                item = self._waiting.popleft() if self._waiting else None
                if item is None:
                    self._news.clear()
            if item is None:
                if self._stop.is_set():
                    return
                continue
            captured, frame = item
            wait = captured + self.delay - self._clock.now()
            if wait > 0:
                self._clock.wait(self._stop, wait)
            self._emit(frame, captured)

    def _emit(self, frame: Frame, captured: float) -> None:
        values = channel_values(self._head, ARKIT52, frame)
        try:
            for data in self._encode(frame, values, unix_time(self._clock, captured)):
                self._socket.sendto(data, self.target)
        except OSError as error:
            if not self.failed:
                log.warning("cannot send to %s:%d: %s", *self.target, error.strerror or error)
            self.failed += 1
            return
        self.sent += 1
