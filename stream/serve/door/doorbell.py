"""A listening socket that lets in who has begun to speak, a few in each turn of the event loop.

Whoever says nothing costs a file and an entry, and no more: no protocol, no TLS.  The event loop's
server is handed one end of a pair of sockets in place of the port: a byte comes there for everybody
who is to be let in, and `accept` gives them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from stream.serve.door.arrivals import Arrivals

BACKLOG = 256
"""Connections that wait in the kernel to be accepted."""
ACCEPTED_AT_ONCE = 16
"""In one turn of the event loop."""
LET_IN_AT_ONCE = 2
"""In one turn: so that who was let in before comes to its end meanwhile."""
NO_FILES_SECONDS = 0.1
"""How long nobody is accepted once this process may have no more files."""


class Doorbell(socket.socket):
    """Stands for a port that is listened at; used by the event loop.

    Args:
        port: the socket that listens; closed with this one.
        arrivals: told of everybody who comes.
        delay: seconds that somebody at an address has to wait before being let in.
    """

    def __init__(
        self, port: socket.socket, arrivals: Arrivals, delay: Callable[[Any], float]
    ) -> None:
        here, self._button = socket.socketpair()
        super().__init__(here.family, here.type, here.proto, fileno=here.detach())
        self._button.setblocking(False)
        self.setblocking(False)
        self._port, self._arrivals, self._delay = port, arrivals, delay
        self._speaking: deque[tuple[socket.socket, Any]] = deque()
        self._called = self._is_over = False

    def listen(self, backlog: int = BACKLOG) -> None:
        """As of sockets: from now on people are accepted."""
        asyncio.get_running_loop().add_reader(self._port.fileno(), self._accept_some)

    def stop(self) -> None:
        """Let nobody in from now on.

        asyncio's server may be closed in the next turn of the event loop: whom it has accepted has
        a transport then, and it would never close a socket without one.
        """
        self._is_over = True
        with contextlib.suppress(RuntimeError, ValueError):
            asyncio.get_running_loop().remove_reader(self._port.fileno())

    def close(self) -> None:
        """As of sockets: nobody is accepted any more."""
        self.stop()
        self._button.close()
        self._port.close()
        super().close()

    def accept(self) -> tuple[socket.socket, Any]:
        """As of sockets: who has begun to speak; BlockingIOError: nobody else has."""
        self.recv(1)  # raises BlockingIOError
        while self._speaking and not self._is_over:
            raw, address = self._speaking.popleft()
            if raw.fileno() >= 0:
                self._arrivals.let_in(address)
                return raw, address
        raise BlockingIOError

    def _accept_some(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                raw, address = self._port.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no more files: later
                loop.remove_reader(self._port.fileno())
                loop.call_later(NO_FILES_SECONDS, self._resume)
                return
            raw.setblocking(False)
            self._arrivals.came(address, raw, partial(_let_go, loop, raw))
            loop.add_reader(raw.fileno(), self._spoke, raw, address)

    def _resume(self) -> None:
        if not self._is_over:
            self.listen()

    def _spoke(self, raw: socket.socket, address: Any) -> None:
        """Its first bytes are here: it is let in when its turn comes."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(raw.fileno())
        delay = self._delay(address)
        if delay:
            loop.call_later(delay, self._stand_in_line, raw, address)
        else:
            self._stand_in_line(raw, address)

    def _stand_in_line(self, raw: socket.socket, address: Any) -> None:
        loop = asyncio.get_running_loop()
        self._speaking.append((raw, address))
        if not self._called:
            self._called = True
            loop.call_soon(self._let_in)

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            self._button.send(bytes(min(LET_IN_AT_ONCE, len(self._speaking))))
        self._called = len(self._speaking) > LET_IN_AT_ONCE
        if self._called:
            asyncio.get_running_loop().call_soon(self._let_in)


def _let_go(loop: asyncio.AbstractEventLoop, raw: socket.socket) -> None:
    """Close a connection that has no protocol yet."""
    if raw.fileno() >= 0:
        loop.remove_reader(raw.fileno())
        raw.close()


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of `host`; raises OSError or ValueError."""
    found: list[socket.socket] = []
    try:
        infos = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, number, _, address in dict.fromkeys(infos):
            made = socket.socket(family, kind, number)
            found.append(made)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if os.name == "posix":  # elsewhere it would let others take the port
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if not port and len(found) > 1:
                address = (address[0], found[0].getsockname()[1], *address[2:])
            made.bind(address)
            made.listen(BACKLOG)
            made.setblocking(False)
    except BaseException:
        for made in found:
            made.close()
        raise
    return found
