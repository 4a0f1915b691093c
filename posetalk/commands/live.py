"""`posetalk live`: the main job, from a microphone to a face in a window."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from posetalk.app.film.settings import FILMS, FilmSettings
from posetalk.app.settings.stream import StreamSettings
from posetalk.commands.options import Debug, Flag
from posetalk.terminal.exit_codes import ended_by

if TYPE_CHECKING:
    from posetalk.app.viewer_process import Child
    from stream.serve.server import Server

View = Literal["auto", "window", "web", "offscreen", "none"]


@dataclass(frozen=True)
class Live(StreamSettings):
    """Speak, and a face speaks back: capture, infer, serve and show.

    Without a microphone it plays the demo speech; without a display it records a video.
    Ctrl-C ends it, and a recording is finished first.
    """

    view: Annotated[
        View,
        tyro.conf.arg(
            help="Where the face is shown: in a window; on a web page, at the address that it "
            "prints; off-screen, into a video; or not here at all. `auto` takes a window if there "
            "is a display, else off-screen."
        ),
    ] = "auto"
    record: Annotated[
        Path | None,
        tyro.conf.arg(metavar="OUT.mp4|.webm|.mov", help_behavior_hint="(default: no video)"),
    ] = None
    """Video to record, with sound. Off-screen one is always made, named by date and time."""
    force: Flag = False
    """Record over a file that is there."""
    clean: Flag = False
    """With --view web: the address of the face alone, transparent, as OBS takes it for a source."""
    film: FilmSettings = field(default_factory=FilmSettings)
    debug: Debug = False

    def run(self) -> int:
        from posetalk.app.opening import open_session, open_source
        from posetalk.app.serving import open_server, page_address
        from posetalk.app.streaming import stream, summary
        from posetalk.app.viewer_process import FINISH_SECONDS, ViewerFailed
        from posetalk.terminal.console import UsageError, say
        from posetalk.terminal.progress import working
        from stream.sources.returning import ReturningSource

        self.check()
        if self.clean and self.view != "web":
            raise UsageError("--clean goes with --view web")
        view, record = self._choose_view()
        query = ["obs"] * self.clean + self.film.query()
        before = _stamp(record)
        source = open_source(self, page=view == "web")
        try:
            session = open_session(self.model)
            server = open_server(self, session)
            server.hold()
            with server:
                heard = source.realtime and not isinstance(source, ReturningSource)
                child = self._start_viewer(server, view, record, sound=heard)
                say(f"serving at {server.url}")
                if view == "web":
                    self._open_page(page_address(self, server, query))
                try:
                    needed = self.view != "auto" or self.record is not None
                    ending = stream(
                        self,
                        session,
                        source,
                        server,
                        child,
                        viewer_needed=needed,
                        wait_for_page=view == "web",
                    )
                finally:
                    server.close()
                    if child is not None:
                        with working("finishing" if record is None else f"finishing {record}"):
                            child.finish(FINISH_SECONDS)
        finally:
            source.close()
            if _stamp(record) != before:
                say(f"recorded {record}")
        say(summary(ending.statistics))
        if child is not None and child.failed and needed and not ending.signal:
            raise ViewerFailed(f"the viewer failed: {child.last_words}")
        late = child is not None and not child.failed and not ending.signal
        if record is not None and not record.exists() and late:
            say(f"{record}: nothing was recorded, the viewer was not up in time")
        return ended_by(ending.signal)

    def _choose_view(self) -> tuple[View, Path | None]:
        """What is shown and recorded here.

        Raises:
            UsageError: a file that is in the way, or a look that cannot be.
            viewer.render.gl.GLError: it cannot be drawn.
        """
        from posetalk.app.outputs import check_names
        from posetalk.formats.existing import check_existing
        from posetalk.terminal.console import say
        from viewer.play.app import default_recording
        from viewer.render.gl import GLError, choose_platform, display_available

        view, record = self.view, self.record
        if record is not None:
            check_names([record], kinds=FILMS)
            check_existing([record], 0.0, force=self.force)
        if view == "auto":
            view = "window" if display_available() else "offscreen"
        if view == "offscreen" and record is None:
            record = default_recording(transparent=self.film.background == "transparent")
        self.film.check_shown(
            window=view == "window", page=view == "web", record=record is not None
        )
        self.film.film([] if record is None else [record])  # or it cannot be
        if view in ("web", "none") and record is None:
            return view, record
        try:
            choose_platform(window=view == "window")
        except GLError as error:
            if self.view != "auto" or self.record is not None:
                raise
            say(f"{error}; serving without a picture")
            return "none", None
        return view, record

    def _start_viewer(
        self, server: Server, view: View, record: Path | None, *, sound: bool
    ) -> Child | None:
        """A viewer in a process of its own, or None if nothing is to be drawn.

        With `sound` its window plays what it hears, which a microphone would hear again.
        """
        from posetalk.app.serving import REACHABLE
        from posetalk.app.viewer_process import start

        if view in ("web", "none") and record is None:
            return None
        host = REACHABLE.get(server.host, server.host)
        url = f"ws://{host}:{server.port}"
        mode = "window" if view == "window" else "offscreen"
        extra = [] if record is None else ["--record", str(record), "--force"]  # judged above
        extra += ["--sound"] if sound and mode == "window" else []
        extra += self.film.arguments()
        extra += ["--head", self.model.head] if self.model.head is not None else []
        return start([url, "--once", "--view", mode, *extra], token=self.address.secret())

    def _open_page(self, address: str) -> None:
        """Tell where the page is, and open it where there is a screen to see it on."""
        import webbrowser

        from posetalk.terminal.console import say
        from viewer.render.gl import display_available

        say(f"the face is at {address}")
        if display_available():
            # Others on this machine see a browser's command line: the page asks for its token.
            webbrowser.open(re.sub(r"[?&]token=.*", "", address))


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when a file is written; None where there is none."""
    if path is None or not path.exists():
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size
