"""A server that does nothing with what it gets: the control of every attack is aimed at it."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from benchmarks.attacks.attacker import be_modest
from benchmarks.harness.processes import answer

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
)


async def _take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        while await reader.read(1 << 16):
            pass
    writer.transport.abort()


async def _serve() -> None:
    server = await asyncio.start_server(_take, "127.0.0.1", 0)
    answer(port=server.sockets[0].getsockname()[1])
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it is gone
    server.close()


def main() -> int:
    """`python -m benchmarks.attacks.nothing '{}'`."""
    be_modest()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
