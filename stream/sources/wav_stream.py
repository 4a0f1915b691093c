"""WAV out of a pipe, piece by piece: `ffmpeg -i FILE -f wav - | posetalk live --source -`.

Nothing can be looked up at the end of a pipe, so chunks are taken as they come; a program that
writes into one does not know how much there will be, and leaves the lengths at 0 or at their most.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.audio import SourceError
from stream.sources.pcm import RATES, scaled

MAGIC = (b"RIFF", b"RF64", b"BW64")
HEADER_BYTES = 12
"""So many tell a WAV file from anything else."""
ENDLESS = 0x7FFFF000
"""Lengths from here on are no lengths: `arecord`, `sox` and `ffmpeg` write some such number."""
LONGEST_CHUNK = 1 << 24
"""Bytes of titles and pictures before the sound that are waited for."""
_TYPES = {
    (1, 8): "u1",
    (1, 16): "<i2",
    (1, 24): "i3",
    (1, 32): "<i4",
    (3, 32): "<f4",
    (3, 64): "<f8",
}
_OTHERS = {
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b"ID3": "an MP3 file",
    b"FORM": "an AIFF file",
    b".snd": "an AU file",
    b"caff": "a CAF file",
    b"RIFX": "a WAV file of big-endian numbers",
    b"riff": "a Wave64 file",
    b"\x1aE\xdf\xa3": "a Matroska or WebM file",
}


def is_wav(start: bytes) -> bool:
    """Whether a stream that begins so is a WAV file."""
    return start[:4] in MAGIC and start[8:12] == b"WAVE"


def other_kind(start: bytes) -> str:
    """What else begins so, in words; empty if it may well be raw samples."""
    if start[4:8] == b"ftyp":
        return "an MP4 or M4A file"
    return next((kind for magic, kind in _OTHERS.items() if start.startswith(magic)), "")


@dataclass(frozen=True)
class Form:
    """How the samples of a WAV file are laid out."""

    rate: int
    channels: int
    kind: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return int(self.kind[-1]) * self.channels


class WavStream:
    """Takes the bytes of a WAV stream, gives its sound; several files may follow each other."""

    def __init__(self) -> None:
        self._held = b""
        self._form: Form | None = None
        self._rest: int | None = 0  # bytes of the sound still to come; None if nobody knows
        self._odd = 0  # bytes of padding after the sound
        self._skip = 0

    def feed(self, data: bytes) -> Iterator[tuple[Form, NDArray[np.float32]]]:
        """The sound (n, channels) that is complete by now, and its form.

        Raises:
            SourceError: no WAV stream, or a form of it that is not read.
        """
        self._held += data
        while True:
            if self._skip:
                gone = min(self._skip, len(self._held))
                self._held, self._skip = self._held[gone:], self._skip - gone
                if self._skip:
                    return
            if self._rest != 0:
                assert self._form is not None
                available = len(self._held) if self._rest is None else self._rest
                size = self._form.frame_bytes
                count = min(len(self._held), available) // size * size
                if not count and (self._rest is None or self._rest >= size):
                    return
                if count:
                    yield self._form, _samples(self._held[:count], self._form)
                    self._held = self._held[count:]
                if self._rest is not None:
                    self._rest -= count
                    if self._rest < size:  # the end, and its padding to an even number of bytes
                        self._skip, self._rest = self._rest + self._odd, 0
                continue
            if not self._chunk():
                return

    def _chunk(self) -> bool:
        """Take the next chunk's header; False if more of it must come first."""
        if len(self._held) < HEADER_BYTES:
            return False
        if is_wav(self._held):
            self._held, self._form = self._held[HEADER_BYTES:], None
            return True
        name, length = self._held[:4], int.from_bytes(self._held[4:8], "little")
        odd = length % 2
        if name == b"data":
            if self._form is None:
                raise SourceError(
                    "standard input: a WAV stream whose sound has no `fmt ` before it"
                )
            self._held = self._held[8:]
            endless = length == 0 or length >= ENDLESS
            self._rest, self._odd = (None, 0) if endless else (length, odd)
            return True
        if length > LONGEST_CHUNK:
            raise SourceError("standard input: a WAV stream that is broken before its sound")
        if name == b"fmt ":
            if len(self._held) < 8 + length:
                return False
            self._form = _form(self._held[8 : 8 + length])
        self._held, self._skip = self._held[8:], length + odd
        return True


def _form(chunk: bytes) -> Form:
    """What the chunk `fmt ` says."""
    if len(chunk) < 16:
        raise SourceError("standard input: a WAV stream whose `fmt ` is cut short")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == 0xFFFE and len(chunk) >= 26:  # the extensible form has the code further on
        code = struct.unpack_from("<H", chunk, 24)[0]
    kind = _TYPES.get((code, bits))
    if kind is None or not channels:
        raise SourceError(
            f"standard input: a WAV stream of format {code}, {bits} bits; pipe plain PCM "
            "(`ffmpeg -i FILE -f wav -c:a pcm_s16le -`)"
        )
    if not RATES[0] <= rate <= RATES[1]:
        raise SourceError(f"standard input: a WAV stream with a rate of {rate} Hz")
    return Form(rate, channels, kind)


def _samples(data: bytes, form: Form) -> NDArray[np.float32]:
    if form.kind == "i3":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = scaled(wide.view("<i4").reshape(-1))
    else:
        values = scaled(np.frombuffer(data, form.kind))
    return values.reshape(-1, form.channels)
