"""One run of a viewer: what arrives goes to the play-out buffer, the loudspeaker, the recording.

`viewer.play.app.view` puts it together; here is the state of one call and what moves it on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from stream.wire import messages
from viewer.client.watching import ClientThread, Ended, Event, ReceivedMotion, Restarted, Sound
from viewer.play.film import Film
from viewer.play.player import check_head, head_for, rest_like, shape_for, vertices_of
from viewer.play.playout import PlayoutBuffer
from viewer.play.recorder import Recorder
from viewer.play.rest import Resting
from viewer.play.video import VideoError

if TYPE_CHECKING:
    from head.model import Head
    from viewer.play.speaker import Loudspeaker

Shown = Literal["window", "offscreen"]
Floats = NDArray[np.float32]

POLL_SECONDS = 0.01
STATUS_SECONDS = 1.0
BACKLOG_FRAMES = 250  # 10 s waiting to be recorded; beyond that every second one is left out
RECORDED_AT_ONCE = 2  # between two looks at the window and at what has arrived


@dataclass(frozen=True)
class Status:
    """How watching goes, about once a second and at the end."""

    mode: Shown
    seconds: float  # since the first frame
    frames: int  # that arrived
    shown: int
    late: int  # arrived after a newer one had been shown
    dropped: int  # never shown because a newer one was due, or because nobody took them in time
    connections: int
    delay: float | None  # constant play-out delay in seconds that 99 % of the frames meet
    recording: Path | None
    recorded: float  # seconds of video


class StopCondition:
    """When to stop: after so many seconds since the first frame, or when somebody says so."""

    def __init__(self, seconds: float | None, stop: threading.Event | None) -> None:
        self._seconds, self._stop = seconds, stop
        self.began: float | None = None

    def reached(self) -> bool:
        if self._stop is not None and self._stop.is_set():
            return True
        if self._seconds is None or self.began is None:
            return False
        return time.monotonic() - self.began >= self._seconds


class Watch:
    """One call of `view`: what has arrived goes to the play-out buffer and to the recording."""

    def __init__(
        self,
        thread: ClientThread,
        mode: Shown,
        until: StopCondition,
        on_status: Callable[[Status], None] | None,
        path: Path | None,
        delay: float | None,
        film: Film,
        speaker: Loudspeaker | None = None,
    ) -> None:
        self._thread, self._mode, self._until, self._path = thread, mode, until, path
        self._on_status, self._told = on_status, 0.0
        self._playout: PlayoutBuffer[ReceivedMotion] = PlayoutBuffer(delay=delay)
        self._recorder: Recorder | None = None
        self._film, self._speaker = film, speaker
        self._unrecorded: deque[ReceivedMotion] = deque()
        self._ended = False
        self._drawn = self._left_out = 0

    def wait_for_hello(self) -> messages.Hello | None:
        """The server's hello, None where it was stopped before; raises ClientError."""
        client = self._thread.client
        while client.hello is None and self._thread.running and not self._until.reached():
            time.sleep(POLL_SECONDS)
        if client.hello is None:
            self._thread.take()  # raises why
        return client.hello

    def set_head(self, hello: messages.Hello, head: Head | None) -> None:
        """Draw `head`, by default the server's own; raises PlayerError where it is not that."""
        self._hello = hello
        self._head = head_for(hello) if head is None else check_head(hello, head)
        self._shape = shape_for(hello, self._head)
        self._resting = Resting(partial(rest_like, self._head, self._shape))

    def in_window(self) -> None:
        """Show until the window is closed or nothing more comes; record beside it if asked.

        A window is never transparent: where the recording is, it shows the studio.
        """
        from viewer.render.window import HeadWindow  # needs gl.load

        def advance() -> Floats | None:
            self._take()
            now = time.monotonic()
            motion = self._playout.due(now)
            shown = self._playout.position(now)
            if self._speaker is not None and shown is not None:
                self._speaker.track.follow(now, shown)
            over = self._ended and motion is None and not self._playout.waiting
            values = self._resting.shown(motion.values if motion else None, now, over=over)
            if self._until.reached() or (over and self._resting.at_rest):
                window.leave()
                return None
            self._drawn += motion is not None
            return None if values is None else vertices_of(self._head, self._shape, values)

        film = self._film
        window = HeadWindow(
            self._head,
            advance,
            (film.width, film.height),
            before_close=self.finish_recording,
            camera=film.camera,
            background=None if film.background.transparent else film.background,
        )
        self._open_recorder()
        window.run()

    def off_screen(self) -> None:
        """Record every frame as it arrives; raises VideoError when the disk fails."""
        self._open_recorder()
        while not self._until.reached() and not self._ended:
            if not self._take():
                time.sleep(POLL_SECONDS)
            self.check_recording()

    def check_recording(self) -> None:
        """Raise VideoError where the recording has failed: off-screen nothing else is left."""
        if self._recorder is not None and self._recorder.failure is not None:
            raise VideoError(self._recorder.failure)

    def finish_recording(self) -> None:
        """Draw what is still waiting and finish the file; a second call does nothing."""
        if self._recorder is not None:
            self._draw_recording(at_most=BACKLOG_FRAMES)
            self._recorder.close()

    def close(self) -> None:
        self.finish_recording()
        if self._speaker is not None:
            self._speaker.close()

    def status(self) -> Status:
        counts, transit, client = self._playout.counts, self._playout.transit, self._thread.client
        began = self._until.began
        return Status(
            mode=self._mode,
            seconds=0.0 if began is None else time.monotonic() - began,
            frames=counts.pushed,
            shown=self._drawn,
            late=counts.late,
            dropped=counts.skipped + client.inbox.dropped + self._left_out,
            connections=client.connections,
            delay=None if transit is None else transit.delay,
            recording=self._path if self._recorder is not None else None,
            recorded=0.0 if self._recorder is None else self._recorder.seconds,
        )

    def _open_recorder(self) -> None:
        if self._path is not None:
            fps, rate = self._hello.fps, self._hello.sample_rate
            self._recorder = Recorder(self._path, self._head, self._film, self._shape, fps, rate)

    def _take(self) -> int:
        """Take in what has arrived; how much that was, and how much waits to be recorded."""
        events = self._thread.take()
        for event in events:
            if isinstance(event, Restarted):
                self._playout.reset()
                if self._speaker is not None:
                    self._speaker.track.clear()
            elif isinstance(event, Sound) and self._speaker is not None:
                self._speaker.hear(event)
            elif isinstance(event, Ended):
                self._ended = True
            elif isinstance(event, ReceivedMotion):
                if self._until.began is None:
                    self._until.began = event.arrival
                self._playout.push(event, event.arrival)
        self._record(events)
        now = time.monotonic()
        if self._on_status is not None and now - self._told >= STATUS_SECONDS:
            self._told = now
            self._on_status(self.status())
        return len(events) + len(self._unrecorded)

    def _record(self, events: list[Event]) -> None:
        """Record what has arrived, a little at a time; what is late is drawn when there is time."""
        if self._recorder is None:
            return
        for event in events:
            if isinstance(event, Sound):
                self._recorder.hear(event)
            elif isinstance(event, ReceivedMotion):
                self._unrecorded.append(event)
        while len(self._unrecorded) > BACKLOG_FRAMES:  # thinned evenly: a slower film, not a gap
            kept = list(self._unrecorded)[1::2]
            self._left_out += len(self._unrecorded) - len(kept)
            self._unrecorded = deque(kept)
        self._draw_recording(at_most=RECORDED_AT_ONCE)

    def _draw_recording(self, at_most: int) -> None:
        while self._unrecorded and at_most > 0:
            motion = self._unrecorded.popleft()
            assert self._recorder is not None  # only a recorder fills the queue
            self._recorder.show(motion)
            self._drawn += self._mode == "offscreen"
            at_most -= 1
