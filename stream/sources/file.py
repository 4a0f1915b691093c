"""Audio files and films of any rate, length and channel count, read in constant memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stream.audio import SAMPLE_RATE, Block
from stream.clock import Clock, MonotonicClock
from stream.sources.channel_choice import Channel, Choice, Meter, fixed, mean_of, tell
from stream.sources.decoding.decoder import AudioFileError, open_decoder
from stream.sources.pacing import Blocks, Pace
from stream.sources.pcm import RATES, LiveResampler

__all__ = ["AudioFileError", "FileSource"]

LISTEN_SECONDS = (60.0, 300.0)
"""Of speech, and in all: so much of a file is heard before one of its channels is chosen."""


class FileSource:
    """A sound file (WAV, FLAC, MP3, Ogg, M4A, ...) or the sound of a film as a source.

    Args:
        path: the file.
        pace: `realtime` as a microphone would deliver it, or `fast` as soon as it is asked for.
        loop: begin again at the end, without a gap in the sample index.
        channel: which of several channels is heard; `auto` listens for the speech and says what it
            took, where that is not the mean of all.
        kind: what those who watch are told: the demo speech is a file, too.
        clock: for the stamps and the waiting.

    Raises:
        AudioFileError: missing, not audio, empty, or without such a channel.
    """

    device_latency = 0.0
    dropped = 0

    def __init__(
        self,
        path: str | Path,
        *,
        pace: Pace = "realtime",
        loop: bool = False,
        channel: Channel = "auto",
        kind: str = "file",
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self.name, self.kind = self.path.name, kind
        self.realtime = pace == "realtime"
        self._loop = loop
        self._closed = threading.Event()
        self._blocks = Blocks(clock or MonotonicClock(), pace, self._closed)
        # It is open while it is read, and no longer: who is refused something else leaves nothing.
        with contextlib.closing(open_decoder(self.path)) as decoder:
            self.rate = decoder.rate
            #: Samples at 16 kHz in one pass, as the header has it: for progress bars.
            self.samples = int(decoder.seconds * SAMPLE_RATE + 1e-6)
            channels = decoder.channels
        try:
            chosen = fixed(channel, channels)
        except ValueError as error:
            raise AudioFileError(f"{self.path} {error}") from None
        self._choice = self._listen(channels) if chosen is None else chosen
        tell(self.name, self._choice)

    def _listen(self, channels: int) -> Choice:
        """Where the speech is, by the first minutes."""
        meter, seconds = Meter(self.rate, channels), 0.0
        layout: tuple[str, ...] = ()
        decoder = open_decoder(self.path)
        try:
            for piece in decoder.pieces():
                if piece.rate != self.rate or piece.samples.shape[1] != meter.channels:
                    break  # something else was joined to it
                meter.add(piece.samples)
                layout = piece.layout
                seconds += len(piece.samples) / piece.rate
                if meter.audible_seconds > LISTEN_SECONDS[0] or seconds > LISTEN_SECONDS[1]:
                    break
        except AudioFileError:
            pass  # where it is broken is told when it is played
        finally:
            decoder.close()
        return meter.choose(layout)

    def __iter__(self) -> Iterator[Block]:
        resampler = LiveResampler(self.rate)
        rate = self.rate
        decoder = open_decoder(self.path)
        try:
            while True:
                for piece in decoder.pieces():
                    if self._closed.is_set():
                        return
                    if piece.rate != rate:  # files of several rates were joined
                        if not RATES[0] <= piece.rate <= RATES[1]:
                            raise AudioFileError(
                                f"{self.path}: broken after {self._blocks.end / SAMPLE_RATE:.1f} s "
                                f"(a rate of {piece.rate} Hz)"
                            )
                        yield from self._blocks.cut(resampler.finish())
                        rate, resampler = piece.rate, LiveResampler(piece.rate)
                    channels = piece.samples.shape[1]
                    choice = self._choice
                    if len(choice.shares) != channels:
                        choice = mean_of(channels)
                    yield from self._blocks.cut(resampler.feed(choice(piece.samples)))
                if not self._loop:
                    yield from self._blocks.cut(resampler.finish(), last=True)
                    return
                decoder.close()
                decoder = open_decoder(self.path)
        except AudioFileError:
            yield from self._blocks.cut(np.zeros(0, np.float32), last=True)
            raise
        finally:
            decoder.close()

    def interrupt(self) -> None:
        """Nothing waits in a file."""

    def close(self) -> None:
        self._closed.set()
