"""Where the parts of joined files begin: `cat a.ogg b.ogg`, a radio's recording, `cat a.wav b.wav`.

libsndfile reads the first part of such a file and says that was all.
"""

from __future__ import annotations

import io
from typing import BinaryIO

Part = tuple[int, int]
"""First byte, and the one after the last."""


def parts(file: BinaryIO, size: int) -> list[Part]:
    """The parts of a file of `size` bytes; one, as a rule."""
    file.seek(0)
    kind = file.read(4)
    if kind == b"OggS":
        starts = _ogg_streams(file, size)
    elif kind == b"RIFF":
        starts = _waves(file, size)
    else:
        starts = [0]
    file.seek(0)
    return list(zip(starts, [*starts[1:], size], strict=True))


def _ogg_streams(file: BinaryIO, size: int) -> list[int]:
    """Where the links of an Ogg chain begin: at pages that begin a stream, after some that do not.

    RFC 3533, sections 4 and 6: 27 bytes, the number of segments last, then their sizes.
    """
    starts, at, beginning = [0], 0, True
    while at + 27 <= size:
        file.seek(at)
        header = file.read(27)
        if header[:4] != b"OggS":
            break  # damage: the rest belongs to the part that it is in
        begins = bool(header[5] & 2)
        if begins and not beginning:
            starts.append(at)
        beginning = begins
        segments = file.read(header[26])
        at += 27 + len(segments) + sum(segments)
    return starts


def _waves(file: BinaryIO, size: int) -> list[int]:
    """Where WAV files begin that stand one after the other."""
    starts, at = [0], 0
    while True:
        file.seek(at + 4)
        length = int.from_bytes(file.read(4), "little")
        at += 8 + length + length % 2
        if length < 36 or at + 44 > size:
            return starts
        file.seek(at)
        header = file.read(12)
        if header[:4] != b"RIFF" or header[8:] != b"WAVE":
            return starts
        starts.append(at)


class Slice(io.RawIOBase):
    """A part of an open file, as a file; who seeks before its start comes to its start."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file, (self._start, self._stop) = file, part
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stop - self._start}
        self._at = max(0, base[whence] + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        rest = max(0, self._stop - self._start - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), rest))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
