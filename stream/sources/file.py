"""Audio files of any rate, length and channel count, read in constant memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stream.audio import SAMPLE_RATE, Block, SourceError
from stream.clock import Clock, MonotonicClock
from stream.sources.pacing import Blocks, Pace
from stream.sources.pcm import RATES, LiveResampler, mono

READ_SECONDS = 0.25


class AudioFileError(SourceError):
    """The file cannot be read as audio."""


class FileSource:
    """A sound file (WAV, FLAC, MP3, Ogg Vorbis or Opus, ...) as a source.

    Args:
        path: the file.
        pace: `realtime` as a microphone would deliver it, or `fast` as soon as it is asked for.
        loop: begin again at the end, without a gap in the sample index.
        clock: for the stamps and the waiting.

    Raises:
        AudioFileError: missing, not audio, or empty.
    """

    device_latency = 0.0
    dropped = 0

    def __init__(
        self,
        path: str | Path,
        *,
        pace: Pace = "realtime",
        loop: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.realtime = pace == "realtime"
        self._loop = loop
        self._closed = threading.Event()
        self._blocks = Blocks(clock or MonotonicClock(), pace, self._closed)
        self._file = _open(self.path)
        self.rate = int(self._file.samplerate)
        #: Samples at 16 kHz in one pass, as the header has it: for progress bars.
        self.samples = int(self._file.frames) * SAMPLE_RATE // self.rate

    def __iter__(self) -> Iterator[Block]:
        import soundfile

        resampler = LiveResampler(self.rate)
        frames_read = 0
        try:
            while not self._closed.is_set():
                raw: Any = self._file.read(
                    max(1, int(self.rate * READ_SECONDS)), dtype="float32", always_2d=True
                )
                frames_read += len(raw)
                if len(raw):
                    yield from self._blocks.cut(resampler.feed(mono(raw)))
                elif self._loop and frames_read:
                    self._file.seek(0)
                elif frames_read:
                    yield from self._blocks.cut(resampler.finish(), last=True)
                    return
                else:
                    raise AudioFileError(f"{self.path}: holds no sound")
        except soundfile.LibsndfileError as error:
            yield from self._blocks.cut(np.zeros(0, np.float32), last=True)
            seconds = self._blocks.end / SAMPLE_RATE
            raise AudioFileError(
                f"{self.path}: broken after {seconds:.1f} s ({_reason(error)})"
            ) from None
        finally:
            self._file.close()

    def interrupt(self) -> None:
        """Nothing waits in a file."""

    def close(self) -> None:
        self._closed.set()


def _open(path: Path) -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the C library is missing
        raise AudioFileError(f"audio files need soundfile and libsndfile ({error})") from None
    if not path.exists():
        raise AudioFileError(f"{path}: no such file")
    if path.is_dir():
        raise AudioFileError(f"{path}: is a folder, not an audio file")
    if path.is_fifo():
        raise AudioFileError(f"{path}: is a pipe; pipes go in as raw PCM through `--source -`")
    if path.stat().st_size == 0:
        raise AudioFileError(f"{path}: is empty")

    class Straight(soundfile.SoundFile):  # type: ignore[misc]
        """Read from front to back: soundfile seeks after every read of a seekable file, which
        restarts MP3 decoding each time and leaves little but gaps."""

        def seekable(self) -> bool:
            return False

    try:
        file = Straight(str(path))
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        raise AudioFileError(
            f"{path}: not readable as audio ({_reason(error)}); WAV, FLAC, MP3, Ogg and others "
            "are, and `ffmpeg -i FILE out.wav` converts the rest"
        ) from None
    if file.frames == 0 or not RATES[0] <= file.samplerate <= RATES[1]:
        what = "holds no sound" if file.frames == 0 else f"has a rate of {file.samplerate} Hz"
        file.close()
        raise AudioFileError(f"{path}: {what}")
    return file


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return text.splitlines()[0] if text else type(error).__name__
