"""From an address to an open connection whose server has said hello, or to the reason why not."""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import TYPE_CHECKING

from posetalk.client.events import ConnectionFailed, Refused, VersionMismatch
from stream.wire import codec, messages
from viewer.client import ClientError, reason

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection


async def dial(
    url: str, token: str | None, timeout: float, ssl: tls.SSLContext | None
) -> ClientConnection:
    """Open the websocket.

    Raises:
        ConnectionFailed, Refused, ClientError: see `AsyncClient.connect`.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if ssl is None and url.startswith("wss:"):
        ssl = tls.create_default_context()
    try:
        return await connect(
            url,
            compression=None,
            max_size=codec.MAX_MESSAGE_BYTES,
            max_queue=None,
            open_timeout=timeout,
            additional_headers=headers,
            ssl=ssl,
        )
    except InvalidStatus as error:
        said = bytes(error.response.body or b"").decode("utf-8", "replace").strip()
        why = said or f"HTTP {error.response.status_code}"
        raise Refused(f"{url} refused: {why}") from None
    except (InvalidHandshake, InvalidMessage, EOFError) as error:
        why = str(error).splitlines()[0]
        raise ClientError(f"{url} is no posetalk server ({why})") from None
    except (OSError, TimeoutError) as error:
        raise ConnectionFailed(
            f"no connection to {url}: {reason(error)}; is `posetalk serve` running there?"
        ) from None


async def greeting(link: ClientConnection, url: str, timeout: float) -> messages.Hello:
    """The hello that a server says first.

    Raises:
        VersionMismatch, Refused, ClientError: see `AsyncClient.connect`.
    """
    from websockets.exceptions import ConnectionClosed

    try:
        async with asyncio.timeout(timeout):
            first = await link.recv()
        hello = codec.parse_text(first) if isinstance(first, str) else None
    except codec.VersionError as error:
        raise VersionMismatch(f"{url}: {error}") from None
    except (codec.WireError, ConnectionClosed, TimeoutError):
        hello = None
    if isinstance(hello, messages.Error):
        raise Refused(f"{url} refused: {hello.message}")
    if not isinstance(hello, messages.Hello):
        raise ClientError(f"{url} did not say hello: it is no posetalk server")
    return hello
