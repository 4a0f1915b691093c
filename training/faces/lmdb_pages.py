"""The pages of an LMDB, looked at before the library maps them.

LMDB trusts its file: a page number or a size that leads beyond it ends the process with a signal,
and no line.  The layout is that of `mdb.c` 0.9 on 64-bit machines: pages of one size, two of which
say where the tree begins; branches hold page numbers, leaves keys and values, or the number of the
page where a long value lies.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.files.regular_file import open_regular

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_HEADER = struct.Struct("<QHHHH")  # number, unused, flags, lower, upper
_META = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TREE = struct.Struct("<IHHQQQQQ")  # page size, flags, depth, three counts, entries, root
_BRANCH, _LEAF = 0x01, 0x02
_LONG = 0x01  # flag of a leaf's node: the value lies in pages of its own
_NODE = 8  # bytes before a node's key
_NO_PAGE = (1 << 64) - 1
_PAGE_SIZES = [1 << power for power in range(9, 17)]
_DEEPEST = 32


class DamagedError(PosetalkError):
    """What is wrong with the file: part of a line."""


def check_pages(path: Path) -> None:
    """Walk every page that can be reached from the newest root.

    Raises:
        DamagedError: the file is no LMDB, or something in it leads beyond it.
        OSError: it cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        _Walk(file).run()


class _Walk:
    """One walk through one file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bytes = file.seek(0, 2)
        first = self._meta(0)
        self._page_size = size = first[0]
        if size not in _PAGE_SIZES:
            raise DamagedError("not an LMDB (its pages are of an impossible size)")
        newest = max(first, self._meta(size), key=lambda meta: meta[1])
        _, _, self._last, self._root = newest
        needed = (self._last + 1) * size
        if self._bytes < needed:
            raise DamagedError(f"cut off ({self._bytes} of {needed} bytes)")

    def _meta(self, at: int) -> tuple[int, int, int, int]:
        """Page size, transaction, last page and root, as the page at this byte says."""
        data = self._read(at + _HEADER.size, _META.size + 2 * _TREE.size + 16)
        magic, version, _, _ = _META.unpack_from(data)
        if magic != _MAGIC or version != _VERSION:
            raise DamagedError("not an LMDB, or one of another version")
        page_size = _TREE.unpack_from(data, _META.size)[0]
        _, flags, depth, _, _, _, _, root = _TREE.unpack_from(data, _META.size + _TREE.size)
        if flags or depth > _DEEPEST:
            raise DamagedError("not a plain LMDB")
        last, transaction = struct.unpack_from("<QQ", data, _META.size + 2 * _TREE.size)
        return page_size, transaction, last, root

    def run(self) -> None:
        """Raises DamagedError."""
        if self._root == _NO_PAGE:
            return
        seen, level = 0, [self._root]
        for _ in range(_DEEPEST):
            below: list[int] = []
            for number in level:
                seen += 1
                if seen > self._last + 1:
                    raise DamagedError("damaged: its tree leads back into itself")
                below += self._children(number)
            if not below:
                return
            level = below
        raise DamagedError("damaged: its tree is too deep")

    def _children(self, number: int) -> list[int]:
        """The pages that a branch leads to; a leaf leads to none."""
        size = self._page_size
        if number > self._last or number < 2:
            raise DamagedError(f"damaged: it leads to page {number}, which is none of its own")
        read = self._read(number * size, size)
        page = np.frombuffer(read, np.uint8)
        _, _, flags, lower, upper = _HEADER.unpack_from(read)
        count = (lower - _HEADER.size) // 2
        if not _HEADER.size <= lower <= upper <= size or flags not in (_BRANCH, _LEAF):
            raise DamagedError(f"damaged in its page {number}")
        at = page[_HEADER.size :][: 2 * count].view("<u2").astype(np.int64)
        if count < flags & _BRANCH or count == 0 or at.min() < upper or at.max() > size - _NODE:
            raise DamagedError(f"damaged in its page {number}")
        nodes = page[at[:, None] + np.arange(_NODE)].view("<u2").astype(np.int64)
        ends = at + _NODE + nodes[:, 3]
        if flags == _BRANCH:
            self._within(ends, number)
            if count < 2:
                raise DamagedError(f"damaged in its page {number}")
            return [int(n) for n in nodes[:, 0] | nodes[:, 1] << 16 | nodes[:, 2] << 32]
        self._leaf(page, nodes, ends, number)
        return []

    def _leaf(
        self,
        page: NDArray[np.uint8],
        nodes: NDArray[np.int64],
        ends: NDArray[np.int64],
        number: int,
    ) -> None:
        """Values lie in their page, or in others that are there."""
        length, long = nodes[:, 0] | nodes[:, 1] << 16, nodes[:, 2] == _LONG
        if not np.all(long | (nodes[:, 2] == 0)):
            raise DamagedError(f"damaged in its page {number}")
        self._within(ends + np.where(long, 8, length), number)
        begins = ends[long]
        where = page[begins[:, None] + np.arange(8)].view("<u8")[:, 0]
        if np.any(where > self._last) or np.any(where < 2):
            raise DamagedError(f"damaged: a value of its page {number} is not there")
        stops = where.astype(np.int64) * self._page_size + _HEADER.size + length[long]
        if np.any(stops > (self._last + 1) * self._page_size):
            raise DamagedError(f"damaged: a value of its page {number} reaches beyond its end")

    def _within(self, ends: NDArray[np.int64], number: int) -> None:
        if ends.max(initial=0) > self._page_size:
            raise DamagedError(f"damaged in its page {number}")

    def _read(self, at: int, count: int) -> bytes:
        if at + count > self._bytes:
            raise DamagedError("cut off")
        self._file.seek(at)
        data = self._file.read(count)
        if len(data) < count:
            raise DamagedError("cut off")
        return data
