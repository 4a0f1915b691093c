"""What a source of audio is: an iterator of blocks on the 16 kHz sample clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.frames import SAMPLE_RATE as SAMPLE_RATE

BLOCK_SAMPLES = 320  # 20 ms: half a frame, the smallest block that audio servers deliver evenly


class SourceError(PosetalkError, OSError):
    """A source cannot be opened, or broke; the message is one line for the user."""


@dataclass(frozen=True, eq=False)
class Block:
    """A piece of audio as it arrives.

    Attributes:
        start: absolute index of the first sample.  Blocks follow each other; a gap means that
            samples were dropped, and stands for silence.
        samples: (n,) float32 mono at 16 kHz, finite, in [-1, 1].
        arrival: clock seconds at which the block was here.
        captured: clock seconds at which its last sample was captured (never after `arrival`).
    """

    start: int
    samples: NDArray[np.float32]
    arrival: float
    captured: float

    @property
    def end(self) -> int:
        """Absolute index after the last sample."""
        return self.start + len(self.samples)


class AudioSource(Protocol):
    """Iterated once, by one thread; every other member may be used from any thread.

    Attributes:
        name: for the status line.
        kind: what drives the face, one of `stream.wire.messages.SOURCES`, for those who watch.
        realtime: blocks come at the pace of time, so whoever is late must catch up; otherwise the
            source waits for its reader.
        device_latency: seconds between sound and capture that the device states itself.
        dropped: samples lost so far because nobody took them in time.
    """

    name: str
    kind: str
    realtime: bool
    device_latency: float
    dropped: int

    def __iter__(self) -> Iterator[Block]:
        """Blocks until the audio ends or `close` is called.

        Raises `SourceError` when the source breaks, after the blocks that came before.
        """
        ...

    def interrupt(self) -> None:
        """Forget audio that waits inside the source, where it can wait there."""
        ...

    def close(self) -> None:
        """End the iteration soon, from any thread; may be called twice."""
        ...
