"""Watch a server: `view(url)` puts client, play-out, skinning, window and recording together.

`render_motion` draws a whole clip into a video, without a server.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from stream import wire
from viewer import gl
from viewer.client import Client, ClientThread, Ended, Event, Motion, Restarted, Sound
from viewer.player import head_for, shape_for, vertices_of, vertices_of_motion
from viewer.playout import PlayoutBuffer
from viewer.recorder import Recorder
from viewer.renderer import Renderer
from viewer.speaker import Speaker, SpeakerError
from viewer.video import VideoError, VideoWriter

if TYPE_CHECKING:
    from head.model import Head

logger = logging.getLogger(__name__)

Mode = Literal["auto", "window", "offscreen"]
Floats = NDArray[np.float32]

POLL_SECONDS = 0.01
STATUS_SECONDS = 1.0
BACKLOG_FRAMES = 50  # more than this waiting to be recorded: the oldest are left out, and counted


@dataclass(frozen=True)
class Status:
    """How watching goes, about once a second and at the end."""

    mode: Literal["window", "offscreen"]
    seconds: float  # since the first frame
    frames: int  # that arrived
    shown: int
    late: int  # arrived after a newer one had been shown
    dropped: int  # never shown because a newer one was due, or because nobody took them in time
    connections: int
    delay: float | None  # constant play-out delay in seconds that 99 % of the frames meet
    recording: Path | None
    recorded: float  # seconds of video


def choose_mode(mode: Mode) -> Literal["window", "offscreen"]:
    """What "auto" means here: a window where there is a display."""
    if mode == "auto":
        return "window" if gl.display_available() else "offscreen"
    return mode


def default_recording() -> Path:
    """Name of a recording that nobody named: posetalk-DATE-TIME.mp4 in the working folder."""
    return Path(f"posetalk-{datetime.now():%Y%m%d-%H%M%S}.mp4")


def view(
    url: str,
    mode: Mode = "auto",
    record: str | Path | None = None,
    seconds: float | None = None,
    *,
    size: tuple[int, int] = (512, 512),
    head: Head | None = None,
    delay: float | None = None,
    reconnect: bool = True,
    patience: float = 10.0,
    sound: bool = False,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = logger.info,
    on_status: Callable[[Status], None] | None = None,
) -> Status:
    """Watch the server at `url` until it ends, `seconds` have passed, `stop` is set or Ctrl-C.

    A window needs the main thread. Off-screen always records: to `record`, or to a file in the
    working folder that `say` names. `delay` is the play-out delay in seconds (None: it adapts),
    `patience` how many seconds to wait for a server that is not there yet. `sound` plays the
    server's audio with a window, where there is a loudspeaker.

    Raises:
        viewer.client.ClientError: no server, another protocol, a refusal.
        viewer.player.PlayerError: the server's head is not here.
        viewer.gl.GLError: nothing can draw here.
        viewer.video.VideoError: the recording cannot be written.
    """
    chosen = choose_mode(mode)
    path = None if record is None else Path(record)
    if chosen == "offscreen" and path is None:
        path = default_recording()
        say(f"no window: recording a video to {path.resolve()}")
    gl.load(window=chosen == "window")
    speaker = _open_speaker() if sound and chosen == "window" else None
    audio = path is not None or speaker is not None
    client = Client(url, audio=audio, reconnect=reconnect, patience=patience)
    until = _Until(seconds, stop)
    with ClientThread(client) as thread:
        watch = _Watch(thread, chosen, until, on_status, path, delay, speaker)
        try:
            hello = watch.wait_for_hello()
            if hello is not None:
                watch.set_head(hello, head)
                if chosen == "window":
                    watch.in_window(size)
                else:
                    watch.off_screen(size)
        except KeyboardInterrupt:
            logger.debug("interrupted")
        finally:
            watch.close()
    if chosen == "offscreen":
        watch.check_recording()
    return watch.status()


def render_motion(
    head: Head,
    motion: Floats,
    audio: Floats | None,
    path: str | Path,
    width: int = 512,
    height: int = 512,
    shape: Floats | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw motion (L, 54) at 25 frames a second, with sound (n,) at 16 kHz, into an mp4.

    `progress(done, total)` is called after each frame. Raises viewer.gl.GLError, VideoError.
    """
    with (
        Renderer(head, width, height) as renderer,
        VideoWriter(path, width, height, sound=audio is not None) as video,
    ):
        hop = 640
        for k, frame in enumerate(motion):
            video.add_frame(renderer.render(vertices_of_motion(head, frame, shape)))
            if audio is not None:
                video.add_audio(audio[k * hop : (k + 1) * hop])
            if progress is not None:
                progress(k + 1, len(motion))


def _open_speaker() -> Speaker | None:
    """The loudspeaker, or None: a face without sound is better than none."""
    try:
        return Speaker()
    except SpeakerError as error:
        logger.info("%s", error)
        return None


class _Until:
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


class _Watch:
    """One call of `view`: what has arrived goes to the play-out buffer and to the recording."""

    def __init__(
        self,
        thread: ClientThread,
        mode: Literal["window", "offscreen"],
        until: _Until,
        on_status: Callable[[Status], None] | None,
        path: Path | None,
        delay: float | None,
        speaker: Speaker | None = None,
    ) -> None:
        self._thread, self._mode, self._until, self._path = thread, mode, until, path
        self._on_status, self._told = on_status, 0.0
        self._playout: PlayoutBuffer[Motion] = PlayoutBuffer(delay=delay)
        self._recorder: Recorder | None = None
        self._speaker = speaker
        self._unrecorded: deque[Motion] = deque()
        self._ended = False
        self._drawn = self._left_out = 0

    def wait_for_hello(self) -> wire.Hello | None:
        """The server's hello, None where it was stopped before; raises ClientError."""
        client = self._thread.client
        while client.hello is None and self._thread.running and not self._until.reached():
            time.sleep(POLL_SECONDS)
        if client.hello is None:
            self._thread.take()  # raises why
        return client.hello

    def set_head(self, hello: wire.Hello, head: Head | None) -> None:
        self._hello = hello
        self._head = head_for(hello) if head is None else head
        self._shape = shape_for(hello, self._head)

    def in_window(self, size: tuple[int, int]) -> None:
        """Show until the window is closed or nothing more comes; record beside it if asked."""
        from viewer.window import Window  # needs gl.load

        def advance() -> Floats | None:
            self._take()
            now = time.monotonic()
            motion = self._playout.due(now)
            shown = self._playout.position(now)
            if self._speaker is not None and shown is not None:
                self._speaker.track.follow(now, shown)
            if self._until.reached() or (
                self._ended and motion is None and not self._playout.waiting
            ):
                window.leave()
                return None
            if motion is None:
                return None
            self._drawn += 1
            return vertices_of(self._head, self._shape, motion)

        window = Window(self._head, advance, size)
        self._open_recorder(size)
        window.run()

    def off_screen(self, size: tuple[int, int]) -> None:
        """Record every frame as it arrives; raises VideoError when the disk fails."""
        self._open_recorder(size)
        while not self._until.reached() and not self._ended:
            if not self._take():
                time.sleep(POLL_SECONDS)
            self.check_recording()

    def check_recording(self) -> None:
        """Raise VideoError where the recording has failed: off-screen nothing else is left."""
        if self._recorder is not None and self._recorder.failure is not None:
            raise VideoError(self._recorder.failure)

    def close(self) -> None:
        if self._recorder is not None:
            self._draw_recording(at_most=BACKLOG_FRAMES)
            self._recorder.close()
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

    def _open_recorder(self, size: tuple[int, int]) -> None:
        if self._path is not None:
            fps, rate = self._hello.fps, self._hello.sample_rate
            self._recorder = Recorder(self._path, self._head, size, fps, rate)

    def _take(self) -> int:
        """Take in what has arrived since the last call, and say how much that was."""
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
            elif isinstance(event, Motion):
                if self._until.began is None:
                    self._until.began = event.arrival
                self._playout.push(event, event.arrival)
        self._record(events)
        now = time.monotonic()
        if self._on_status is not None and now - self._told >= STATUS_SECONDS:
            self._told = now
            self._on_status(self.status())
        return len(events)

    def _record(self, events: list[Event]) -> None:
        """Record what has arrived; beside a window only so much that the window stays alive."""
        if self._recorder is None:
            return
        for event in events:
            if isinstance(event, Sound):
                self._recorder.hear(event)
            elif isinstance(event, Motion):
                self._unrecorded.append(event)
        surplus = len(self._unrecorded) - BACKLOG_FRAMES
        for _ in range(surplus):
            self._unrecorded.popleft()
        self._left_out += max(surplus, 0)
        self._draw_recording(at_most=2 if self._mode == "window" else BACKLOG_FRAMES)

    def _draw_recording(self, at_most: int) -> None:
        while self._unrecorded and at_most > 0:
            motion = self._unrecorded.popleft()
            assert self._recorder is not None  # only a recorder fills the queue
            self._recorder.show(motion, vertices_of(self._head, self._shape, motion))
            self._drawn += self._mode == "offscreen"
            at_most -= 1
