"""A replica as an ASGI application: websockets to its server, pages from whoever has them.

Knows no Ray: anything that speaks ASGI can stand before it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, TypeAlias

from stream.serve.door.auth import Refusal, is_loopback
from stream.serve.door.bridged import Arrived, BridgedSocket
from stream.serve.door.http_pages import Answer
from stream.serve.server import Server

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Ask: TypeAlias = Callable[[str, str, Mapping[str, str], tuple[str, int]], Awaitable[Answer]]
"""Method, target, headers and address of a request, and the answer to it."""

RETRY_SECONDS = 5
"""When who found no place may try again."""
REFUSED = 1008
STRANGER: Refusal = (HTTPStatus.FORBIDDEN, "others than this machine are served with a token only")
DIRECT = "/direct"


class ReplicaApp:
    """Hands on what comes.

    Args:
        server: has the sessions; it has been started.
        page: answers plain requests.
        direct: where clients reach the server itself; None: they may not.
        has_token: whether clients must bring one; without, only this machine's own are served,
            whatever address the server before us listens on.
    """

    def __init__(
        self, server: Server, page: Ask, direct: str | None = None, *, has_token: bool = False
    ) -> None:
        self._server, self._page, self._direct = server, page, direct
        self._has_token = has_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        match scope["type"]:
            case "websocket":
                await self._websocket(scope, receive, send)
            case "http":
                await self._http(scope, send)
            case "lifespan":
                await _lifespan(receive, send)

    async def _http(self, scope: Scope, send: Send) -> None:
        arrived = arrived_of(scope)
        if self._is_stranger(arrived):
            await _answer(send, STRANGER[0].value, {}, f"{STRANGER[1]}\n".encode())
            return
        answer = await self._page(scope["method"], arrived.path, arrived.headers, arrived.address)
        await _answer(send, answer.status.value, answer.headers, answer.body)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        arrived, news, loop = arrived_of(scope), asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(news.set)

        opened: BridgedSocket | Refusal = STRANGER
        if not self._is_stranger(arrived):
            opened = await self._do(self._server.open_bridged(arrived, wake))
        if not isinstance(opened, BridgedSocket):
            status, why = opened
            # Where the server before us cannot say more, it answers 403.
            if "websocket.http.response" in scope.get("extensions", {}):
                await _answer(send, status.value, {}, f"{why}\n".encode(), "websocket.http")
            else:
                await send({"type": "websocket.close", "code": REFUSED, "reason": why})
            return
        await send({"type": "websocket.accept"})
        held = self._direct is not None and arrived.path.partition("?")[0].rstrip("/") == DIRECT
        if held:
            # As long as it is held, Serve counts its client, wherever that gets its frames from.
            told = {"type": "direct", "url": self._direct}
            await send({"type": "websocket.send", "text": json.dumps(told)})
        attending = self._server.run(self._server.attend_bridged(opened, arrived, held=held))
        sending = asyncio.create_task(self._write(opened, news, send))
        try:
            await self._read(opened, receive)
        finally:
            opened.leave()
            sending.cancel()
            attending.add_done_callback(_forget)

    def _is_stranger(self, arrived: Arrived) -> bool:
        return not self._has_token and not is_loopback(arrived.address[0])

    async def _read(self, socket: BridgedSocket, receive: Receive) -> None:
        """Hand on what the client sends, until it leaves."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text, data = message.get("text"), message.get("bytes")
            await self._do(socket.put(text if text is not None else data or b""))

    async def _write(self, socket: BridgedSocket, news: asyncio.Event, send: Send) -> None:
        """Hand on what the server sends, until it closes."""
        while True:
            await news.wait()
            news.clear()
            for data in socket.take():
                kind = "text" if isinstance(data, str) else "bytes"
                await send({"type": "websocket.send", kind: data})
            if socket.closing is not None:
                code, reason = socket.closing
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return

    async def _do(self, work: Any) -> Any:
        """Await something in the server's event loop, from this one."""
        return await asyncio.wrap_future(self._server.run(work))


def arrived_of(scope: Scope) -> Arrived:
    """The handshake or request of an ASGI connection."""
    target = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
    query = scope.get("query_string", b"").decode("latin-1")
    headers: dict[str, str] = {}
    for raw_name, raw in scope["headers"]:  # fields that came twice are one, as HTTP joins them
        name, value = raw_name.decode("latin-1").lower(), raw.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    client = scope.get("client") or ("", 0)
    return Arrived(f"{target}?{query}" if query else target, headers, (client[0], client[1]))


async def _answer(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, kind: str = "http"
) -> None:
    fields = {"content-length": str(len(body)), **headers}
    if status == 503:
        fields["retry-after"] = str(RETRY_SECONDS)
    raw = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in fields.items()]
    await send({"type": f"{kind}.response.start", "status": status, "headers": raw})
    await send({"type": f"{kind}.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    for word in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{word}.complete"})


def _forget(done: Future[Any]) -> None:
    """What became of a client that has gone is logged where it happens."""
    if not done.cancelled():
        done.exception()
