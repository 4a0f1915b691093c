"""Attacks at the door: connections, TLS, HTTP, tokens and names."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl

from benchmarks.attacks.attack import attack, side_by_side
from benchmarks.attacks.raw_client import Link, Target, connect, hang_up, request, send

IDLE = 3_000


async def _many_idle(target: Target, first: bytes, count: int = IDLE) -> None:
    """Connections that send `first`, and nothing more; the oldest are given up for new ones."""
    links: list[Link] = []
    try:
        while target.going:
            try:
                link = await connect(target, handshake=False)
                link[1].write(first)
                links.append(link)
            except OSError:
                await asyncio.sleep(0.05)
            if len(links) > count:
                await hang_up(links.pop(0))
    finally:
        for link in links:
            link[1].transport.abort()


@attack("tcp-idle", "files and memory: connections that say nothing")
async def tcp_idle(target: Target) -> None:
    await _many_idle(target, b"")


@attack("tls-idle", "memory: connections that never begin their TLS", guarded=True)
async def tls_idle(target: Target) -> None:
    await _many_idle(target, b"")


@attack("tls-half", "memory: TLS that is begun and never finished", guarded=True)
async def tls_half(target: Target) -> None:
    await _many_idle(target, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60))


@attack("tls-hello", "memory: TLS whose hello is whole, and then nothing", guarded=True)
async def tls_hello(target: Target) -> None:
    context, said = target.tls_context(), ssl.MemoryBIO()
    assert context is not None, "it is guarded"
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said).do_handshake()
    await _many_idle(target, said.read())


@attack("tls-rubbish", "the handshake: bytes that are no TLS", guarded=True)
async def tls_rubbish(target: Target) -> None:
    async def once() -> None:
        link = await connect(target, handshake=False)
        await send(link, secrets.token_bytes(300))
        await hang_up(link)

    await side_by_side(target, 16, once)


@attack("http-half", "places: requests that are never finished")
async def http_half(target: Target) -> None:
    await _many_idle(target, request(target, upgrade=True)[:-2], 260)


@attack("http-slow", "places: requests whose bytes come one by one")
async def http_slow(target: Target) -> None:
    async def once() -> None:
        link = await connect(target)
        try:
            for byte in request(target, upgrade=True):
                if not target.going:
                    break
                await send(link, bytes([byte]))
                await asyncio.sleep(0.2)
        finally:
            await hang_up(link)

    await side_by_side(target, 40, once)


@attack("http-headers", "memory: requests with headers without end")
async def http_headers(target: Target) -> None:
    async def once() -> None:
        link = await connect(target)
        try:
            await send(link, request(target)[:-2])
            for number in range(1_000):
                if not target.going:
                    break
                await send(link, b"X-%d: " % number + b"y" * 8_000 + b"\r\n")
        finally:
            await hang_up(link)

    await side_by_side(target, 8, once)


async def _ask(target: Target, *requests: bytes) -> None:
    for asked in requests:
        link = await connect(target)
        try:
            await send(link, asked)
            async with asyncio.timeout(5):
                while await link[0].read(1 << 16):
                    pass
        finally:
            await hang_up(link)


@attack("methods", "the pages: every method but the two that there are")
async def methods(target: Target) -> None:
    names = ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "HEAD", "X" * 200)
    asked = [request(target, method=name) for name in names]
    await side_by_side(target, 8, lambda: _ask(target, *asked))


@attack("pages", "the event loop: pages, asked for again and again")
async def pages(target: Target) -> None:
    asked = [request(target, path, Accept_Encoding="gzip") for path in ("/", "/look.json")]
    await side_by_side(target, 8, lambda: _ask(target, *asked))


@attack("pages-unread", "memory: pages that nobody reads")
async def pages_unread(target: Target) -> None:
    async def once() -> None:
        link = await connect(target)
        try:
            link[1].transport.pause_reading()  # type: ignore[attr-defined]
            await send(link, request(target, "/head.bin"))
            while target.going:
                await asyncio.sleep(0.2)
                await send(link, b"x")
        finally:
            await hang_up(link)

    await side_by_side(target, 100, once)


@attack("paths", "files: paths that lead elsewhere")
async def paths(target: Target) -> None:
    asked = [
        request(target, path)
        for path in ("/../../etc/passwd", "/%2e%2e/x", "//", "/" + "a" * 4_000, "/\\..\\x", "/?a=b")
    ]
    await side_by_side(target, 8, lambda: _ask(target, *asked))


@attack("metrics", "the event loop: metrics, asked for again and again")
async def metrics(target: Target) -> None:
    asked = [request(target, path) for path in ("/metrics", "/healthz", "/readyz")]
    await side_by_side(target, 8, lambda: _ask(target, *asked))


@attack("rebinding", "what is served: names and pages from elsewhere", stranger=True)
async def rebinding(target: Target) -> None:
    evil = f"evil.example:{target.port}"
    asked = [
        request(target, "/head.bin", Host=evil),
        request(target, upgrade=True, Origin="http://evil.example"),
        request(target, upgrade=True, Host=evil, Origin=f"http://{evil}"),
        request(target, upgrade=True, Origin="null"),
        request(target, "/metrics", Host="[", Origin="http://["),
    ]
    await side_by_side(target, 8, lambda: _ask(target, *asked))


@attack("keys", "the handshake: upgrades that are none")
async def keys(target: Target) -> None:
    asked = [
        request(target, upgrade=True, Sec_WebSocket_Key=key)
        for key in ("", "x", "A" * 5_000, "AAAAAAAAAAAAAAAAAAAAAA==\x00")
    ] + [request(target, upgrade=True, Sec_WebSocket_Version="99")]
    await side_by_side(target, 8, lambda: _ask(target, *asked))


@attack("tokens", "the token: one guess after the other", guarded=True, stranger=True)
async def tokens(target: Target) -> None:
    async def once() -> None:
        wrong = f"Bearer {secrets.token_urlsafe(16)}"
        await _ask(target, request(target, upgrade=True, Authorization=wrong))

    await side_by_side(target, 16, once)


@attack("connect-reset", "the event loop: connections that are cut at once")
async def connect_reset(target: Target) -> None:
    async def once() -> None:
        await hang_up(await connect(target, handshake=False))

    await side_by_side(target, 16, once)
