"""How much a client may do: what the server takes, and what each piece of work costs.

Work is paid for before it is done, in units of cost: one is about 20 microseconds of the event
loop, a small message.  A client pays from three budgets at once: its own, its peer's (all that
comes from one address) and the server's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream.wire import codec

MOST_TEXT = 1 << 16
"""Bytes of a control message from a client."""
MOST_NAME = 200
"""Characters of a style or a mix."""
MOST_ECHO = 80
"""Characters of what a client sent that an answer repeats."""

BYTES_A_UNIT = 8_000
"""Received; parsing JSON costs more: see TEXT_BYTES_A_UNIT."""
TEXT_BYTES_A_UNIT = 200
SAMPLES_A_UNIT = 500
"""Resampled, at either rate, whichever is more."""
CONTROL_FRAME = FRAGMENT = RESENT = REFUSED = 1.0
FAN_OUT = 3.0
"""A text for one of many viewers."""
REQUEST = 10.0
"""A handshake or a page."""
CONTROL = 20.0
"""A style, strengths, a flush, an end of a session."""
FACES = 20.0
INTERRUPT = 100.0
OPEN = 200.0
FILTER = 2_000.0
"""A resampler's filter for a rate that nobody has."""


@dataclass(frozen=True)
class Limits:
    """What one server takes from its clients.

    Attributes:
        clients: websockets at once.
        handshakes: connections at once that have not become websockets (yet), from the moment at
            which they are accepted; `peer_handshakes` of one peer, the oldest goes first.
        handshake_seconds: that they may take.
        pages: browsers at once that are reading a page, `page_seconds` at most.
        peer_clients, peer_sessions: websockets and own sessions of one peer; this machine's own
            address may have all.
        message_bytes: of one message; a longer one closes the socket.
        fragments: of one message.
        unfinished_bytes: of all messages that have begun and are not whole, beyond the first
            `unfinished_free` of each; who needs more waits, and while somebody does none may take
            longer than `unfinished_seconds`.
        rate, burst: units of cost per second on average, and at once; who spends more is read
            more slowly, so that its own socket fills up and nothing here does.
        peer_rate, peer_burst: the same for all that comes from one address; handshakes and pages
            are counted by themselves.
        server_rate, server_burst: the same for everybody together.
        wrong_tokens: that a peer may try at once; one more every `wrong_token_seconds`.
        session_seconds: how long a client's own session may last.
    """

    clients: int = 64
    handshakes: int = 128
    peer_handshakes: int = 16
    handshake_seconds: float = 5.0
    pages: int = 64
    page_seconds: float = 30.0
    peer_clients: int = 32
    peer_sessions: int = 4
    message_bytes: int = codec.MAX_MESSAGE_BYTES
    fragments: int = 1_024
    unfinished_bytes: int = 16 << 20
    unfinished_free: int = 1 << 16
    unfinished_seconds: float = 10.0
    rate: float = 500.0
    burst: float = 5_000.0
    peer_rate: float = 2_000.0
    peer_burst: float = 10_000.0
    server_rate: float = 8_000.0
    server_burst: float = 40_000.0
    wrong_tokens: float = 10.0
    wrong_token_seconds: float = 5.0
    session_seconds: float = 4 * 3600.0


MOST_DEBT_SECONDS = 10.0
"""Of work that is done on credit: more is forgiven."""


class Bucket:
    """A token bucket: `rate` tokens per second flow in, up to `size`.  No clock inside.

    Taking never fails; it says how long to wait until what was taken has flowed in.
    """

    def __init__(self, rate: float, size: float) -> None:
        self._rate, self._size = rate, size
        self._left = size
        self._last: float | None = None

    def take(self, tokens: float, now: float) -> float:
        """Take `tokens` at `now` (seconds); the seconds to wait before they are there."""
        self._flow(now)
        self._left = max(self._left - tokens, -MOST_DEBT_SECONDS * self._rate)
        return max(0.0, -self._left / self._rate)

    def has(self, tokens: float, now: float) -> bool:
        """Whether `tokens` are there at `now`, taking none."""
        self._flow(now)
        return self._left >= tokens

    def _flow(self, now: float) -> None:
        if self._last is not None:
            self._left = min(self._size, self._left + self._rate * max(0.0, now - self._last))
        self._last = now


@dataclass(frozen=True)
class Budget:
    """What one client spends: from its own bucket and from those that it shares, at once.

    Attributes:
        own: nobody else's.
        shared: with others; what they have taken from these slows it down to `guaranteed` units a
            second, and no further.
    """

    own: Bucket
    shared: Sequence[Bucket] = ()
    guaranteed: float = 20.0

    def take(self, cost: float, now: float) -> float:
        """Pay for work before it is done; the seconds to wait until it may be done."""
        own = self.own.take(cost, now)
        shared = max((bucket.take(cost, now) for bucket in self.shared), default=0.0)
        return max(own, min(shared, cost / self.guaranteed))


def echo(text: str) -> str:
    """What a client sent, as an answer may repeat it: cut, in quotes, ASCII."""
    return ascii(text if len(text) <= MOST_ECHO else text[: MOST_ECHO - 3] + "...")


def mix_fault(name: str, styles: int) -> str | None:
    """Why a style's name or mix is not even looked at; None: it may be."""
    if len(name) > MOST_NAME or name.count("+") >= max(1, styles):
        return f"a style is at most {MOST_NAME} characters, and as many terms as there are styles"
    return None
