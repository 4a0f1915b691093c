"""What connections leave behind goes back to the system, those that were turned away among them.

A TLS handshake that fails leaves objects that hold each other, with a buffer of a quarter of a
megabyte; the C library keeps what is freed of those for later.  A server that was flooded would
stay as large as the flood.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import cache

SWEEP_AFTER, SWEEP_SECONDS = 50, 0.4
"""Connections that went, and the least time, from one sweep to the next."""
RETURN_AFTER, RETURN_SECONDS = 8, 3.0
"""The same from one return of memory to the next, which takes some milliseconds of one core."""
QUIET_SECONDS = 3.0
"""So long after the last one went, memory is returned though there were few: one session full of
speech holds megabytes."""

KEEP_LITTLE = ((-8, 2), (-3, 1 << 18))
"""Of `mallopt`: M_ARENA_MAX, pools; M_MMAP_THRESHOLD, bytes from which on a piece is mapped."""


class Sweeper:
    """Sweeps now and then; used by the event loop.

    Args:
        gone: how many connections were turned away or have ended so far.
        worker: gives memory back beside the event loop.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self, gone: Callable[[], int], worker: Executor, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._gone, self._worker, self._now = gone, worker, now
        self._swept, self._swept_at = 0, 0.0
        self._returned, self._returned_at = 0, 0.0
        self._seen, self._seen_at = 0, 0.0
        self._is_dirty = False

    def tick(self) -> None:
        """Let time pass."""
        gone, now = self._gone(), self._now()
        if gone - self._swept >= SWEEP_AFTER and now - self._swept_at > SWEEP_SECONDS:
            self._swept, self._swept_at = gone, now
            gc.collect(1)
        self._is_dirty |= gone - self._returned >= RETURN_AFTER
        if gone != self._seen:
            self._seen, self._seen_at = gone, now
        is_quiet = gone != self._returned and now - self._seen_at > QUIET_SECONDS
        if is_quiet or (self._is_dirty and now - self._returned_at > RETURN_SECONDS):
            self._is_dirty = gone != self._returned  # once more when the flood is over
            self._returned, self._returned_at = gone, now
            gc.collect()  # what took seconds to go has grown old
            self._worker.submit(give_back)


def keep_returnable() -> bool:
    """Let the C library map what is large, of this whole process, and free it when it is freed.

    It would by and by keep ever larger pieces for later, in a pool for every few threads, where
    what is small and stays holds up what is large and went.  Whether it was the GNU C library.
    """
    choose = _of_c_library("mallopt")
    return choose is not None and all(choose(*option) == 1 for option in KEEP_LITTLE)


def give_back() -> bool:
    """Give freed memory back to the system; whether this C library can."""
    trim = _of_c_library("malloc_trim")
    return trim is not None and bool(trim(0))


@cache
def _of_c_library(name: str) -> Callable[..., int] | None:
    """A function of the GNU C library; others give memory back by themselves."""
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
