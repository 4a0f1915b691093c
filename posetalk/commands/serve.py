"""`posetalk serve`: live without a viewer, for viewers and game engines elsewhere."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated

import tyro

from posetalk.app.settings.stream import StreamSettings
from posetalk.commands.options import Debug
from posetalk.terminal.exit_codes import ended_by


@dataclass(frozen=True)
class Serve(StreamSettings):
    """Animate and serve, without showing anything here.

    Viewers, game engines and browsers connect to the address it prints; docs/protocol.md tells how.
    A browser that opens it gets a page with the face, its styles and a microphone button.
    `--source push` animates the sound that a client sends.
    """

    a2f: Annotated[
        tuple[int, ...] | None,
        tyro.conf.arg(metavar="[PORT]", help_behavior_hint="(default: no; PORT: 52000)"),
    ] = None
    """Also be NVIDIA's Audio2Face-3D service, for its plug-ins and clients: each of their streams
    is one of the --sessions. They send their sound themselves, so --source none goes with it."""
    debug: Debug = False

    def check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a value that cannot be.
        """
        from posetalk.terminal.console import UsageError

        super().check()
        if self.a2f is None:
            return
        if len(self.a2f) > 1 or not all(0 <= port <= 65535 for port in self.a2f):
            raise UsageError("--a2f takes one port, 0 to 65535, or none")
        if not self.sessions:
            raise UsageError("--a2f gives each client a session: --sessions must be 1 or more")

    def run(self) -> int:
        from posetalk.app.opening import open_session, open_source
        from posetalk.app.serving import open_a2f, open_server, page_address
        from posetalk.app.streaming import stream, summary
        from posetalk.terminal.console import say

        self.check()
        source = open_source(self)
        try:
            session = open_session(self.model)
            server = open_server(self, session)
            server.hold()
            with contextlib.ExitStack() as serving:
                serving.enter_context(server)
                say(f"serving at {server.url}, and a page at {page_address(self, server)}")
                if self.a2f is not None:
                    a2f = open_a2f(self, session, server, *self.a2f)
                    serving.enter_context(a2f)
                    say(f"serving Audio2Face-3D at {a2f.url}")
                ending = stream(self, session, source, server)
        finally:
            source.close()
        say(summary(ending.statistics))
        return ended_by(ending.signal)
