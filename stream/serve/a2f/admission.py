"""Who may come in: the rules of the server's own door, for gRPC's calls.

The token is `authorization: Bearer TOKEN` in a call's metadata, as NVIDIA's clients send their API
key.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from head.errors import PosetalkError
from stream.serve.door.admission import Admission, Site, reason_of
from stream.serve.door.auth import WRONG_TOKEN, Gate
from stream.serve.door.peers import Peer, Peers
from stream.serve.limits import Limits

UNAUTHENTICATED, EXHAUSTED = "UNAUTHENTICATED", "RESOURCE_EXHAUSTED"


@dataclass(eq=False)
class CallRefused(PosetalkError):
    """A call that is not let in.

    Attributes:
        code: the name of gRPC's status.
        sentence: for the client.
        reason: what it is counted as.
    """

    code: str
    sentence: str
    reason: str


def address_of(peer: str) -> tuple[str, int]:
    """Host and port of gRPC's name for the other side, as `ipv4:127.0.0.1:5000`."""
    host, _, port = urllib.parse.unquote(peer).partition(":")[2].rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0


class Door:
    """Lets calls in; used by one event loop.

    Args:
        token, operator_token: as the server's.
        limits: of one address, and of all.
    """

    def __init__(self, token: str | None, operator_token: str | None, limits: Limits) -> None:
        gate = Gate(token, (), operator_token)
        self._admission = Admission(gate, Site({}, {}), limits.clients)
        self._peers = Peers(limits)
        self.calls = 0

    @contextlib.contextmanager
    def enter(self, peer: str, metadata: Sequence[tuple[str, str | bytes]]) -> Iterator[Peer]:
        """Let a call in, for as long as it lasts.

        Raises:
            CallRefused: why not.
        """
        who = self._peers.of(address_of(peer))
        found = {name.lower(): value for name, value in metadata if isinstance(value, str)}
        brought = {"Authorization": found["authorization"]} if "authorization" in found else {}
        refusal = self._admission.refusal("/", brought, self.calls, who)
        if refusal is not None:
            code = UNAUTHENTICATED if refusal == WRONG_TOKEN else EXHAUSTED
            raise CallRefused(code, refusal[1], reason_of(refusal))
        self.calls += 1
        who.clients += 1
        try:
            yield who
        finally:
            self.calls -= 1
            who.clients -= 1
