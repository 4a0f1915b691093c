"""An event loop on a thread of its own, which leaves nothing behind when it is closed."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Self, TypeVar

from viewer.client.errors import ConnectionFailed

T = TypeVar("T")

CLOSED = "the client was closed"


class ClientLoop(asyncio.SelectorEventLoop):
    """An event loop that knows the connections which were made in it.

    Attributes:
        transports: theirs, as long as somebody holds them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """As of event loops."""
        transport, protocol = await super().create_connection(*args, **options)
        self.transports.add(transport)
        return transport, protocol


class LoopThread:
    """Runs coroutines beside a program that has no event loop; it may be called by any thread.

    What still runs when it is closed is cancelled and waited for on that thread, what is connected
    after that is cut off, and the loop is closed by it alone: no task and no connection outlives
    its loop, whatever hangs and for however long.

    Args:
        name: of the thread, which is running from now on.
    """

    def __init__(self, name: str) -> None:
        self._loop = ClientLoop()
        self._over = asyncio.Event()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin this on the thread; raises ConnectionFailed once it is closed."""
        with self._lock:  # what is begun before the end is among what the end cancels
            if self._is_closed:
                work.close()
                raise ConnectionFailed(CLOSED)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this on the thread, and wait for it.

        Raises:
            ConnectionFailed: it was closed meanwhile.
        """
        future = self.submit(work)
        try:
            return future.result()
        except CancelledError:
            raise ConnectionFailed(CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def close(self, timeout: float = 5.0) -> None:
        """Cancel whatever runs, and wait at most so many seconds for its end."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(timeout)

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=self._made) as runner:
            runner.run(self._until_closed())

    def _made(self) -> asyncio.AbstractEventLoop:
        return self._loop

    async def _until_closed(self) -> None:
        await self._over.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for transport in list(self._loop.transports):
            transport.abort()
