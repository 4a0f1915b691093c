"""A client that keeps to no rule: raw bytes to a server on this machine, for attackers only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from stream.wire import codec

PING, PONG, CLOSE, TEXT, BINARY, CONTINUATION = 0x9, 0xA, 0x8, 0x1, 0x2, 0x0
PATIENCE = 10.0
OWN_ADDRESS = "127.0.0.66"
"""Where attackers come from that a server must tell from others (all of 127/8 is this machine)."""


@dataclass(frozen=True)
class Target:
    """What is attacked.

    Attributes:
        port: on this machine.
        until: when to stop, in seconds of the event loop.
        tls: whether it speaks TLS.
        token: lets in; "": none is needed.
        source: the address to come from; "": the machine's own.
    """

    port: int
    until: float
    tls: bool = False
    token: str = ""
    source: str = ""

    @property
    def going(self) -> bool:
        """Whether there is time left."""
        return asyncio.get_running_loop().time() < self.until

    def tls_context(self) -> ssl.SSLContext | None:
        """One that trusts everybody: the certificate is the benchmark's own."""
        if not self.tls:
            return None
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(target: Target, *, handshake: bool = True) -> Link:
    """A TCP (and TLS) connection; raises OSError."""
    where = {"local_addr": (target.source, 0)} if target.source else {}
    context = target.tls_context() if handshake else None
    async with asyncio.timeout(PATIENCE):
        return await asyncio.open_connection("127.0.0.1", target.port, ssl=context, **where)  # type: ignore[arg-type]


async def hang_up(link: Link) -> None:
    """Close it, whatever its other side does."""
    link[1].transport.abort()
    await asyncio.sleep(0)


def request(
    target: Target, path: str = "/", *, method: str = "GET", upgrade: bool = False, **fields: str
) -> bytes:
    """An HTTP request; `fields` are headers, their underscores dashes."""
    headers = {"Host": f"127.0.0.1:{target.port}"}
    if upgrade:
        headers |= {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


async def websocket(target: Target, *, reads: bool = True) -> tuple[Link, asyncio.Task[None]]:
    """A websocket past its handshake; with `reads`, what comes is read and thrown away.

    Raises OSError, also for a server that refuses.
    """
    link = await connect(target)
    try:
        link[1].write(request(target, upgrade=True))
        async with asyncio.timeout(PATIENCE):
            answer = await link[0].readuntil(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n", 1)[0]:
            raise ConnectionError("refused")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as error:
        await hang_up(link)
        raise ConnectionError(str(error)) from None
    return link, asyncio.create_task(_read(link[0]) if reads else asyncio.sleep(0))


async def _read(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(1 << 16):
            pass


def frame(data: bytes, opcode: int, *, ends: bool = True) -> bytes:
    """A websocket frame as clients send them, masked with zeros."""
    first = (0x80 if ends else 0) | opcode
    size = len(data)
    if size < 126:
        head = struct.pack(">BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, size)
    return head + b"\0\0\0\0" + data


def text(**values: object) -> bytes:
    """A control message in a frame."""
    return frame(json.dumps(values).encode(), TEXT)


def speech(count: int, byte: bytes = b"\x10") -> bytes:
    """A message of `count` int16 samples, in a frame."""
    header = codec.HEADER.pack(codec.MAGIC, 1, codec.Kind.PCM, codec.Flag.INT16, 0, 0, count)
    return frame(header + byte * 2 * count, BINARY)


async def send(link: Link, data: bytes) -> None:
    """Send it all; raises OSError (TimeoutError: it is not taken)."""
    link[1].write(data)
    async with asyncio.timeout(PATIENCE):
        await link[1].drain()


@contextlib.asynccontextmanager
async def websockets(
    target: Target, count: int, *, reads: bool = True
) -> AsyncIterator[list[Link]]:
    """As many of `count` websockets as the server lets in."""
    links: list[tuple[Link, asyncio.Task[None]]] = []
    try:
        for _ in range(count):
            if not target.going:
                break
            with contextlib.suppress(OSError):
                links.append(await websocket(target, reads=reads))
        yield [link for link, _ in links]
    finally:
        for link, task in links:
            task.cancel()
            await hang_up(link)
