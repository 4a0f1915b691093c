"""Where viewers connect: address, token, pages and certificates.

The annotations are for the commands' help and nothing else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.app.settings.tokens import OPERATOR_VARIABLE, TOKEN_VARIABLE, read_token

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765


@dataclass(frozen=True)
class AddressSettings:
    """Where viewers and game engines connect."""

    host: Annotated[str, tyro.conf.arg(metavar="A")] = DEFAULT_HOST
    """Address to serve on. The default serves this machine only; 0.0.0.0 (with a token) all."""
    port: Annotated[int, tyro.conf.arg(metavar="N")] = DEFAULT_PORT
    """Port to serve on; 0 takes a free one."""
    token: Annotated[
        str | None, tyro.conf.arg(metavar="SECRET", help_behavior_hint="(default: none)")
    ] = None
    """What viewers must bring to connect, 16 characters or more; other hosts need one. Others on
    this machine see command lines: --token-file or the variable POSETALK_TOKEN are not seen."""
    token_file: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")
    ] = None
    """File that holds the token, and nothing else."""
    origin: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="https://PAGE ...", help_behavior_hint="(default: none)"),
    ] = ()
    """Web pages that may connect, besides those of this machine. `null` lets in files and sandboxed
    frames of every site, `*` all pages: these two need a token."""
    tls_cert: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["--certificate"], metavar="FILE.pem", help_behavior_hint="(default: no TLS)"
        ),
    ] = None
    """Serve https:// and wss:// with this certificate, as browsers elsewhere want before they give
    their microphone."""
    tls_key: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FILE.pem", help_behavior_hint="(default: in the certificate's file)"
        ),
    ] = None
    """The certificate's private key."""
    tls_client_ca: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FILE.pem", help_behavior_hint="(default: clients need none)"),
    ] = None
    """Clients must show a certificate, too, signed by one of this file."""

    def check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a port or an origin that cannot be, a token that does not protect, none
                where others can connect.
            OSError: the token's file cannot be read.
        """
        from posetalk.terminal.console import UsageError
        from stream.serve.door.auth import check_door

        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port {self.port}: ports are 0 to 65535")
        if self.tls_key is not None and self.tls_cert is None:
            raise UsageError("--tls-key goes with --tls-cert")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise UsageError("--tls-client-ca goes with --tls-cert")
        try:
            check_door(self.host, self.secret(), os.environ.get(OPERATOR_VARIABLE), self.origin)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def secret(self) -> str | None:
        """The token that clients must bring; None: there is none.

        Raises:
            ValueError, OSError: as `posetalk.app.settings.tokens.read_token`.
        """
        return read_token(self.token, self.token_file, os.environ, TOKEN_VARIABLE)
