"""No sound at all: for a server whose clients open sessions of their own, or push the sound."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from stream.audio import Block


class NoSource:
    """A source from which nothing ever comes, until it is closed."""

    realtime = True
    device_latency = 0.0
    dropped = 0

    def __init__(self, name: str = "clients' sessions", kind: str = "none") -> None:
        self.name, self.kind = name, kind
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Block]:
        self._closed.wait()
        return iter(())

    def interrupt(self) -> None:
        """There is nothing to forget."""

    def close(self) -> None:
        self._closed.set()
