"""What everybody sees who has no session of their own: the server's stream, and what it is now.

Everything here runs in the server's event loop, but for reading `hello`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream.clock import Clock, unix_time
from stream.frames import Frame
from stream.run.sinks import FrameTiming
from stream.serve.client.connection import Connection
from stream.serve.client.outbox import EARLY_QUEUE
from stream.serve.controls import StreamControls
from stream.serve.frame_encoder import Encoder
from stream.serve.limits import RESENT
from stream.serve.server_counts import ServerCounts
from stream.wire import codec, messages

CLOCK_STEP = 0.005
"""Seconds by which the estimate of the stream's start must move to be told again."""


class Broadcast:
    """Hands the server's stream to its viewers.

    Args:
        hello: what newcomers are told.
        encoder: of audio.
        clients: all who are connected, now; those with sessions of their own are passed over.
        counts: where to count.
        clock: of the frames' timings.
        controls: of the stream: whether its frames come ahead of their time, too.
    """

    def __init__(
        self,
        hello: messages.Hello,
        encoder: Encoder,
        clients: Collection[Connection],
        counts: ServerCounts,
        clock: Clock,
        controls: StreamControls,
    ) -> None:
        self.hello = hello
        self.level: messages.Level | None = None  # of what is heard, as it was told last
        self._encoder, self._clients, self._counts = encoder, clients, counts
        self._clock = clock
        self._controls = controls
        self._frames: deque[Frame] = deque(maxlen=EARLY_QUEUE)  # made, and their time not come
        self._sound: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=EARLY_QUEUE)

    def frame(self, frame: Frame, timing: FrameTiming | None) -> None:
        """A frame for every viewer but those that have had it ahead of time."""
        if timing is not None:
            self._tell_time(frame, timing)
        while self._frames and self._frames[0].sample <= frame.sample:
            self._frames.popleft()
        for client in self._viewers(early=False):
            self._counts.dropped += client.motion(frame)
        self._counts.sent += 1

    def audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Sound for the viewers that asked for it."""
        sound = self._encoder.audio(start, samples)
        end = start + len(samples)
        while self._sound and self._sound[0][0] + len(self._sound[0][1]) <= end:
            self._sound.popleft()
        for client in self._viewers(early=False):
            client.sound(sound)

    def on_early_frame(self, frame: Frame, timing: FrameTiming) -> None:
        """A frame before its time, for the viewers that want it so."""
        self._tell_time(frame, timing)
        self._frames.append(frame)
        for client in self._viewers(early=True):
            self._counts.dropped += client.motion(frame)

    def on_early_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """The sound that goes with it."""
        self._sound.append((start, samples))
        for client in self._viewers(early=True):
            client.session_pcm(start, samples)

    def catch_up(self, client: Connection) -> None:
        """Give a viewer that wants frames ahead of time what was made before it said so."""
        for start, samples in self._sound:
            client.session_pcm(start, samples)
        for frame in self._frames:
            client.motion(frame)

    def catch_up_cost(self) -> float:
        """Of `catch_up`, in units of cost."""
        return RESENT * (len(self._sound) + len(self._frames))

    def cut(self, sample: int) -> None:
        """Speech was cut: what lies ahead is taken back."""
        self._frames = deque((f for f in self._frames if f.sample < sample), EARLY_QUEUE)
        self._sound = deque((s for s in self._sound if s[0] < sample), EARLY_QUEUE)
        told = codec.serialise_text(messages.Interrupted(sample))
        for client in self._watching():
            client.cut(sample, told)

    def text(self, message: codec.Text) -> None:
        """A control message for every viewer, serialised once."""
        told = codec.serialise_text(message)
        for client in self._watching():
            client.tell(told)

    def _watching(self) -> list[Connection]:
        """Who has had the hello, and no session of its own."""
        return [each for each in self._clients if each.greeted and each.session is None]

    def _viewers(self, *, early: bool) -> list[Connection]:
        """Who has no session of its own, and gets frames ahead of their time or in it."""
        return [
            client
            for client in self._watching()
            if bool(client.subscription.ahead and self._controls.sends_early) is early
        ]

    def _tell_time(self, frame: Frame, timing: FrameTiming) -> None:
        """Say when sample 0 was captured, at first and whenever the estimate moves."""
        rate = self.hello.sample_rate
        middle = frame.sample + rate / self.hello.fps / 2
        start = unix_time(self._clock, timing.captured) - middle / rate
        known = self.hello.start_time
        if known is None or abs(start - known) > CLOCK_STEP:
            self.hello = replace(self.hello, start_time=start)
            self.text(messages.ClockInfo(0, start))
