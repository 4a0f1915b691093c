"""Attacks below the messages: frames of websockets, and clients that do not read."""

from __future__ import annotations

import asyncio

from benchmarks.attacks.attack import attack, flood, side_by_side
from benchmarks.attacks.raw_client import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Target,
    frame,
    hang_up,
    send,
    speech,
    text,
    websocket,
    websockets,
)
from stream.wire import codec

FULL_HOUSE = "full-house"
"""The kind by which memory is measured, a client and in all."""


@attack("ping", "the event loop: control frames, which no message is")
async def ping(target: Target) -> None:
    await flood(target, 60, lambda _: frame(b"", PING) * 400)


@attack("ping-unread", "memory: answers to pings that nobody reads")
async def ping_unread(target: Target) -> None:
    await flood(target, 30, lambda _: frame(b"x" * 125, PING) * 100, reads=False)


@attack("pong", "the event loop: answers that nobody asked for")
async def pong(target: Target) -> None:
    await flood(target, 30, lambda _: frame(b"x" * 125, PONG) * 100)


@attack("ping-text", "the event loop: pings as messages")
async def ping_text(target: Target) -> None:
    await flood(target, 30, lambda n: text(type="ping", id=n) * 50)


@attack("ping-text-unread", "memory: answers to messages that nobody reads")
async def ping_text_unread(target: Target) -> None:
    await flood(target, 30, lambda n: text(type="ping", id=n) * 50, reads=False)


@attack("fragments", "memory: a message of fragments without end")
async def fragments(target: Target) -> None:
    await flood(
        target,
        16,
        lambda _: frame(b"", CONTINUATION, ends=False) * 400,
        first=frame(b"", TEXT, ends=False),
    )


@attack("partial", "memory: messages that are never finished")
async def partial(target: Target) -> None:
    unfinished = frame(b"\0" * (codec.MAX_MESSAGE_BYTES - 8), BINARY)[:-100]
    await flood(target, 40, lambda _: b"", first=unfinished, pause=1.0)


@attack("trickle", "places: a message whose bytes come one by one")
async def trickle(target: Target) -> None:
    data = speech(200_000)
    await flood(target, 40, lambda n: data[n : n + 1], pause=0.1)


@attack("oversize", "memory: messages that are too long")
async def oversize(target: Target) -> None:
    await flood(target, 16, lambda _: frame(b"\0" * (2 << 20), BINARY))


@attack("unknown", "the event loop: messages of types that nobody knows")
async def unknown(target: Target) -> None:
    data = codec.HEADER.pack(codec.MAGIC, 1, 200, 0, 0, 0, 0) + b"\0" * 60_000
    await flood(target, 8, lambda _: frame(data, BINARY))


@attack("slow-readers", "memory: everybody wants everything and reads nothing")
async def slow_readers(target: Target) -> None:
    first = text(type="subscribe", set="vertices", audio=True)
    await flood(target, 50, lambda _: b"", first=first, reads=False, pause=0.5)


@attack("slow-sessions", "memory: own sessions full of speech that nobody reads")
async def slow_sessions(target: Target) -> None:
    first = text(type="subscribe", set="flame", audio=True) + text(type="open") + speech(480_000)
    await flood(target, 4, lambda _: b"", first=first, reads=False, pause=0.5)


@attack(FULL_HOUSE, "memory: every place, for who wants all, reads nothing and ends no message")
async def full_house(target: Target) -> None:
    wanted = text(type="subscribe", set="vertices", audio=True, ahead=True)
    unfinished = frame(b"\0" * (codec.MAX_MESSAGE_BYTES - 8), BINARY)[:-100]
    async with websockets(target, 60, reads=False) as links:
        for link in links:
            link[1].write(wanted)
        for _ in range(6):  # a minute, that all of them get ahead of its time
            links[0][1].write(speech(160_000))
        for link in links:
            link[1].write(unfinished)
        while target.going:
            await asyncio.sleep(0.1)


@attack("no-frames", "the parser: bytes that are no frames of websockets")
async def no_frames(target: Target) -> None:
    await flood(target, 16, lambda n: bytes((n * 7 + k * 13) % 256 for k in range(600)))


@attack("come-and-go", "the event loop: clients that come, and go at the hello")
async def come_and_go(target: Target) -> None:
    async def once() -> None:
        link, task = await websocket(target)
        task.cancel()
        await hang_up(link)

    await side_by_side(target, 16, once)


@attack("goodbye-unread", "the end of connections: close frames, and nothing read after")
async def goodbye_unread(target: Target) -> None:
    async def once() -> None:
        link, task = await websocket(target, reads=False)
        await send(link, frame(b"\x03\xe8", 0x8) + frame(b"", PING) * 50)
        await asyncio.sleep(0.5)
        task.cancel()
        await hang_up(link)

    await side_by_side(target, 30, once)


@attack("places", "all places, for one address", stranger=True)
async def places(target: Target) -> None:
    await flood(target, 70, lambda n: text(type="ping", id=n), pause=0.5)
