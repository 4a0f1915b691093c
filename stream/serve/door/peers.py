"""Peers: what comes from one address shares a budget, a share of the places, and a brake."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

from stream.serve.limits import Bucket, Budget, Limits

OWN_ADDRESSES = ("127.0.0.1", "::1", "")
"""Of this machine's own programs, and of a proxy in front of it: they may have every place."""
REMEMBERED = 4_096


def peer_of(address: object) -> str:
    """The peer that a socket's address belongs to: an IPv4 address, or the /64 of an IPv6 one."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if parsed.version == 4 or parsed.is_loopback:
        return str(parsed)
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)


@dataclass(eq=False)
class Peer:
    """One peer.

    Attributes:
        name: its address.
        budget: of everything that its clients send.
        requests: of its handshakes and pages.
        brake: a token for each wrong token that it may still try.
        clients, sessions: that it has now.
        most_clients, most_sessions: that it may have.
    """

    name: str
    budget: Bucket
    requests: Bucket
    brake: Bucket
    most_clients: float
    most_sessions: float
    clients: int = 0
    sessions: int = 0

    @property
    def idle(self) -> bool:
        """Whether it has nothing here."""
        return not (self.clients or self.sessions)


class Peers:
    """All peers of late, a bounded number; used by the event loop.

    Args:
        limits: what each may have.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._everybody = Bucket(limits.server_rate, limits.server_burst)
        self._peers: OrderedDict[str, Peer] = OrderedDict()

    def of(self, address: object) -> Peer:
        """The peer at a socket's address."""
        name = peer_of(address)
        peer = self._peers.get(name)
        if peer is None:
            limits, own = self._limits, name in OWN_ADDRESSES
            peer = self._peers[name] = Peer(
                name,
                Bucket(limits.peer_rate, limits.peer_burst),
                Bucket(limits.peer_rate, limits.peer_burst),
                Bucket(1.0 / limits.wrong_token_seconds, limits.wrong_tokens),
                math.inf if own else limits.peer_clients,
                math.inf if own else limits.peer_sessions,
            )
            self._forget()
        self._peers.move_to_end(name)
        return peer

    def budget(self, peer: Peer) -> Budget:
        """Of one more client of this peer."""
        own = Bucket(self._limits.rate, self._limits.burst)
        return Budget(own, (peer.budget, self._everybody))

    def _forget(self) -> None:
        if len(self._peers) > REMEMBERED:
            oldest = next((name for name, peer in self._peers.items() if peer.idle), None)
            if oldest is not None:
                del self._peers[oldest]
