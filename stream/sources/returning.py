"""A source that may go away and come back: in between there is silence, and time goes on."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np

from stream.audio import BLOCK_SAMPLES, SAMPLE_RATE, AudioSource, Block, SourceError
from stream.clock import Clock, MonotonicClock

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
END_SECONDS = 0.1
"""That a device which is being opened is waited for once it is not wanted any more."""
STALL_SECONDS = 1.0
"""Without sound, after which a device that is expected back counts as gone."""


class ReturningSource:
    """A source in real time that outlives its device.

    The device is opened at once, so that one that is missing is noticed here.  When it breaks
    later, silence stands in for it at the pace of time, and it is tried again every second.

    Args:
        open_source: opens the device; raises SourceError.
        on_change: told why there is silence now, "" once the device is back; from any thread.
        clock: the pace of time, and of the device's stamps.
        retry: seconds between two tries.

    Raises:
        SourceError: it cannot be opened.
    """

    realtime = True

    def __init__(
        self,
        open_source: Callable[[], AudioSource],
        *,
        on_change: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
        retry: float = RETRY_SECONDS,
    ) -> None:
        self._open_source, self.on_change = open_source, on_change
        self._clock, self._retry = clock or MonotonicClock(), retry
        self._closed = threading.Event()
        self._source = open_source()
        self._before = 0  # samples that earlier devices lost
        self.name, self.device_latency = self._source.name, self._source.device_latency
        self.kind, self.dropped = self._source.kind, 0

    def __iter__(self) -> Iterator[Block]:
        end, captured = 0, self._clock.now()
        while not self._closed.is_set():
            first = end
            try:
                for block in self._source:
                    end, captured = first + block.end, block.captured
                    self.dropped = self._before + self._source.dropped
                    yield Block(first + block.start, block.samples, block.arrival, captured)
                return
            except SourceError as error:
                if self._closed.is_set():
                    return
                self._tell(str(getattr(error, "reason", error)))
            for block in self._silence(end, captured):
                end, captured = block.end, block.captured
                yield block

    def _silence(self, end: int, captured: float) -> Iterator[Block]:
        """Blocks of silence from sample `end` on, until there is a device again."""
        found: queue.Queue[AudioSource] = queue.Queue()
        thread = threading.Thread(target=self._seek, args=(found,), name="device", daemon=True)
        thread.start()
        while not self._closed.is_set():
            captured += BLOCK_SAMPLES / SAMPLE_RATE
            if self._clock.wait(self._closed, captured - self._clock.now()):
                break
            now = self._clock.now()
            yield Block(end, np.zeros(BLOCK_SAMPLES, np.float32), max(now, captured), captured)
            end += BLOCK_SAMPLES
            if not found.empty() and now - captured < BLOCK_SAMPLES / SAMPLE_RATE:
                self._before = self.dropped
                self._source = found.get()
                self._tell("")
                return
        thread.join(END_SECONDS)
        if not found.empty():
            found.get().close()

    def _seek(self, found: queue.Queue[AudioSource]) -> None:
        while not self._closed.is_set():
            try:
                source = self._open_source()
            except SourceError:
                self._clock.wait(self._closed, self._retry)
                continue
            if self._closed.is_set():  # it took longer than anybody waited
                source.close()
            else:
                found.put(source)
            return

    def _tell(self, lost: str) -> None:
        if lost:
            self.name = f"silence ({lost})"
            log.warning("%s: silence until it is back", lost)
        else:
            self.name, self.device_latency = self._source.name, self._source.device_latency
            log.warning("%s is back", self.name)
        self.on_change(lost)

    def interrupt(self) -> None:
        """Forget what waits in the device."""
        self._source.interrupt()

    def close(self) -> None:
        """End the iteration soon."""
        self._closed.set()
        self._source.close()
