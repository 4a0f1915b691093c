"""A device that goes away: silence at the pace of time, and sound again once it is back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from stream.audio import BLOCK_SAMPLES, SAMPLE_RATE, Block, SourceError
from stream.clock import MonotonicClock
from stream.sources.returning import ReturningSource


class Device:
    """Gives `blocks` blocks of ones at the pace of time, and breaks."""

    realtime = True
    device_latency = 0.01
    kind = "microphone"
    dropped = 0
    name = "a device"

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Block]:
        clock, end = MonotonicClock(), 0
        t0 = clock.now()
        for _ in range(self._blocks):
            captured = t0 + (end + BLOCK_SAMPLES) / SAMPLE_RATE
            if clock.wait(self.closed, captured - clock.now()):
                return
            ones = np.ones(BLOCK_SAMPLES, np.float32)
            yield Block(end, ones, max(clock.now(), captured), captured)
            end += BLOCK_SAMPLES
        raise SourceError("a device is gone")

    def interrupt(self) -> None: ...

    def close(self) -> None:
        self.closed.set()


def test_silence_stands_in_until_the_device_is_back() -> None:
    tries: list[int] = []

    def opening() -> Device:
        tries.append(1)
        if len(tries) in (2, 3):
            raise SourceError("not yet")
        return Device(10 if len(tries) == 1 else 10_000)

    told: list[str] = []
    source = ReturningSource(opening, on_change=told.append, retry=0.05)
    blocks: list[Block] = []
    for block in source:
        blocks.append(block)
        if len(tries) > 3 and block.samples.any():
            break
    source.close()
    assert told == ["a device is gone", ""] and len(tries) == 4
    assert source.name == "a device"
    starts = [block.start for block in blocks]
    assert starts == [BLOCK_SAMPLES * n for n in range(len(blocks))], "no sample is missing"
    loud = [bool(block.samples.any()) for block in blocks]
    assert loud[:10] == [True] * 10 and not any(loud[10:-1]) and loud[-1]
    assert len(loud) > 11
    assert all(block.captured <= block.arrival for block in blocks)


def test_it_is_closed_while_there_is_no_device() -> None:
    def opening() -> Device:
        if tries:
            raise SourceError("never")
        tries.append(1)
        return Device(1)

    tries: list[int] = []
    source = ReturningSource(opening, retry=0.05)
    seen = 0
    for _ in source:
        seen += 1
        if seen == 5:
            assert source.name == "silence (a device is gone)"
            source.close()
    assert 5 <= seen < 50


def test_a_device_that_opens_after_the_end_is_closed_again() -> None:
    opened = [Device(1), Device(1)]
    asked, comes = threading.Event(), threading.Event()

    def opening() -> Device:
        if len(opened) == 1:
            asked.set()
            comes.wait(20)
        return opened.pop(0)

    late, source = opened[1], ReturningSource(opening, retry=0.05)
    for _ in source:
        if asked.is_set():
            source.close()
    comes.set()
    assert late.closed.wait(20)


def test_a_device_that_is_missing_is_said_at_once() -> None:
    def opening() -> Device:
        raise SourceError("no microphone found")

    with pytest.raises(SourceError, match="no microphone found"):
        ReturningSource(opening)
