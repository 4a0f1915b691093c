"""Why a server cannot be watched or asked: each error is one line that says what to do."""

from __future__ import annotations

import socket

from head.errors import PosetalkError


class ClientError(PosetalkError, RuntimeError):
    """The server cannot be watched; one line that says why and what to do."""


class ConnectionFailed(ClientError):
    """Nobody answers there, or the connection broke."""


class Refused(ClientError):
    """The server does not let this client in: a token is missing, or there is no room."""


class Busy(Refused):
    """The server has no room for now."""


class VersionMismatch(ClientError):
    """Server and client speak different versions of the protocol."""


PASSING = (ConnectionFailed, Busy)
"""What may be over in a moment; nothing else is worth another try."""


def unreachable(url: str, error: OSError) -> ConnectionFailed:
    """A server could not be reached: why, in a few words."""
    why = error.strerror or str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        why = "nothing listens there"
    elif isinstance(error, socket.gaierror):
        why = "there is no such host"
    elif isinstance(error, TimeoutError):
        why = "no answer"
    return ConnectionFailed(f"no connection to {url}: {why}; is `posetalk serve` running there?")


def refusal(url: str, status: int, said: str = "") -> ClientError:
    """A server let nobody in: by the status of its answer (HTTP), and what it said."""
    why = said.strip() or f"HTTP {status}"
    if status == 401:
        return Refused(
            f"{url} wants a token, and this is not it: set POSETALK_TOKEN, or ?token= of the URL"
        )
    if status == 403:
        return Refused(f"{url} does not let this program in ({why})")
    if status in (429, 503):
        return Busy(f"{url} has no room ({why})")
    if status in (502, 504):
        return ConnectionFailed(f"no connection to {url}: nothing answers behind it ({why})")
    return ClientError(f"{url} is no posetalk server (HTTP {status})")
