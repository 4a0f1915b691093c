"""Sound files through libsndfile: the one file of the stream that imports soundfile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream.sources.decoding.decoder import PIECE_SECONDS, AudioFileError, NoSoundError, Piece
from stream.sources.decoding.joined import Part, Slice, parts


class SndfileDecoder:
    """A WAV, FLAC, AIFF, Ogg, ... file, and what was joined to it; a `Decoder`.

    Raises:
        AudioFileError: libsndfile does not know it, or it holds no sound.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = path.open("rb")
        try:
            size = path.stat().st_size
            self._parts = parts(self._handle, size)
            self._file = self._open(self._parts[0])
            if self._file.frames == 0:
                raise NoSoundError(f"{path}: holds no sound")
        except BaseException:
            self._handle.close()
            raise
        self.rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        share = (self._parts[0][1] - self._parts[0][0]) / size
        self.seconds = int(self._file.frames) / self.rate / share

    def pieces(self) -> Iterator[Piece]:
        import soundfile

        seconds = 0.0
        try:
            for number, part in enumerate(self._parts):
                if number:
                    self._file.close()
                    self._file = self._open(part)
                rate = int(self._file.samplerate)
                count = max(1, int(rate * PIECE_SECONDS))
                while len(read := self._file.read(count, dtype="float32", always_2d=True)):
                    seconds += len(read) / rate
                    yield Piece(read, rate)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(
                f"{self._path}: broken after {seconds:.1f} s ({_reason(error)})"
            ) from None

    def close(self) -> None:
        self._file.close()
        self._handle.close()

    def _open(self, part: Part) -> Any:
        try:
            import soundfile
        except (ImportError, OSError) as error:  # OSError: the C library is missing
            raise AudioFileError(f"audio files need soundfile and libsndfile ({error})") from None

        class Straight(soundfile.SoundFile):  # type: ignore[misc]
            """Read from front to back: soundfile seeks after every read of a seekable file, which
            restarts decoding each time and leaves little but gaps."""

            def seekable(self) -> bool:
                return False

        try:
            return Straight(Slice(self._handle, part))
        except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
            raise AudioFileError(
                f"{self._path}: not readable as audio ({_reason(error)}); WAV, FLAC, MP3, Ogg, "
                "M4A, films and others are, and `ffmpeg -i FILE out.wav` converts the rest"
            ) from None


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return text.splitlines()[0] if text else type(error).__name__
