"""One client of a soak, and what it finds: is everything that comes whole and in order?"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.paced_clock import PacedClock
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
from stream.wire import codec, messages, session_messages

MINUTES = 60.0
"""Stream time of a soak, unless it is told another."""
MOST_GROWTH_MB = 10.0
MOST_DRIFT_MS = 40.0


@dataclass
class SoakResult:
    """What the clients of a soak counted.

    Attributes:
        seconds: stream time.
        frames, session_frames: frames that clients got of the server's stream, and of their own.
        early_frames: of the server's stream, ahead of time where speech was pushed.
        connections, sessions, interruptions: how many there were.
        refused: requests that the server refused (no room for a session, for one).
        attacks: that were run against it meanwhile; turned_away: clients who had to come again.
        disorder: frames out of order; lost: frames missing between two that came.
        left_out: seconds of silence that own sessions left out, the machine being too slow.
        memory: resident bytes at each tenth of the run.
        transit: least seconds (stream time) between a frame's sample and its arrival, by tenth.
    """

    seconds: float = 0.0
    frames: int = 0
    session_frames: int = 0
    early_frames: int = 0
    connections: int = 0
    sessions: int = 0
    interruptions: int = 0
    refused: int = 0
    attacks: int = 0
    turned_away: int = 0
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
            f"{self.sessions} own sessions, {self.interruptions} interruptions, "
            f"{self.attacks} attacks; "
            f"{self.frames} + {self.early_frames} + {self.session_frames} frames, "
            f"{self.disorder} out of order, "
            f"{self.lost} lost, {self.left_out:.1f} s of silence left out; "
            f"drift {self.drift:+.1f} ms; memory {self.growth:+.1f} MB"
        )

    def faults(self) -> list[str]:
        """What should not be, a few words each; empty: it held."""
        wrong = {
            f"{self.disorder} frames out of order": self.disorder > 0,
            f"{self.lost} frames lost": self.lost > 0,
            f"{self.left_out:.1f} s of silence left out": self.left_out > 0,
            f"the clocks drifted by {self.drift:+.1f} ms": not abs(self.drift) < MOST_DRIFT_MS,
            f"memory grew by {self.growth:.1f} MB": self.growth >= MOST_GROWTH_MB,
        }
        return [what for what, is_so in wrong.items() if is_so]


class Link(Protocol):
    """What it needs of a websocket."""

    @property
    def send(self) -> Callable[[str | bytes], Awaitable[None]]: ...


class CheckedClient:
    """One connection: what it asks for, and whether what comes is whole.

    The clock waits for it from the beginning to `leave`.

    Attributes:
        leaving: whether it is about to leave: it judges what still comes, and says nothing more.

    Args:
        clock: the server's; zero: when the server's stream began on it.
        result: where to count.
        speech: (n,) what it says, in parts.
        chance: its own.
    """

    def __init__(
        self,
        clock: PacedClock,
        zero: float,
        result: SoakResult,
        speech: NDArray[np.float32],
        chance: random.Random,
    ) -> None:
        self._clock, self._zero, self._result = clock, zero, result
        self._speech, self._random = speech, chance
        self.leaving = False
        self._link: Link | None = None
        self._has_session = self._early = self._awaiting_early = False
        self._reached = -math.inf
        self._cuts: set[int] = set()
        self._sequence: int | None = None
        self._sample: int | None = None
        self._hold(clock.now())

    async def begin(self, link: Link) -> None:
        """It is connected: ask for a session of its own, or watch, perhaps ahead of time."""
        self._link = link
        self._result.connections += 1
        choice = self._random.random()
        if choice < 0.5:
            await self._tell(session_messages.Open(seed=self._random.randrange(1000)))
        elif choice < 0.7:
            self._awaiting_early = True
            await self._tell(messages.Subscribe(ahead=True))
            await self._tell(messages.Ping(1))  # once that is answered, all that comes is ahead

    def leave(self) -> None:
        """The clock need not wait for it any more."""
        self._clock.let_go(self)

    async def take(self, data: str | bytes) -> None:
        """Judge what came; now and then speak or interrupt."""
        if isinstance(data, str):
            self._obey(codec.parse_text(data))
            return
        message = codec.parse(data)
        if message.kind != codec.Kind.FLAME:
            return
        result = self._result
        self._hold(self._zero + (message.sample + FRAME_SAMPLES) / SAMPLE_RATE)
        if self._awaiting_early:
            return
        self._judge(message)
        if self._early:
            result.session_frames += self._has_session
            result.early_frames += not self._has_session
            if self.leaving:
                return
            if self._random.random() < 0.004:
                await self._speak()
            elif self._random.random() < 0.002:
                result.interruptions += 1
                await self._tell(messages.Interrupt())
        else:
            result.frames += 1
            transit = self._clock.now() - self._zero - message.sample / SAMPLE_RATE
            result.transit[-1] = min(result.transit[-1], transit)

    def _hold(self, reached: float) -> None:
        self._reached = reached
        self._clock.hold(self, reached)

    def _judge(self, message: codec.Message) -> None:
        result = self._result
        if self._sequence is not None and self._sample is not None:
            missing = message.sequence - self._sequence - 1
            if missing > 0 and message.sample in self._cuts:  # taken back before they were sent
                missing = 0
            gap = message.sample - self._sample - FRAME_SAMPLES * (1 + missing)
            result.lost += max(0, missing)
            result.disorder += missing < 0 or gap < 0 or (gap > 0 and not self._early)
            result.left_out += max(0, gap) / SAMPLE_RATE
        self._sequence, self._sample = message.sequence, message.sample

    def _obey(self, message: codec.Text | messages.Unknown) -> None:
        result = self._result
        if isinstance(message, messages.Hello):
            self._hold(self._clock.now())  # what is due from here on comes to it, too
        elif isinstance(message, session_messages.Opened):
            self._has_session = self._early = True
            self._sequence = self._sample = None
            self._zero = self._clock.now()
            self._hold(self._zero)
            result.sessions += 1
        elif isinstance(message, messages.Pong):
            self._early, self._awaiting_early = True, False
            # What waited to be sent in its time is not sent any more; what was made ahead of it
            # may have come before this answer.
            self._hold(max(self._reached, self._clock.now()))
        elif isinstance(message, messages.Interrupted) and self._early:
            self._cuts.add(message.sample)
            if self._sample is not None and self._sample >= message.sample:
                self._sample = message.sample - FRAME_SAMPLES
        elif isinstance(message, messages.Error):
            result.refused += 1

    async def _speak(self) -> None:
        speech = self._speech[: self._random.randrange(1, len(self._speech))]
        at = 0
        while at < len(speech):
            piece = speech[at : at + self._random.randrange(1, 30_000)]
            at += len(piece)
            await self._say(codec.serialise(codec.Message(codec.Kind.PCM, 0, 0, piece)))
        if self._has_session:
            await self._tell(session_messages.Flush())

    async def _tell(self, message: codec.Text) -> None:
        await self._say(codec.serialise_text(message))

    async def _say(self, data: str | bytes) -> None:
        assert self._link is not None, "begin() comes first"
        await self._link.send(data)
