"""What a decoder of sound files is, and which one a file takes."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream.audio import SourceError
from stream.sources.pcm import RATES

PIECE_SECONDS = 0.25


class AudioFileError(SourceError):
    """The file cannot be read as audio."""


class NoSoundError(AudioFileError):
    """It is a sound file, and has no sound in it, or none that its header tells of."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Some sound of a file: (n, channels) at `rate`; both may change where files were joined.

    `layout` names the channels as FFmpeg does (`FL`, `FR`, `FC`, `LFE`, ...), empty if unknown.
    """

    samples: NDArray[np.float32]
    rate: int
    layout: tuple[str, ...] = ()


class Decoder(Protocol):
    """An open sound file.

    Attributes:
        rate, channels: of its first piece.
        seconds: how long it says it is, about.
    """

    rate: int
    channels: int
    seconds: float

    def pieces(self) -> Iterator[Piece]:
        """All of it, front to back, once; raises `AudioFileError` where it is broken."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_decoder(path: Path) -> Decoder:
    """The file at `path`, by the decoder that reads all of it.

    libsndfile reads WAV, FLAC, AIFF, Ogg and the like to the sample, where they have one or two
    channels.  Of MP3 it reads what a header promises, which is too little where files were joined
    or the bit rate varies; it knows no names of channels, and no films: those are FFmpeg's.

    Raises:
        AudioFileError: missing, no audio, or without any sound; one line.
    """
    from stream.sources.decoding.libav import AvDecoder
    from stream.sources.decoding.libsndfile import SndfileDecoder

    head = _first_bytes(path)
    if not _is_plain(head) or (head[:4] == b"fLaC" and _joined_flac(path)):
        endless = partial(AvDecoder, endless=True)  # BW64 without lengths
        return _checked(path, _first_that_reads(path, AvDecoder, endless, SndfileDecoder))
    try:
        decoder: Decoder = SndfileDecoder(path)
    except AudioFileError as error:
        try:
            return _checked(path, AvDecoder(path, endless=isinstance(error, NoSoundError)))
        except AudioFileError:
            raise error from None
    if decoder.channels > 2:
        try:
            named = AvDecoder(path)
        except AudioFileError:
            return _checked(path, decoder)
        decoder.close()
        return _checked(path, named)
    return _checked(path, decoder)


def _first_that_reads(path: Path, *decoders: Callable[[Path], Decoder]) -> Decoder:
    """The first of `decoders` that takes the file; raises what the first of all says of it."""
    refused: list[AudioFileError] = []
    for decoder in decoders:
        try:
            return decoder(path)
        except AudioFileError as error:
            refused.append(error)
    raise refused[0] from None


def _checked(path: Path, decoder: Decoder) -> Decoder:
    if not RATES[0] <= decoder.rate <= RATES[1]:
        decoder.close()
        raise AudioFileError(f"{path}: has a rate of {decoder.rate} Hz")
    return decoder


def _first_bytes(path: Path) -> bytes:
    """The start of the file; raises `AudioFileError` where there is no file with anything in it."""
    try:
        if path.is_dir():
            raise AudioFileError(f"{path}: is a folder, not an audio file")
        if path.is_fifo():
            raise AudioFileError(f"{path}: is a pipe; pipes go in through `--source -`")
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise AudioFileError(f"{path}: no such file") from None
    except AudioFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioFileError(f"{path}: cannot be read ({reason})") from None
    if not head:
        raise AudioFileError(f"{path}: is empty")
    return head


def _is_plain(head: bytes) -> bool:
    """Whether it begins as what libsndfile reads best."""
    return head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff", b".snd") or (
        head[:16] == b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"  # Wave64
    )


def _joined_flac(path: Path) -> bool:
    """Whether several FLAC files stand one after the other; libsndfile reads the first."""
    start = b"fLaC\x00\x00\x00\x22"
    size = os.path.getsize(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        return data.find(start, 4) >= 0
