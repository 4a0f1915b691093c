"""Tickets: what a client brings to another server to go on with its session there.

A ticket says all that a server must know, and is signed by a key that the servers share; nobody
keeps anything of a session that is gone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from head.errors import PosetalkError
from stream.wire import codec, session_messages

MOST_CHARACTERS = 20_000
_SIGNATURE_BYTES = 32


class TicketError(PosetalkError, ValueError):
    """It is no ticket of these servers, or no longer; one sentence."""


@dataclass(frozen=True)
class Ticket:
    """A session as it is.

    Attributes:
        request: what opens another one that speaks like it.
        zero: Unix seconds of its sample 0.
        until: Unix seconds after which it is nobody's.
    """

    request: session_messages.Open
    zero: float
    until: float


class Signer:
    """Writes tickets and reads them.

    Args:
        key: secret, of 16 bytes or more; that of every server which shall know the tickets.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, ticket: Ticket) -> str:
        """The ticket as text without blanks."""
        told = {
            "open": json.loads(codec.serialise_text(ticket.request)),
            "zero": ticket.zero,
            "until": ticket.until,
        }
        body = json.dumps(told, separators=(",", ":"), allow_nan=False).encode()
        return base64.urlsafe_b64encode(self._signature(body) + body).decode()

    def read(self, text: str, now: float) -> Ticket:
        """The ticket that `write` made.

        Args:
            now: Unix seconds.

        Raises:
            TicketError: it was not made with this key, or is too old.
        """
        try:
            raw = base64.urlsafe_b64decode(text[:MOST_CHARACTERS].encode("ascii"))
        except (ValueError, binascii.Error):
            raise TicketError("that is no ticket") from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(body)):
            raise TicketError("that ticket is of another deployment: open a new session")
        told = json.loads(body)
        request = codec.parse_text(json.dumps(told["open"]))
        assert isinstance(request, session_messages.Open)
        ticket = Ticket(request, float(told["zero"]), float(told["until"]))
        if now > ticket.until:
            raise TicketError("that ticket is too old: open a new session")
        return ticket

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self._key, b"posetalk ticket 1\0" + body, hashlib.sha256).digest()
