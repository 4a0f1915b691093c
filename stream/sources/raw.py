"""Sound from a pipe: `arecord -t raw -f S16_LE -r 16000 | posetalk live --source -`, or WAV."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE, Block, SourceError
from stream.clock import Clock, MonotonicClock
from stream.sources.capture_clock import CaptureClock
from stream.sources.channel_choice import Channel, LiveMixer
from stream.sources.pcm import LiveResampler, scaled
from stream.sources.wav_stream import HEADER_BYTES, Form, WavStream, is_wav, other_kind

SampleFormat: TypeAlias = Literal["s16le", "f32le"]

# How far a writer may run ahead of time before it is made to wait: enough for the bursts of a live
# one, little enough that a file piped in is still played at the pace of time.
AHEAD_SECONDS = 0.2
READ_SECONDS = {"realtime": 0.02, "fast": 0.25}


class RawSource:
    """Little-endian PCM from a file descriptor, mono or interleaved, without a header or in WAV.

    A WAV stream is known by its first bytes, and says itself what its samples are.

    Args:
        stream: a binary stream with a file descriptor; default standard input.
        rate: samples per second of headerless input.
        channels: interleaved channels of headerless input.
        sample_format: of headerless input, `s16le` or `f32le`.
        channel: which of several channels is heard; `auto` goes by what came so far.
        pace: `realtime` makes a writer that is faster than time wait; `fast` takes all at once.
        clock: for the stamps and the waiting.

    Raises:
        SourceError: standard input is a terminal, or a setting makes no sense.
    """

    kind = "stream"
    device_latency = 0.0
    dropped = 0

    def __init__(
        self,
        stream: BinaryIO | None = None,
        *,
        rate: int = SAMPLE_RATE,
        channels: int = 1,
        sample_format: SampleFormat = "s16le",
        channel: Channel = "auto",
        pace: Literal["realtime", "fast"] = "realtime",
        clock: Clock | None = None,
    ) -> None:
        self._stream = sys.stdin.buffer if stream is None else stream
        self.name = "standard input"
        self.realtime = pace == "realtime"
        self._clock = clock or MonotonicClock()
        self._closed = threading.Event()
        if self._stream.isatty():
            raise SourceError(
                "standard input is a terminal: pipe WAV or raw PCM into it (16 kHz mono, 16 bit)"
            )
        if channels < 1:
            raise SourceError(f"{channels} channels: there must be at least one")
        self._channel, self._pace = channel, pace
        self._enter(Form(rate, channels, "<i2" if sample_format == "s16le" else "<f4"))

    def _enter(self, form: Form) -> None:
        """From here on the samples are of this form."""
        try:
            self._resampler = LiveResampler(form.rate)
        except ValueError as error:
            raise SourceError(str(error)) from None
        self._form = form
        self._mixer: LiveMixer | None = None
        self._read_bytes = form.frame_bytes * max(1, int(form.rate * READ_SECONDS[self._pace]))

    def _hear(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, channels) as they come -> (m,) at 16 kHz."""
        if self._mixer is None:
            form = self._form
            try:
                self._mixer = LiveMixer(self.name, form.rate, form.channels, self._channel)
            except ValueError as error:
                raise SourceError(f"{self.name} {error}") from None
        return self._resampler.feed(self._mixer.feed(samples))

    def __iter__(self) -> Iterator[Block]:
        capture = CaptureClock(SAMPLE_RATE)
        end, first = 0, None
        for samples in self._sound():
            if len(samples):
                arrival = self._clock.now()
                start, end = end, end + len(samples)
                yield Block(start, samples, arrival, capture.update(end, arrival))
                first = arrival if first is None else first
                ahead = first + end / SAMPLE_RATE - self._clock.now() - AHEAD_SECONDS
                if self.realtime and ahead > 0:
                    self._clock.wait(self._closed, ahead)
        if end == 0 and not self._closed.is_set():
            raise SourceError("standard input ended without any audio")

    def _sound(self) -> Iterator[NDArray[np.float32]]:
        """The sound at 16 kHz, as it comes."""
        begun = self._begin()
        if begun is None:
            return
        wav = WavStream() if is_wav(begun) else None
        if wav is None and other_kind(begun):
            raise SourceError(
                f"standard input is {other_kind(begun)}: give its name to --source, or make it WAV "
                "on the way (`ffmpeg -i - -f wav -`)"
            )
        data: bytes | None = begun
        held = b""
        while not self._closed.is_set():
            if data and wav is not None:
                for form, samples in wav.feed(data):
                    if form != self._form:
                        yield self._resampler.finish()
                        self._enter(form)
                    yield self._hear(samples)
            elif data:
                held += data
                size = self._form.frame_bytes
                whole = len(held) // size * size
                values = scaled(np.frombuffer(held[:whole], self._form.kind))
                held = held[whole:]
                yield self._hear(values.reshape(-1, self._form.channels))
            elif data is not None:
                yield self._resampler.finish()
                return
            data = self._read()

    def _begin(self) -> bytes | None:
        """The first bytes, enough to know a header by; None once closed."""
        begun = b""
        while len(begun) < HEADER_BYTES:
            if self._closed.is_set():
                return None
            data = self._read()
            if data == b"":
                break
            begun += data or b""
        return begun

    def _read(self) -> bytes | None:
        """What the pipe holds; b"" at its end, None when nothing came for a moment."""
        descriptor = self._stream.fileno()
        if sys.platform != "win32":
            # Never block for good, so that close() ends the iteration even if nobody writes.
            readable, _, _ = select.select([descriptor], [], [], 0.1)
            if not readable:
                return None
        return os.read(descriptor, self._read_bytes)

    def interrupt(self) -> None:
        """What a pipe holds belongs to its writer."""

    def close(self) -> None:
        self._closed.set()
