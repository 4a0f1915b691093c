"""`posetalk.Client` and `posetalk.AsyncClient`: watch a server, and make it speak."""

from __future__ import annotations

from posetalk.client.asynchronous import AsyncClient
from posetalk.client.blocking import Client
from posetalk.client.events import ClientEvent, ClientFrame, ClientSound, RequestError
from viewer.client.errors import ClientError, ConnectionFailed, Refused, VersionMismatch

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "ClientEvent",
    "ClientFrame",
    "ClientSound",
    "ConnectionFailed",
    "Refused",
    "RequestError",
    "VersionMismatch",
]
