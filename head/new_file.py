"""Files that take their name when they are whole: until then what stood there stays.

Work goes into a file beside, under a name that nobody can guess, and is renamed at the end.  Links
are not followed: one that stands where the name goes is replaced, what it points to stays.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from head.errors import FileError

UNFINISHED = "unfinished"
_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)


class NewFile:
    """A file in the making.

    Args:
        path: the name that it takes in `keep`.

    Attributes:
        beside: where the work goes: an empty file NAME.unfinished-RANDOM.ENDING in the same folder,
            which a program that is killed leaves behind.

    Raises:
        OSError: the folder is missing or cannot be written, or `path` is a folder or a device.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise FileError(f"{self.path} is no file: what is made must not replace it")
        name = f"{self.path.stem}.{UNFINISHED}-{secrets.token_hex(4)}{self.path.suffix}"
        self.beside = self.path.with_name(name)
        os.close(os.open(self.beside, _FLAGS, 0o666))

    def keep(self) -> None:
        """It is whole: give it its name, in place of what had it."""
        os.replace(self.beside, self.path)

    def discard(self) -> None:
        """Nothing of it is wanted; a second call, or one after `keep`, does nothing."""
        self.beside.unlink(missing_ok=True)


@contextlib.contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Where to write: it becomes `path` when the block ends, and vanishes when the block raises.

    Raises:
        OSError: as `NewFile`.
    """
    made = NewFile(path)
    try:
        yield made.beside
        made.keep()
    finally:
        made.discard()
