"""An hour of stream time at speed: `python -m benchmarks.soak`.

A real server with its own stream and room for sessions; clients come and go over real sockets.
Only the clock is another: it runs `--speed` times faster.  What is judged: frames come in order,
none is lost, the timeline does not drift against the clock, memory stays flat.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import psutil

from stream import wire
from stream.backends import load_backend
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
from stream.live import LiveLoop
from stream.own_session import OwnSessions
from stream.scheduler import Scheduler
from stream.server import Server
from stream.session import Session
from stream.sources.pushed import PushedSource

CLIENTS = 6
SESSIONS = 3
TENTHS = 10


class QuickClock:
    """The machine's clock, `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def now(self) -> float:
        return time.perf_counter() * self.speed

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds) / self.speed)


@dataclass
class Findings:
    """What a soak saw.

    Attributes:
        seconds: stream time.
        frames, own_frames: frames that clients got of the server's stream, and of their own.
        connections, sessions, interruptions: how many there were.
        disorder: frames out of order; lost: frames missing between two that came.
        left_out: seconds of silence that own sessions left out, the machine being too slow.
        memory: resident bytes at each tenth of the run.
        transit: least seconds (stream time) between a frame's sample and its arrival, by tenth.
    """

    seconds: float = 0.0
    frames: int = 0
    own_frames: int = 0
    connections: int = 0
    sessions: int = 0
    interruptions: int = 0
    refused: int = 0
    disorder: int = 0
    lost: int = 0
    left_out: float = 0.0
    memory: list[int] = field(default_factory=list)
    transit: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Megabytes from the second tenth, when all is loaded, to the last."""
        return (self.memory[-1] - self.memory[1]) / 1e6 if len(self.memory) > 1 else 0.0

    @property
    def drift(self) -> float:
        """Milliseconds of stream time by which transits moved from the first half to the last."""
        half = len(self.transit) // 2
        return 1e3 * (min(self.transit[half:]) - min(self.transit[:half])) if half else 0.0

    def line(self) -> str:
        """All of it, for people."""
        return (
            f"{self.seconds / 60:.1f} min of stream time; {self.connections} connections, "
            f"{self.sessions} own sessions, {self.interruptions} interruptions; "
            f"{self.frames} + {self.own_frames} frames, {self.disorder} out of order, "
            f"{self.lost} lost, {self.left_out:.1f} s of silence left out; "
            f"drift {self.drift:+.1f} ms; memory {self.growth:+.1f} MB"
        )


class Soak:
    """One run.

    Args:
        minutes: stream time.
        speed: how much faster than time.
        backend: its name.
        seed: of when clients come, speak and go.
    """

    def __init__(self, minutes: float, speed: float, backend: str = "fake", seed: int = 0) -> None:
        self.clock = QuickClock(speed)
        self.seconds = 60 * minutes
        self.findings = Findings(seconds=self.seconds)
        self._backend = load_backend(backend)
        self._random = random.Random(seed)
        noise = np.random.default_rng(seed).normal(0, 0.15, SAMPLE_RATE * 8).clip(-1, 1)
        self._speech = noise.astype(np.float32)
        self._stop = threading.Event()

    def run(self, say: Callable[[str], None] = lambda _: None) -> Findings:
        """Run it to its end; progress goes to `say`."""
        from head.rig import load_head
        from stream.channel_sets import make_hello

        head = load_head(self._backend.head_id)
        source = PushedSource(clock=self.clock)
        sessions = OwnSessions(
            lambda: Scheduler(self._backend, SESSIONS, clock=self.clock),
            self._backend,
            clock=self.clock,
        )
        hello = make_hello(head, styles=list(self._backend.styles))
        with Server(head, hello, port=0, sessions=sessions, clock=self.clock) as server:
            loop = LiveLoop(source, Session(self._backend), [server], clock=self.clock)
            server.on_audio, server.on_interrupt = source.push, loop.interrupt
            worker = threading.Thread(target=loop.run, kwargs={"stop": self._stop})
            self._zero = self.clock.now()
            worker.start()
            try:
                asyncio.run(self._clients(server.url, say))
            finally:
                self._stop.set()
                worker.join(10)
            self.findings.lost += server.counts.dropped
        return self.findings

    async def _clients(self, url: str, say: Callable[[str], None]) -> None:
        tasks = [asyncio.create_task(self._come_and_go(url)) for _ in range(CLIENTS)]
        process = psutil.Process()
        for tenth in range(TENTHS):
            self.findings.transit.append(float("inf"))
            until = self._zero + self.seconds * (tenth + 1) / TENTHS
            while self.clock.now() < until:
                await asyncio.sleep(0.05)
                for task in tasks:
                    if task.done():
                        task.result()  # raises what went wrong
            gc.collect()
            self.findings.memory.append(process.memory_info().rss)
            say(f"{tenth + 1}/{TENTHS}: {self.findings.line()}")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _come_and_go(self, url: str) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        while True:
            stay = self.clock.now() + self._random.uniform(2, 60)
            async with connect(url, compression=None, max_size=None) as link:
                self.findings.connections += 1
                visit = Visit(self, link.send)
                await visit.begin(own=self._random.random() < 0.5)
                async for data in link:
                    await visit.take(data)
                    if self.clock.now() > stay:
                        break
                closing = asyncio.create_task(link.close())
                with contextlib.suppress(ConnectionClosed):
                    async for data in link:
                        await visit.take(data)
                await closing


class Visit:
    """One connection of a client: what it asks for, and whether what comes is whole."""

    def __init__(self, soak: Soak, send: Callable[[str | bytes], object]) -> None:
        self._soak, self._send = soak, send
        self._random = soak._random
        self._own = self._cut = False
        self._sequence: int | None = None
        self._sample: int | None = None

    async def begin(self, own: bool) -> None:
        """Ask for a session of its own, or watch."""
        if own:
            await self._tell(wire.Open(seed=self._random.randrange(1000)))

    async def take(self, data: str | bytes) -> None:
        """Judge what came; now and then speak or interrupt."""
        findings = self._soak.findings
        if isinstance(data, str):
            self._obey(wire.parse_text(data))
            return
        message = wire.parse(data)
        if message.kind != wire.Kind.FLAME:
            return
        if self._sequence is not None and self._sample is not None:
            missing = message.sequence - self._sequence - 1
            if missing > 0 and self._cut:  # taken back before they were sent
                missing, self._cut = 0, False
            gap = message.sample - self._sample - FRAME_SAMPLES * (1 + missing)
            findings.lost += max(0, missing)
            findings.disorder += missing < 0 or gap < 0 or (gap > 0 and not self._own)
            findings.left_out += max(0, gap) / SAMPLE_RATE
        self._sequence, self._sample = message.sequence, message.sample
        if self._own:
            findings.own_frames += 1
            if self._random.random() < 0.004:
                await self._speak()
            elif self._random.random() < 0.002:
                findings.interruptions += 1
                await self._tell(wire.Interrupt())
        else:
            findings.frames += 1
            now = self._soak.clock.now() - self._soak._zero
            transit = now - message.sample / SAMPLE_RATE
            findings.transit[-1] = min(findings.transit[-1], transit)

    def _obey(self, message: wire.Text | wire.Unknown) -> None:
        findings = self._soak.findings
        if isinstance(message, wire.Opened):
            self._own, self._sequence, self._sample = True, None, None
            findings.sessions += 1
        elif isinstance(message, wire.Interrupted) and self._own:
            self._cut = True
            if self._sample is not None and self._sample >= message.sample:
                self._sample = message.sample - FRAME_SAMPLES
        elif isinstance(message, wire.Error):
            findings.refused += 1

    async def _speak(self) -> None:
        speech = self._soak._speech[: self._random.randrange(1, len(self._soak._speech))]
        at = 0
        while at < len(speech):
            piece = speech[at : at + self._random.randrange(1, 30_000)]
            at += len(piece)
            await self._say(wire.serialise(wire.Message(wire.Kind.PCM, 0, 0, piece)))
        await self._tell(wire.Flush())

    async def _tell(self, message: wire.Text) -> None:
        await self._say(wire.serialise_text(message))

    async def _say(self, data: str | bytes) -> None:
        await self._send(data)  # type: ignore[misc]


def main() -> None:
    """Run a soak and print what it saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="stream time")
    parser.add_argument("--speed", type=float, default=20.0, help="times faster than time")
    parser.add_argument("--backend", default="fake", help="fake: the server is tested, no model")
    options = parser.parse_args()
    began = time.monotonic()
    findings = Soak(options.minutes, options.speed, options.backend).run(
        lambda text: print(text, flush=True)
    )
    print(f"{findings.line()}; took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
