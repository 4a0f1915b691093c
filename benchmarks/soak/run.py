"""An hour of stream time at speed: `posetalk bench soak`.

A real server with its own stream and room for sessions; clients come and go over real sockets.
Only the clock is another: it runs as fast as the clients get their frames, with a bounded time in
flight, so that a busy machine makes the run longer and nothing else.  What is judged: frames come
in order, none is lost, the timeline does not drift against the clock, memory stays flat.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import psutil
import tyro

from benchmarks.attacks.attack import ATTACKS
from benchmarks.attacks.attacker import KINDS
from benchmarks.harness.environment import describe, environment
from benchmarks.harness.paced_clock import PacedClock
from benchmarks.harness.processes import BenchmarkError, Helper
from benchmarks.soak.checked_client import MINUTES, CheckedClient, SoakResult
from head.errors import PosetalkError
from head.files.json_file import write_json
from stream.backends.names import BackendName
from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.frames import SAMPLE_RATE
from stream.run.push.factory import SessionFactory
from stream.run.push.loop import PushLoop
from stream.run.scheduler import Scheduler
from stream.serve.limits import Limits
from stream.serve.server import Server

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

assert KINDS, "they enter the attacks"

CLIENTS = 6
SESSIONS = 3
TENTHS = 10
IN_FLIGHT = 0.8
"""Seconds of stream time from what the slowest client has to the clock.  Below the 64 frames that
a viewer's queue holds, and the two seconds after which a session leaves silence out."""
ATTACK_SECONDS = 3.0
SETTLE_SECONDS = 8.0
"""Of the machine's, from an attack until memory is measured: its clients are gone, and theirs."""
BETWEEN_SECONDS = 0.1
"""Of the machine's, in which memory may be asked for."""
PATIENCE = 120.0
"""Seconds of the machine's in which something must move."""


class SoakError(PosetalkError, RuntimeError):
    """The run came to a standstill; one line."""


class SoakRun:
    """One run.

    Args:
        minutes: stream time.
        speed: how much faster than time it may go.
        backend: its name.
        seed: of when clients come, speak and go.
        stall: seconds (of the machine's) for which now and then every client reads nothing.
        attacks: whether attackers come as well, one after the other (`benchmarks.attacks`).

    Attributes:
        bundle_hash: of the weights that run.
    """

    def __init__(
        self,
        minutes: float,
        speed: float,
        backend: BackendName = "fake",
        seed: int = 0,
        stall: float = 0.0,
        attacks: bool = False,
    ) -> None:
        self.clock = PacedClock(speed, IN_FLIGHT)
        self.seconds = 60 * minutes
        self.result = SoakResult(seconds=self.seconds)
        self._backend = load_backend(backend)
        self.bundle_hash = self._backend.bundle_hash
        self._random = random.Random(seed)
        noise = np.random.default_rng(seed).normal(0, 0.15, SAMPLE_RATE * 8).clip(-1, 1)
        self._speech = noise.astype(np.float32)
        self._stall, self._attacks = stall, attacks
        self._stop = threading.Event()
        self._between = threading.Lock()  # attacks: what they hold is no growth

    def run(self, say: Callable[[str], None] = lambda _: None) -> SoakResult:
        """Run it to its end; progress goes to `say`.  Raises SoakError at a standstill."""
        from head.rig import load_head
        from stream.wire.channels import make_hello

        head = load_head(self._backend.head_id)
        sessions = SessionFactory(
            lambda: Scheduler(self._backend, SESSIONS, clock=self.clock),
            self._backend,
            clock=self.clock,
        )
        hello = make_hello(head, styles=list(self._backend.styles))
        limits = Limits(peer_sessions=SESSIONS - 1)
        with Server(
            head,
            hello,
            port=0,
            sessions=sessions,
            clock=self.clock,
            read_timeout=PATIENCE,
            limits=limits,
        ) as server:
            loop = PushLoop(Session(self._backend), [server], early=server, clock=self.clock)
            server.controls.push, server.controls.interrupt, server.controls.sends_early = (
                loop.push,
                loop.interrupt,
                True,
            )
            worker = threading.Thread(target=loop.run, kwargs={"stop": self._stop})
            self._hush = loop.interrupt
            self._zero = loop.begin().zero
            worker.start()
            attacker = threading.Thread(target=self._attack, args=(server.port,), daemon=True)
            if self._attacks:
                attacker.start()
            try:
                asyncio.run(self._clients(server.url, say))
            finally:
                self._stop.set()
                worker.join(10)
                if self._attacks:
                    attacker.join(10)
            if not self._attacks:  # attackers that do not read miss frames, and are to
                self.result.lost += server.counts.dropped
        return self.result

    def _attack(self, port: int) -> None:
        """One attack after the other, in any order, each in a process of its own."""
        names = [name for name, kind in ATTACKS.items() if not kind.guarded]
        chance = random.Random(1)
        while not self._stop.is_set():
            chosen = {"name": chance.choice(names), "port": port, "seconds": ATTACK_SECONDS}
            with (
                self._between,
                contextlib.suppress(BenchmarkError),
                Helper("benchmarks.attacks.attacker", chosen) as attacker,
            ):
                attacker.receive(60)
                attacker.receive(60)
            self.result.attacks += 1
            time.sleep(BETWEEN_SECONDS)

    async def _clients(self, url: str, say: Callable[[str], None]) -> None:
        tasks = [asyncio.create_task(self._come_and_go(url)) for _ in range(CLIENTS)]
        process = psutil.Process()
        for tenth in range(TENTHS):
            self.result.transit.append(float("inf"))
            until = self._zero + self.seconds * (tenth + 1) / TENTHS
            while self.clock.now() < until:
                await asyncio.sleep(0.05)
                if self._stall and self._random.random() < 0.1:
                    time.sleep(self._stall)
                if self.clock.still > PATIENCE:
                    raise SoakError(f"no client got a frame for {PATIENCE:.0f} s")
                for task in tasks:
                    if task.done():
                        task.result()  # raises what went wrong
            await asyncio.to_thread(self._between.acquire)
            try:
                if self._attacks:
                    self._hush()  # a minute of their speech may lie ahead
                    await asyncio.sleep(SETTLE_SECONDS)
                gc.collect()
                self.result.memory.append(process.memory_info().rss)
            finally:
                self._between.release()
            say(f"{tenth + 1}/{TENTHS}: {self.result.line()}")
        await asyncio.gather(*tasks)  # they leave as they would at any other time

    @contextlib.asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[ClientConnection]:
        """A connection; who is turned away among attackers comes again, as clients do."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidMessage

        options: dict[str, Any] = {"compression": None, "max_size": None, "ping_interval": None}
        async with contextlib.AsyncExitStack() as closing:
            link = None
            while link is None:
                try:
                    made = connect(url, open_timeout=PATIENCE, **options)
                    link = await closing.enter_async_context(made)
                except (OSError, EOFError, TimeoutError, InvalidHandshake, InvalidMessage):
                    if not self._attacks:
                        raise
                    self.result.turned_away += 1
                    await asyncio.sleep(0.1)
            yield link

    async def _come_and_go(self, url: str) -> None:
        from websockets.exceptions import ConnectionClosed

        end = self._zero + self.seconds
        while (now := self.clock.now()) < end:
            stay = min(now + self._random.uniform(2, 60), end)
            client = CheckedClient(self.clock, self._zero, self.result, self._speech, self._random)
            try:
                async with self._connected(url) as link:
                    await client.begin(link)
                    async for data in link:
                        await client.take(data)
                        if self.clock.now() > stay:
                            break
                    client.leaving = True
                    # Its goodbye stands behind what was sent before it; a server that has waited
                    # long enough for one to read all that cuts it off.
                    closing = asyncio.create_task(link.close())
                    with contextlib.suppress(ConnectionClosed):
                        async for data in link:
                            await client.take(data)
                    await closing
            finally:
                client.leave()


@dataclass(frozen=True)
class Soak:
    """Serve for long, at speed, while clients come and go; prints what it saw, and writes JSON.

    Exit code 1 when a frame was lost or out of order, clocks drifted or memory grew.
    """

    minutes: Annotated[float, tyro.conf.arg(metavar="N")] = MINUTES
    """Length in stream time."""
    speed: Annotated[float, tyro.conf.arg(metavar="N")] = 20.0
    """Stream seconds a second, at most: it waits for what the clients have got."""
    backend: BackendName = "fake"
    """`fake` tests the server, without a model."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of when clients come, speak and go."""
    attacks: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Attackers come as well, one after the other."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there, for `posetalk bench page`."""

    def run(self) -> dict[str, Any]:
        """Soak; returns what `--json` writes."""
        if self.json is not None and not self.json.resolve().parent.is_dir():
            raise SoakError(f"--json {self.json}: there is no such folder")
        results = environment("soak")
        print("\n".join(describe(results)), flush=True)
        began = time.monotonic()
        soak = SoakRun(self.minutes, self.speed, self.backend, self.seed, attacks=self.attacks)
        result = soak.run(lambda text: print(text, flush=True))
        results["soak"] = figures(result, self.backend, time.monotonic() - began)
        results["soak"]["bundle_hash"] = soak.bundle_hash
        print(f"took {results['soak']['took_s']:.0f} s; {'; '.join(result.faults()) or 'held'}")
        if self.json is not None:
            write_json(self.json, results)
        return results


def figures(result: SoakResult, backend: str, took: float) -> dict[str, Any]:
    """A run as JSON."""
    return {
        **asdict(result),
        "backend": backend,
        "clients": CLIENTS,
        "own_sessions_at_once": SESSIONS,
        "in_flight_s": IN_FLIGHT,
        "took_s": took,
        "times_real_time": result.seconds / took,
        "growth_mb": result.growth,
        "drift_ms": result.drift,
        "faults": result.faults(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 held, 1 did not, 2 wrong usage; raises what `benchmarks.__main__` explains."""
    command = tyro.cli(Soak, prog="posetalk bench soak", args=arguments)
    return 1 if command.run()["soak"]["faults"] else 0
