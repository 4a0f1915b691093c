"""What an attack is, and the table into which every kind is entered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.attacks.raw_client import Link, Target, send, websockets

Run = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True)
class Attack:
    """One kind.

    Attributes:
        name: in a few letters.
        aims_at: what it tries to exhaust or to break.
        run: does it until the target's time is over; what the server refuses is no error.
        guarded: whether the server that it attacks has TLS and a token.
        stranger: whether it comes from another address than everybody else.
    """

    name: str
    aims_at: str
    run: Run
    guarded: bool = False
    stranger: bool = False


ATTACKS: dict[str, Attack] = {}


def attack(
    name: str, aims_at: str, *, guarded: bool = False, stranger: bool = False
) -> Callable[[Run], Run]:
    """Enter a kind into the table."""

    def enter(run: Run) -> Run:
        ATTACKS[name] = Attack(name, aims_at, run, guarded, stranger)
        return run

    return enter


async def flood(
    target: Target,
    count: int,
    make: Callable[[int], bytes],
    *,
    first: bytes = b"",
    reads: bool = True,
    pause: float = 0.0,
) -> None:
    """`count` websockets that send `make(0)`, `make(1)`, ... as fast as it is taken.

    Those that are closed come again.
    """

    async def one(link: Link) -> None:
        number = 0
        if first:
            await send(link, first)
        while target.going:
            await send(link, make(number))
            number += 1
            await asyncio.sleep(pause)

    while target.going:
        async with websockets(target, count, reads=reads) as links:
            tasks = [asyncio.create_task(_quietly(one(link))) for link in links]
            while target.going and not (tasks and all(task.done() for task in tasks)):
                await asyncio.sleep(0.05)
                if not tasks:
                    break
            for task in tasks:
                task.cancel()
        await asyncio.sleep(0.02)


async def side_by_side(target: Target, count: int, do: Callable[[], Awaitable[None]]) -> None:
    """`do` again and again, so many at once."""

    async def again() -> None:
        while target.going:
            await _quietly(do())
            await asyncio.sleep(0)

    await asyncio.gather(*(again() for _ in range(count)))


async def _quietly(doing: Awaitable[None]) -> None:
    """What a server does to an attacker is no error."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await doing
