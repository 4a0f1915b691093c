"""How much a client may do: numbers with sane defaults, and a bucket that keeps to a rate."""

from __future__ import annotations

from dataclasses import dataclass

from stream.wire import codec


@dataclass(frozen=True)
class Limits:
    """What one server takes from its clients.

    Attributes:
        clients: websockets at once.
        handshakes: connections at once that have not become websockets (yet), browsers' requests
            for pages among them.
        message_bytes: of one message; a longer one closes the socket.
        messages: per second, on average; a client that sends more is read more slowly, so that
            its own socket fills up and nothing here does.  `burst` may come at once.
        bytes: per second, on average, and `byte_burst` at once.
        session_seconds: how long a client's own session may last.
    """

    clients: int = 64
    handshakes: int = 128
    message_bytes: int = codec.MAX_MESSAGE_BYTES
    messages: float = 500.0
    burst: float = 5_000.0
    bytes: float = 4e6
    byte_burst: float = 32e6
    session_seconds: float = 4 * 3600.0


class Bucket:
    """A token bucket: `rate` tokens per second flow in, up to `size`.  No clock inside.

    Taking never fails; it says how long to wait until what was taken has flowed in.
    """

    def __init__(self, rate: float, size: float) -> None:
        self._rate, self._size = rate, size
        self._left = size
        self._last: float | None = None

    def take(self, tokens: float, now: float) -> float:
        """Take `tokens` at `now` (seconds); the seconds to wait before the next are taken."""
        if self._last is not None:
            self._left = min(self._size, self._left + self._rate * max(0.0, now - self._last))
        self._last = now
        self._left -= tokens
        return max(0.0, -self._left / self._rate)
