"""The server's event loop in a thread of its own, and what other threads leave there for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

NOTES = 4096  # waiting for the event loop, a minute made at once and more; newest wins


class ServerLoop:
    """Runs `main` in an event loop of its own until it returns.

    Args:
        main: what is run; it calls `begin` once others may rely on it.
        on_dropped: told of a note that was lost, from whatever thread left one too many.

    Attributes:
        failure: why it could not begin.
        closed: no notes are taken any more.
    """

    def __init__(
        self, main: Callable[[], Coroutine[Any, Any, None]], on_dropped: Callable[[], None]
    ) -> None:
        self._main, self._on_dropped = main, on_dropped
        self.failure: Exception | None = None
        self.closed = False
        self._notes: deque[Callable[[], None]] = deque(maxlen=NOTES)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="websocket-server", daemon=True)

    # --- from any thread -----------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread; returns once `main` has begun, or failed to (`failure`)."""
        self._thread.start()
        self._ready.wait()
        if self.failure is not None:
            self._thread.join()

    def note(self, call: Callable[P, None], *args: P.args, **options: P.kwargs) -> None:
        """Do it in the event loop, where nothing is made to wait: the oldest are lost."""
        if self._loop is None or self.closed:
            return
        if len(self._notes) == self._notes.maxlen:
            self._on_dropped()
        self._notes.append(partial(call, *args, **options))
        self.post(self.read_notes)

    def post(self, action: Callable[[], None]) -> None:
        """Do something in the event loop, in order; nothing where there is none."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(action)

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Do this in the event loop; while it runs."""
        assert self._loop is not None, "start() comes first"
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def has_begun(self) -> bool:
        """Whether there ever was an event loop."""
        return self._loop is not None

    @property
    def is_running(self) -> bool:
        """Whether it runs and takes notes."""
        return self._thread.is_alive() and not self.closed

    def join(self, seconds: float) -> bool:
        """Wait so long for its end; returns whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # --- in the event loop ---------------------------------------------------------------------
    def begin(self) -> None:
        """Let `start` return: others may rely on what `main` has opened."""
        self._loop = asyncio.get_running_loop()
        self._ready.set()

    def read_notes(self) -> None:
        """Do what other threads have left."""
        while self._notes:
            self._notes.popleft()()

    def _run(self) -> None:
        try:
            # A selector's loop everywhere: only that lets its sockets count whom they accept.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._main())
        except (OSError, ValueError) as error:  # ValueError: a host that cannot even be looked up
            self.failure = error
        finally:
            self._ready.set()
