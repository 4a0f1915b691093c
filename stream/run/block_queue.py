"""The queue between the thread that captures and the thread that animates."""

from __future__ import annotations

import threading
from collections import deque

from stream.audio import Block


class BlockQueue:
    """Bounded by samples.  One producer, one consumer, which owns it.

    Policy when full: a source that runs in real time cannot wait, so its newest block is dropped
    and counted (the gap is later filled with silence); any other source waits.

    Args:
        capacity: samples that may wait.
        may_wait: whether `put` waits for room.
    """

    def __init__(self, capacity: int, *, may_wait: bool) -> None:
        self._capacity, self._may_wait = capacity, may_wait
        self._blocks: deque[Block] = deque()
        self._samples = 0
        self._ended = False
        self._changed = threading.Condition()
        self.dropped = 0

    def put(self, block: Block) -> None:
        """Add a block; a block larger than the capacity is taken when the queue is empty."""
        with self._changed:
            while self._may_wait and not self._ended and not self._fits(block):
                self._changed.wait()
            if self._ended:
                return
            if not self._fits(block):
                self.dropped += len(block.samples)
                return
            self._blocks.append(block)
            self._samples += len(block.samples)
            self._changed.notify_all()

    def _fits(self, block: Block) -> bool:
        return not self._blocks or self._samples + len(block.samples) <= self._capacity

    def take(self, timeout: float) -> list[Block]:
        """All blocks that wait; waits up to `timeout` seconds for the first one."""
        with self._changed:
            if not self._blocks and not self._ended:
                self._changed.wait(timeout)
            blocks = list(self._blocks)
            self._blocks.clear()
            self._samples = 0
            self._changed.notify_all()
            return blocks

    def end(self) -> None:
        """No more blocks will come (or be taken): every wait ends."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Whether the producer is done and nothing waits."""
        with self._changed:
            return self._ended and not self._blocks
