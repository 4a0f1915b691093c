"""`posetalk serve`: live without a viewer, for viewers and game engines elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.commands.options import Debug, Streaming


@dataclass(frozen=True)
class Serve(Streaming):
    """Animate and serve, without showing anything here.

    Viewers, game engines and browsers connect to the address it prints; docs/protocol.md tells how.
    `--source push` animates the sound that a client sends.
    """

    origin: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="https://PAGE ...", help_behavior_hint="(default: none)"),
    ] = ()
    """Web pages that may connect, besides those of this machine."""
    certificate: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.pem", help_behavior_hint="(default: no TLS)")
    ] = None
    """Serve wss:// with this certificate and private key."""
    debug: Debug = False

    def run(self) -> int:
        from posetalk.messages import say
        from posetalk.streaming import open_server, open_source, stream, summary

        self.check()
        source = open_source(self)
        try:
            session = self.model.session()
            with open_server(
                self, session, origins=self.origin, certificate=self.certificate
            ) as server:
                say(f"serving at {server.url}")
                ending = stream(self, session, source, server)
        finally:
            source.close()
        say(summary(ending.statistics))
        return 130 if ending.stopped else 0
