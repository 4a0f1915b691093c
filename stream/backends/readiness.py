"""When calls may be captured: while a backend gets ready, and not while somebody speaks.

A capture takes several runs and a wait for the whole device, so that whoever is late would be later
for it.  Calls of a kind that was not foreseen are made without.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Readiness:
    """Of one backend; from any thread.

    Nobody has to say anything: until it was once got ready, calls are captured when they come.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way, self._is_ready = 0, False

    @property
    def may_capture(self) -> bool:
        """Whether a call that is made for the first time may be captured now."""
        return self._under_way > 0 or not self._is_ready

    @contextlib.contextmanager
    def getting_ready(self) -> Iterator[None]:
        """Within it calls may be captured, and after it only within another one."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way, self._is_ready = self._under_way - 1, True
