"""`posetalk serve`: live without a viewer, for viewers and game engines elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from posetalk.app.settings import StreamSettings
from posetalk.commands.options import Debug


@dataclass(frozen=True)
class Serve(StreamSettings):
    """Animate and serve, without showing anything here.

    Viewers, game engines and browsers connect to the address it prints; docs/protocol.md tells how.
    A browser that opens it gets a page with the face, its styles and a microphone button.
    `--source push` animates the sound that a client sends.
    """

    debug: Debug = False

    def run(self) -> int:
        from posetalk.app.opening import open_server, open_session, open_source, page_address
        from posetalk.app.streaming import stream, summary
        from posetalk.terminal.console import say

        self.check()
        source = open_source(self)
        try:
            session = open_session(self.model)
            server = open_server(self, session)
            server.hold()
            with server:
                say(f"serving at {server.url}, and a page at {page_address(self, server)}")
                ending = stream(self, session, source, server)
        finally:
            source.close()
        say(summary(ending.statistics))
        return 130 if ending.stopped else 0
