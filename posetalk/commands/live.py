"""`posetalk live`: the main job, from a microphone to a face in a window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

import tyro

from posetalk.commands.options import Serving

if TYPE_CHECKING:
    from posetalk.children import Child
    from stream.server import Server


@dataclass(frozen=True)
class Live(Serving):
    """Speak, and a face speaks back: capture, infer, serve and show.

    Without a microphone it plays the demo speech; without a display it records a video.
    Ctrl-C ends it, and a recording is finished first.
    """

    view: Literal["auto", "window", "offscreen", "none"] = "auto"
    """Where the face is shown: a window; off-screen, into a video; or not here at all.
    `auto` takes a window if there is a display, else off-screen."""
    record: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.mp4", help_behavior_hint="(default: no video)")
    ] = None
    """Video to record, with sound. Off-screen one is always made, named by date and time."""

    def run(self) -> int:
        from posetalk.children import FINISH_SECONDS
        from posetalk.messages import say
        from posetalk.outputs import check_names
        from posetalk.streaming import open_server, open_source, stream, summary
        from viewer.app import default_recording
        from viewer.gl import GLError, choose_platform, display_available

        view, record = self.view, self.record
        if view == "auto":
            view = "window" if display_available() else "offscreen"
        if record is not None:
            check_names([record])
        elif view == "offscreen":
            record = default_recording()
        try:
            if view == "window" or record is not None:
                choose_platform(window=view == "window")
        except GLError as error:
            if self.view != "auto" or self.record is not None:
                raise
            say(f"{error}; serving without a picture")
            view, record = "none", None
        source = open_source(self)
        try:
            session = self.session()
            with open_server(self, session) as server:
                child = self._start_viewer(server, view, record)
                say(f"serving at {server.url}")
                try:
                    ending = stream(self, session, source, server, child)
                finally:
                    server.close()
                    if child is not None:
                        child.finish(FINISH_SECONDS)
        finally:
            source.close()
            if record is not None and record.exists():
                say(f"recorded {record}")
        say(summary(ending.statistics))
        if child is not None and child.failed:
            raise RuntimeError(f"the viewer failed: {child.last_words}")
        return 130 if ending.stopped else 0

    def _start_viewer(self, server: Server, view: str, record: Path | None) -> Child | None:
        """A viewer in a process of its own, or None if nothing is to be drawn."""
        from posetalk.children import start

        if view == "none" and record is None:
            return None
        url = server.url if self.token is None else f"{server.url}/?token={quote(self.token)}"
        mode = "window" if view == "window" else "offscreen"
        recording = [] if record is None else ["--record", str(record)]
        return start([url, "--once", "--view", mode, *recording])
