"""Sound of films and of whatever else FFmpeg reads, through PyAV."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.sources.decoding.decoder import PIECE_SECONDS, AudioFileError, NoSoundError, Piece
from stream.sources.pcm import scaled

log = logging.getLogger(__name__)

FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,mp3,mpeg,"
    "mpegts,ogg,tta,voc,w64,wav,wv"
)
"""What is read.  Play lists are not: they name other files, and addresses elsewhere."""
TIMED = ("matroska", "webm", "mov", "mp4")
"""Containers whose time stamps say where sound is missing."""
GAP_SECONDS = 0.1
MOST_SILENCE_SECONDS = 6 * 3600.0
"""Broken time stamps must not become days of it."""


class AvDecoder:
    """The sound of a file, a film's too; a `Decoder`.

    Where a film's sound begins after its picture, or stops for a while, there is silence.

    Args:
        path: the file.
        endless: read a WAV file to the end, whatever its header says: a program that writes into a
            pipe cannot come back to complete it.

    Raises:
        AudioFileError: FFmpeg does not know it, or it holds no sound.
    """

    def __init__(self, path: Path, *, endless: bool = False) -> None:
        self._path = path
        self._broken = 0
        self._handle = path.open("rb")
        self._container: Any = None
        self._stream: Any = None
        try:
            self._open(endless)
            self._pieces = self._join(self._decode())
            self._first = next(self._pieces, None)
            if self._first is None:
                raise NoSoundError(f"{path}: holds no sound")
        except BaseException:
            self.close()
            raise
        self.rate, self.channels = self._first.rate, self._first.samples.shape[1]
        self.seconds = self._length()

    def _length(self) -> float:
        length, base = self._stream.duration, self._stream.time_base
        if length is not None and base is not None:
            return float(length * base)
        return float(self._container.duration or 0) / 1e6

    def _open(self, endless: bool) -> None:
        import av

        try:
            options = {"format_whitelist": FORMATS} | ({"ignore_length": "1"} if endless else {})
            self._container = av.open(self._handle, metadata_errors="replace", options=options)
        except (av.FFmpegError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise AudioFileError(
                f"{self._path}: not readable as audio ({reason}); WAV, FLAC, MP3, Ogg, M4A, films "
                "and others are, and `ffmpeg -i FILE out.wav` converts the rest"
            ) from None
        self._stream = self._container.streams.best("audio")
        if self._stream is None:
            raise NoSoundError(f"{self._path}: holds no sound")

    def pieces(self) -> Iterator[Piece]:
        assert self._first is not None
        yield self._first
        yield from self._pieces
        if self._broken:
            log.warning("%s: %d packets are broken, and left out", self._path, self._broken)

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._handle.close()

    def _decode(self) -> Iterator[Piece]:
        """Every decoded frame, with silence where the time stamps leave a gap."""
        import av

        clock = _Timeline(self._container)
        seconds = 0.0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    # Where MP3 files were joined, the second one's title stands between them.
                    self._broken += bytes(packet)[:3] not in (b"ID3", b"TAG")
                    continue
                for frame in frames:
                    yield from clock.missing(frame)
                    piece = _piece(frame)
                    seconds += len(piece.samples) / piece.rate
                    yield piece
        except av.FFmpegError as error:
            raise AudioFileError(
                f"{self._path}: broken after {seconds:.1f} s ({error.strerror})"
            ) from None

    def _join(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The same in pieces of a quarter of a second: a frame has some 20 ms."""
        held: list[Piece] = []
        count = 0
        for piece in pieces:
            if held and (piece.rate, piece.layout) != (held[0].rate, held[0].layout):
                yield _joined(held)
                held, count = [], 0
            held.append(piece)
            count += len(piece.samples)
            if count >= piece.rate * PIECE_SECONDS:
                yield _joined(held)
                held, count = [], 0
        if held:
            yield _joined(held)


class _Timeline:
    """Where a container's time stamps are to be believed, what they say is missing."""

    def __init__(self, container: Any) -> None:
        self._timed = any(name in container.format.name for name in TIMED)
        film = self._timed and bool(container.streams.video)
        start = (container.start_time or 0) / 1e6
        self._heard: float | None = start if film else None  # seconds, on the file's own clock
        self._left = MOST_SILENCE_SECONDS

    def missing(self, frame: Any) -> Iterator[Piece]:
        """Silence before `frame`, if any."""
        if not self._timed or frame.pts is None or not frame.sample_rate:
            return
        length = frame.samples / frame.sample_rate
        at = float(frame.pts * frame.time_base)
        if self._heard is None:
            self._heard = at
        gap = at - self._heard
        if GAP_SECONDS < gap < self._left:
            self._heard = at
            self._left -= gap
            shape, layout = (frame.sample_rate, len(frame.layout.channels)), _layout(frame)
            left = round(gap * frame.sample_rate)
            while left > 0:
                count = min(left, shape[0])
                left -= count
                yield Piece(np.zeros((count, shape[1]), np.float32), shape[0], layout)
        self._heard += length


def _piece(frame: Any) -> Piece:
    values: NDArray[Any] = frame.to_ndarray()
    count = len(frame.layout.channels)
    # (channels, n), or (1, n * channels) where they are interleaved
    samples = values.T if frame.format.is_planar else values.reshape(-1, count)
    return Piece(scaled(samples), int(frame.sample_rate), _layout(frame))


def _layout(frame: Any) -> tuple[str, ...]:
    names = tuple(str(channel.name) for channel in frame.layout.channels)
    return names if "FL" in names else ()


def _joined(pieces: list[Piece]) -> Piece:
    samples = np.concatenate([piece.samples for piece in pieces])
    return Piece(samples, pieces[0].rate, pieces[0].layout)
