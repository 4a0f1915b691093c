"""What one client needs of its websocket, and what it may ask of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.serve.client.pushed_audio import Filters
from stream.serve.frame_encoder import Data, Encoder
from stream.serve.limits import Budget, Limits
from stream.wire import messages, session_messages

if TYPE_CHECKING:
    from stream.run.push.session import ClientSession
    from stream.serve.client.connection import Connection


class GoneError(PosetalkError):
    """The client has gone while it was to pay."""


class Socket(Protocol):
    """What a connection needs of a websocket."""

    budget: Budget

    async def send(self, message: str | bytes) -> None: ...
    def hold_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    async def wait_closed(self) -> None: ...
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...


class Host(Protocol):
    """What a client may ask of the server; an error that is returned is told to the client."""

    encoder: Encoder
    limits: Limits
    filters: Filters

    @property
    def styles(self) -> list[str]: ...
    def sent(self, data: Data) -> None: ...
    def declined(self, code: str) -> None: ...
    def open_session(
        self, client: Connection, request: session_messages.Open
    ) -> messages.Error | None: ...
    def resume_session(
        self,
        client: Connection,
        request: session_messages.Resume,
        sound: Sequence[tuple[int, NDArray[np.float32]]],
    ) -> messages.Error | None: ...
    def keeps(self, session: ClientSession) -> bool: ...
    def renew_ticket(self, client: Connection) -> None: ...
    def close_session(self, client: Connection, reason: str) -> None: ...
    def catch_up_cost(self, client: Connection) -> float: ...
    def fan_out_cost(self) -> float: ...
    def catch_up(self, client: Connection) -> None: ...
    def refuse_audio(self, client: Connection, count: int) -> messages.Error | None: ...
    def take_audio(
        self, client: Connection, samples: NDArray[np.float32]
    ) -> messages.Error | None: ...
    def change(self, request: session_messages.Condition) -> messages.Error | None: ...
    def interrupt(self, client: Connection) -> messages.Error | None: ...
