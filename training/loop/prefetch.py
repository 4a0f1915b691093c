"""Batches drawn in other threads while the step before them computes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Draws batches before they are asked for; a draw is a pure function of its key.

    Args:
        draw: makes a batch.
        following: the key after a key.
        depth: batches in preparation.
        workers: threads.
    """

    def __init__(
        self,
        draw: Callable[[tuple[int, int]], T],
        following: Callable[[tuple[int, int]], tuple[int, int]],
        depth: int = 3,
        workers: int = 2,
    ) -> None:
        self._draw, self._following, self._depth = draw, following, depth
        self._pool = ThreadPoolExecutor(workers, "batches")
        self._waiting: dict[tuple[int, int], Future[T]] = {}

    def get(self, key: tuple[int, int]) -> T:
        """The batch of `key`; what failed while it was drawn is raised here."""
        upcoming = key
        for _ in range(self._depth):
            if upcoming not in self._waiting:
                self._waiting[upcoming] = self._pool.submit(self._draw, upcoming)
            upcoming = self._following(upcoming)
        return self._waiting.pop(key).result()

    def close(self) -> None:
        """Forget what is in preparation."""
        self._pool.shutdown(wait=True, cancel_futures=True)
