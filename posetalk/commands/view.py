"""`posetalk view`: the face of a server, on this machine or another."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from posetalk.app.film.settings import FILMS, FilmSettings
from posetalk.app.settings.address import DEFAULT_HOST, DEFAULT_PORT
from posetalk.app.settings.tokens import TOKEN_VARIABLE
from posetalk.commands.options import Debug, Flag
from posetalk.terminal.exit_codes import ended_by

if TYPE_CHECKING:
    from viewer.play.app import Status

START_SECONDS = 10.0
"""How long to wait for a server that is not there yet."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Show the face that a server animates.

    Waits a moment for the server to come up, and for its return when it went away. In the window:
    drag to look round, scroll to come closer, Z to come back, F for the full screen, Q to close.
    """

    url: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="URL")] = (
        f"ws://{DEFAULT_HOST}:{DEFAULT_PORT}"
    )
    """The server: ws://HOST:PORT, HOST:PORT or HOST."""
    view: Literal["auto", "window", "offscreen"] = "auto"
    """A window, or off-screen into a video. `auto` takes a window if there is a display."""
    record: Annotated[
        Path | None,
        tyro.conf.arg(metavar="OUT.mp4|.webm|.mov", help_behavior_hint="(default: no video)"),
    ] = None
    """Video to record, with sound. Off-screen one is always made, named by date and time."""
    force: Flag = False
    """Record over a file that is there."""
    head: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME|FILE.npz", help_behavior_hint="(default: the server's)"),
    ] = None
    """Head to draw, where the server's own is not on this machine."""
    delay: Annotated[
        float | None, tyro.conf.arg(metavar="MS", help_behavior_hint="(default: adapts)")
    ] = None
    """Hold every frame back this long, so that they come evenly; milliseconds."""
    seconds: Annotated[
        float | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: to the end)")
    ] = None
    """Stop this long after the first frame."""
    sound: Flag = False
    """Play the server's sound with the window; not beside the microphone that it hears."""
    once: Flag = False
    """End when the server is not there or goes away, instead of waiting for it."""
    film: FilmSettings = field(default_factory=FilmSettings)
    debug: Debug = False

    def run(self) -> int:
        from posetalk.app.outputs import check_names
        from posetalk.app.viewer_process import WATCHING
        from posetalk.formats.existing import check_existing
        from posetalk.terminal.console import say
        from posetalk.terminal.status import status_line
        from stream.run.live_loop import stop_on_ctrl_c
        from viewer.play.app import choose_mode, view

        self._check()
        named = [] if self.record is None else [self.record]
        check_names(named, kinds=FILMS)
        check_existing(named, 0.0, force=self.force)
        window = choose_mode(self.view) == "window"
        self.film.check_shown(window=window, page=False, record=bool(named) or not window)
        film = self.film.film(named)
        head = None
        if self.head is not None:
            from head.rig import load_head

            head = load_head(self.head)
        url = self.url.partition("?")[0]  # what follows may be a token
        lines = [f"waiting for {url}"]

        def note(status: Status) -> None:
            if len(lines) == 1:
                say(f"{WATCHING} {url}")
            lines[1:] = [_line(status)]

        with stop_on_ctrl_c() as stop, status_line(lambda: lines[-1]):
            status = view(
                self.url,
                self.view,
                self.record,
                self.seconds,
                film=film,
                head=head,
                delay=None if self.delay is None else self.delay / 1000,
                reconnect=not self.once,
                start_timeout=0.0 if self.once else START_SECONDS,
                sound=self.sound,
                token=os.environ.get(TOKEN_VARIABLE) or None,
                stop=stop,
                say=say,
                on_status=note,
            )
        if status.recording is not None and status.recorded:
            say(f"recorded {status.recording} ({status.recorded:.1f} s)")
        elif status.recording is not None:
            say(f"{status.recording}: nothing was recorded, no frame came")
        elif stop.signal:
            say("interrupted")
        return ended_by(stop.signal)

    def _check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a value that cannot be.
        """
        from posetalk.terminal.console import UsageError
        from viewer.client.address import parse_url
        from viewer.client.errors import ClientError

        try:
            parse_url(self.url)
        except ClientError as error:
            raise UsageError(str(error)) from None
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise UsageError(f"--seconds {self.seconds:g}: must be a number above 0")
        if self.delay is not None and not 0 <= self.delay < math.inf:
            raise UsageError(f"--delay {self.delay:g}: at least 0")


def _line(status: Status) -> str:
    delay = "" if status.delay is None else f"   delay {status.delay * 1000:.0f} ms"
    recorded = f"   recorded {status.recorded:.0f} s" if status.recording else ""
    return (
        f"frames {status.frames}   shown {status.shown}   late {status.late}   "
        f"dropped {status.dropped}{delay}{recorded}"
    )
