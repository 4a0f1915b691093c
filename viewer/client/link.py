"""An open connection whose server has said hello; the only client of websockets in the product."""

from __future__ import annotations

import asyncio
import json
import ssl as tls
from typing import Any, Self, TypeAlias
from urllib.parse import urljoin

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)

from stream.wire import codec, messages
from viewer.client.errors import (
    ClientError,
    ConnectionFailed,
    Refused,
    VersionMismatch,
    refusal,
    unreachable,
)

HELLO_SECONDS = 10.0
CLOSE_SECONDS = 2.0
"""For a server to say goodbye too: one that hangs holds nobody up."""

Received: TypeAlias = codec.Message | codec.Text | messages.Unknown


class Link:
    """A connection that is open; `open` makes it.

    Attributes:
        url: where to, without a token.
        hello: what the server said first.
    """

    hello: messages.Hello

    def __init__(self, url: str, socket: ClientConnection) -> None:
        self.url = url
        self._socket = socket
        self._holding: ClientConnection | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        token: str | None = None,
        timeout: float = HELLO_SECONDS,
        ssl: tls.SSLContext | None = None,
    ) -> Self:
        """Connect, and hear the hello.

        Args:
            url: `ws://...` or `wss://...`.
            token: goes along as a header, and stands in no message.
            timeout: seconds for the connection, and again for the hello.
            ssl: a TLS context for `wss://`, if the system's is not the one.

        Raises:
            ConnectionFailed: nobody answers there.
            Refused: a token is missing or wrong, or there is no room.
            VersionMismatch: the server speaks another version.
            ClientError: whatever answers is no posetalk server.
        """
        link = cls(url, await cls._connected(url, token, timeout, ssl))
        try:
            link.hello = await link._greeting(timeout)
        except BaseException:
            await link.close()
            raise
        return link

    @classmethod
    async def open_direct(
        cls,
        url: str,
        token: str | None = None,
        timeout: float = HELLO_SECONDS,
        ssl: tls.SSLContext | None = None,
    ) -> Self:
        """The same to a replica of the deployment at `url`, which tells where that is.

        The connection that told is held until this one is closed: by it the client is counted.

        Raises:
            ClientError: as `open`, or it has no direct addresses.
        """
        asked = urljoin(url.rstrip("/") + "/", "direct")
        holding = await cls._connected(asked, token, timeout, ssl)
        try:
            async with asyncio.timeout(timeout):
                told = json.loads(await holding.recv())
            if not isinstance(told, dict) or told.get("type") != "direct":
                raise ClientError(f"{url} has no direct addresses: start it with --direct")
            link = await cls.open(str(told["url"]), token, timeout, ssl)
        except BaseException as error:
            await _leave(holding)
            if isinstance(error, TimeoutError | ConnectionClosed):
                raise _lost(url) from None
            raise
        link._holding = holding
        return link

    @staticmethod
    async def _connected(
        url: str, token: str | None, timeout: float, ssl: tls.SSLContext | None
    ) -> ClientConnection:
        options: dict[str, Any] = {} if ssl is None else {"ssl": ssl}
        try:
            return await connect(
                url,
                compression=None,
                max_size=codec.MAX_MESSAGE_BYTES,
                max_queue=None,
                open_timeout=timeout,
                close_timeout=CLOSE_SECONDS,
                additional_headers={"Authorization": f"Bearer {token}"} if token else None,
                **options,
            )
        except InvalidStatus as error:
            said = bytes(error.response.body or b"").decode("utf-8", "replace")
            raise refusal(url, error.response.status_code, said) from None
        except InvalidURI:
            raise ClientError(f"{url} is not an address") from None
        except (InvalidHandshake, InvalidMessage, EOFError) as error:
            if isinstance(error.__cause__ or error, EOFError):  # it ends, or begins, just now
                raise _lost(url) from None
            why = str(error).splitlines()[0]
            raise ClientError(f"{url} is no posetalk server ({why})") from None
        except (OSError, TimeoutError) as error:
            raise unreachable(url, error) from None

    async def send(self, message: str | bytes) -> None:
        """Send what `stream.wire.codec` made; raises ConnectionFailed."""
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            raise _lost(self.url) from None

    async def receive(self) -> Received:
        """The next message.

        Raises:
            ConnectionFailed: the connection has ended.
            VersionMismatch: the message is of another version.
            ClientError: the message is not of the protocol.
        """
        try:
            return _read(await self._socket.recv(), self.url)
        except ConnectionClosed:
            raise _lost(self.url) from None

    async def close(self) -> None:
        """Leave; a second call does nothing.  Cancelled meanwhile, it leaves without a word."""
        try:
            await _leave(self._socket)
        finally:
            if self._holding is not None:
                await _leave(self._holding)

    def abort(self) -> None:
        """End it without a word: the other side answers no more."""
        self._socket.transport.abort()

    async def _greeting(self, timeout: float) -> messages.Hello:
        try:
            async with asyncio.timeout(timeout):
                first = await self.receive()
        except TimeoutError:
            raise ClientError(f"{self.url} did not say hello: it is no posetalk server") from None
        if isinstance(first, messages.Error):
            raise Refused(f"{self.url} refused: {first.message}")
        if not isinstance(first, messages.Hello):
            raise ClientError(f"{self.url} did not say hello: it is no posetalk server")
        return first


async def _leave(socket: ClientConnection) -> None:
    """Close it; whoever is cancelled meanwhile leaves no open connection behind."""
    try:
        await socket.close()
    except asyncio.CancelledError:
        socket.transport.abort()
        await socket.wait_closed()
        raise


def _read(data: str | bytes, url: str) -> Received:
    try:
        return codec.parse_text(data) if isinstance(data, str) else codec.parse(data)
    except codec.VersionError as error:
        raise VersionMismatch(f"{url}: {error}") from None
    except codec.WireError as error:
        raise ClientError(f"{url} sent what is not the protocol: {error}") from None


def _lost(url: str) -> ConnectionFailed:
    return ConnectionFailed(f"the connection to {url} was lost")
