"""A microphone, through PortAudio.

The callback only stamps, copies and queues; resampling and judging happen in the reader's thread.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE, Block
from stream.clock import Clock, MonotonicClock
from stream.sources.capture_clock import CaptureClock
from stream.sources.channel_choice import Channel, LiveMixer
from stream.sources.native.calls import NoAnswerError, answered
from stream.sources.native.messages import quiet_native_code
from stream.sources.native.portaudio import (
    MicrophoneError,
    choose,
    count_open,
    no_answer,
    portaudio,
    reason_of,
    settings_for,
)
from stream.sources.pcm import LiveResampler

log = logging.getLogger(__name__)

BLOCK_SECONDS = 0.02
QUEUE_BLOCKS = 250  # 5 s; the reader only resamples and passes on, so this never fills in practice
SILENCE_PEAK = 1e-4  # below the noise floor of any open 16-bit microphone
SILENCE_SECONDS = 5.0
CLOSE_SECONDS = 0.3
"""That closing a device is waited for."""


class Microphone:
    """A microphone as a source, in blocks of 20 ms.

    Opened at once, so that a missing one is noticed here; it starts when it is iterated.
    Policy: at most 5 s wait between PortAudio and the reader; newer blocks are then dropped and
    counted in `dropped`, and silence stands in for them.

    Args:
        device: index or part of a name from `list_microphones`; default the system's default.
        channel: which of its channels is heard; `auto` takes the first, where the device gives one
            alone, else that with the speech.
        clock: stamps the arrivals.
        silence_timeout: seconds without any block after which the device counts as gone.

    Raises:
        MicrophoneError: none there, no such device, or it cannot be opened, as of a sound server
            that does not answer.
    """

    kind = "microphone"
    realtime = True

    def __init__(
        self,
        device: int | str | None = None,
        *,
        channel: Channel = "auto",
        clock: Clock | None = None,
        silence_timeout: float = 5.0,
    ) -> None:
        self._clock = clock or MonotonicClock()
        self._silence_timeout = silence_timeout
        self._closed = threading.Event()
        self._finished = threading.Event()
        self._queue: queue.Queue[tuple[int, NDArray[np.float32], float]] = queue.Queue(QUEUE_BLOCKS)
        self._position = 0  # device samples seen by the callback
        self._lock = threading.Lock()
        self._stream: Any = None
        self.dropped = 0
        self.overflows = 0
        self.silent_seconds = 0.0
        self._undo = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.enter_context(quiet_native_code())
            try:
                answered(partial(self._open, device, channel), late=self._release)
            except NoAnswerError:
                raise no_answer() from None
            self._undo = undo.pop_all()

    def _open(self, device: int | str | None, channel: Channel) -> None:
        sd = portaudio()
        info = choose(sd, device)
        self.name = str(info["name"])
        self.rate, self.channels = settings_for(sd, info, channel)
        self._mixer = LiveMixer(self.name, self.rate, self.channels, channel)
        try:
            self._stream = sd.InputStream(
                device=int(info["index"]),
                samplerate=self.rate,
                channels=self.channels,
                dtype="float32",
                blocksize=round(self.rate * BLOCK_SECONDS),
                latency="low",
                callback=self._callback,
                finished_callback=self._finished.set,
            )
        except (sd.PortAudioError, ValueError) as error:
            raise MicrophoneError(
                f"the microphone {self.name!r} cannot be opened ({reason_of(error)})",
                "another program may hold it; `posetalk devices` lists the others",
            ) from None
        count_open(+1)
        self.device_latency = float(self._stream.latency)

    def _callback(self, data: NDArray[np.float32], frames: int, _time: Any, status: Any) -> None:
        arrival = self._clock.now()
        start, self._position = self._position, self._position + frames
        if status and status.input_overflow:
            self.overflows += 1
        try:
            self._queue.put_nowait((start, data.copy(), arrival))
        except queue.Full:
            self.dropped += frames * SAMPLE_RATE // self.rate

    def __iter__(self) -> Iterator[Block]:
        resampler, capture = LiveResampler(self.rate), CaptureClock(self.rate)
        expected = end = 0
        warned = False
        try:
            self._start()
            while not self._closed.is_set():
                item = self._next()
                if item is None:
                    return
                start, data, arrival = item
                if self.overflows and not warned:
                    log.warning("the microphone %r lost sound: this machine is busy", self.name)
                    warned = True
                captured = capture.update(start + len(data), arrival)
                samples = self._mixer.feed(data)
                self._watch_silence(samples)
                if start > expected:  # blocks were dropped: silence keeps the index true
                    samples = np.concatenate([np.zeros(start - expected, np.float32), samples])
                expected = start + len(data)
                samples = resampler.feed(samples)
                if len(samples):
                    first, end = end, end + len(samples)
                    behind = expected / self.rate - end / SAMPLE_RATE
                    yield Block(first, samples, arrival, captured - behind)
        finally:
            self._release()

    def _start(self) -> None:
        try:
            with self._lock:
                if self._stream is not None:
                    answered(self._stream.start)
        except NoAnswerError:
            raise no_answer() from None
        except Exception as error:  # PortAudioError; its class is only known inside sounddevice
            raise MicrophoneError(
                f"the microphone {self.name!r} does not start ({reason_of(error)})"
            ) from None

    def _next(self) -> tuple[int, NDArray[np.float32], float] | None:
        """The next block of the device; None once closed.  Raises when the device is gone."""
        waited_from = self._clock.now()
        while not self._closed.is_set():
            try:
                return self._queue.get(timeout=0.1)
            except queue.Empty:
                if self._closed.is_set():
                    break
            if self._finished.is_set() or not self._stream.active:
                raise MicrophoneError(
                    f"the microphone {self.name!r} is gone",
                    "it was unplugged, or the sound server stopped; plug it in and start again",
                )
            if self._clock.now() - waited_from > self._silence_timeout:
                raise MicrophoneError(
                    f"the microphone {self.name!r} delivers no sound "
                    f"for {self._silence_timeout:.0f} s",
                    "choose another from `posetalk devices`",
                )
        return None

    def _watch_silence(self, samples: NDArray[np.float32]) -> None:
        """Warn once per silence that is too complete for an open microphone."""
        if np.abs(samples).max(initial=0.0) >= SILENCE_PEAK:
            self.silent_seconds = 0.0
            return
        before = self.silent_seconds
        self.silent_seconds += len(samples) / self.rate
        if before < SILENCE_SECONDS <= self.silent_seconds:
            log.warning(
                "the microphone %r has been perfectly silent for %.0f s: muted, not permitted, or "
                "not the one you speak into? `posetalk devices` lists them all",
                self.name,
                SILENCE_SECONDS,
            )

    def interrupt(self) -> None:
        """What waits is only what arrived a moment ago."""

    def close(self) -> None:
        self._closed.set()
        if not self._stream_is_running():
            self._release()

    def _stream_is_running(self) -> bool:
        with self._lock:
            return self._stream is not None and not self._stream.stopped

    def _release(self) -> None:
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            # A sound server that hangs lets go of nobody until it goes on.
            closing = threading.Thread(target=self._let_go, args=(stream,), daemon=True)
            closing.start()
            closing.join(CLOSE_SECONDS)

    def _let_go(self, stream: Any) -> None:
        stream.close(ignore_errors=True)
        count_open(-1)
        self._undo.close()
