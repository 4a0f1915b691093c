"""Clients that speak at the pace of time, each in a session of its own, and what they notice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency.many_sessions import GOLDEN
from head.rig import builtin_head
from head.skinning import skin
from posetalk.client import AsyncClient, ClientError, ClientFrame
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from stream.wire import session_messages

BLOCK_SECONDS = 0.04
APART_SECONDS = 0.1
Floats = NDArray[np.float32]


@dataclass
class SpeakingClient:
    """One client.

    Attributes:
        samples, arrivals, ages: of each frame: its index, when it came (monotonic), and how many
            seconds after the middle of its sound.
        moves: indices in these at which the session had gone to another replica.
        values: (56,) of each frame.
        error: that ended it; "": none.
    """

    number: int
    samples: list[int] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    moves: list[int] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    error: str = ""

    @property
    def repeated(self) -> int:
        """Frames whose index had been there before, or that came out of order."""
        return int((np.diff(self.samples) <= 0).sum()) if len(self.samples) > 1 else 0

    @property
    def missing(self) -> int:
        """Indices between the first and the last that never came."""
        if len(self.samples) < 2:
            return 0
        expected = (max(self.samples) - min(self.samples)) // FRAME_SAMPLES + 1
        return expected - len(set(self.samples))

    def longest_gap(self) -> float:
        """Seconds between two frames that came one after the other, at most."""
        return float(np.diff(self.arrivals).max()) if len(self.arrivals) > 1 else 0.0

    def move_gaps(self) -> list[float]:
        """Seconds from the last frame before each move to the next."""
        there = [at for at in self.moves if 0 < at < len(self.arrivals)]
        return [self.arrivals[at] - self.arrivals[at - 1] for at in there]

    def lip_steps(self) -> list[float]:
        """How far the lips jumped from the last frame before each move to the next: mm."""
        return [
            lip_distance(self.values[at - 1], self.values[at])
            for at in self.moves
            if 0 < at < len(self.values)
        ]


def lip_distance(before: Floats, after: Floats) -> float:
    """How far the point of the lips that moves most is moved between two frames, in mm.

    Args:
        before, after: (56,) of the set `flame`.
    """
    head = builtin_head()
    lips = np.concatenate([head.regions[f"lip_gap_{side}"] for side in ("upper", "lower")])
    posed = [skin(head, v[:50], jaw_pose=v[53:56])[lips] for v in (before, after)]
    return float(1e3 * np.linalg.norm(posed[1] - posed[0], axis=1).max())


async def speak(
    speaker: SpeakingClient,
    url: str,
    speech: Floats,
    is_over: Callable[[], bool],
    *,
    resume: bool,
    direct: bool,
) -> None:
    """Speak from a place of one's own in the speech until it is over."""
    phase = speaker.number * GOLDEN % 1.0
    # One after the other, as people come: who comes at once is sent by Ray's proxy to one replica,
    # of whose load it has not heard yet.
    await asyncio.sleep(speaker.number * APART_SECONDS)
    speech = np.roll(speech, -int(phase * len(speech)))
    try:
        async with AsyncClient(url, timeout=60.0, direct=direct) as client:
            opened = await client.open(seed=speaker.number, pace="live", resume=resume)
            zero = opened.time - opened.sample / SAMPLE_RATE
            listening = asyncio.create_task(_listen(speaker, client, zero))
            await asyncio.sleep(phase * BLOCK_SECONDS)
            try:
                await _push(client, speech, is_over)
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening
    except (ClientError, TimeoutError) as error:
        speaker.error = f"{type(error).__name__}: {error}"


async def _push(client: AsyncClient, speech: Floats, is_over: Callable[[], bool]) -> None:
    block, began, number = int(BLOCK_SECONDS * SAMPLE_RATE), time.monotonic(), 0
    while not is_over():
        at = number * block % (len(speech) - block)
        await client.push(speech[at : at + block])
        number += 1
        await asyncio.sleep(max(0.0, began + number * BLOCK_SECONDS - time.monotonic()))


async def _listen(speaker: SpeakingClient, client: AsyncClient, zero: float) -> None:
    async for event in client.events():
        if isinstance(event, session_messages.Opened) and speaker.samples:
            speaker.moves.append(len(speaker.samples))
        if isinstance(event, ClientFrame):
            speaker.samples.append(event.sample)
            speaker.arrivals.append(time.monotonic())
            middle = zero + (event.sample + FRAME_SAMPLES / 2) / SAMPLE_RATE
            speaker.ages.append(time.time() - middle)
            speaker.values.append(event.values)


async def speak_all(
    speakers: Sequence[SpeakingClient],
    url: str,
    is_over: Callable[[], bool],
    *,
    resume: bool = False,
    direct: bool = False,
) -> None:
    """All of them speak at once."""
    from benchmarks.latency.many_sessions import demo

    speech = demo()
    await asyncio.gather(
        *(speak(s, url, speech, is_over, resume=resume, direct=direct) for s in speakers)
    )


def spoken_for(
    count: int, url: str, seconds: float, *, resume: bool = False, direct: bool = False
) -> list[SpeakingClient]:
    """So many clients have spoken for so long, counted from when the last of them began."""
    speakers = [SpeakingClient(number) for number in range(count)]
    began: list[float] = []

    def is_over() -> bool:
        if not began and all_speak(speakers, 1):
            began.append(time.monotonic())
        return bool(began) and time.monotonic() > began[0] + seconds

    asyncio.run(speak_all(speakers, url, is_over, resume=resume, direct=direct))
    return speakers


def all_speak(speakers: Sequence[SpeakingClient], frames: int) -> bool:
    """Whether everybody who is still there has had so many frames."""
    return all(len(speaker.samples) >= frames or speaker.error for speaker in speakers)


def carried(speakers: Sequence[SpeakingClient], longest: float, warm_up: float = 2.0) -> bool:
    """Whether everybody got their frames in time: 99 of 100 within `longest` seconds."""
    first = int(warm_up * FPS)
    ages = [np.array(s.ages[first:]) for s in speakers]
    if any(s.error or s.missing or len(a) < FPS for s, a in zip(speakers, ages, strict=True)):
        return False
    return bool(np.quantile(np.concatenate(ages), 0.99) <= longest)
