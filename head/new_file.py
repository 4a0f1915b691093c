"""Files that take their name when they are whole: until then what stood there stays.

Work goes into a file beside, under a name that nobody can guess, and is renamed at the end.  Links
are not followed: one that stands where the name goes is replaced, what it points to stays.  A disk
that is full leaves nothing behind, and its error names the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from head.errors import FileError

UNFINISHED = "unfinished"
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says where a disk takes no more."""
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
        with naming(path):
            yield made.beside
            made.keep()
    finally:
        made.discard()


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """A disk that is full raises a FileError that names `path`, whatever a library made of it."""
    try:
        yield
    except Exception as error:
        full = full_disk(error)
        if full is None:
            raise
        raise FileError(full.errno, full.strerror, str(path)) from error


def full_disk(error: BaseException | None) -> OSError | None:
    """The error of a disk that takes no more, in an exception or behind it; None if it is none.

    Archives raise others in closing what could not be written; safetensors has it in its text.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told and int(told[1]) in FULL:
            return OSError(int(told[1]), os.strerror(int(told[1])))
        error = error.__cause__ or error.__context__
    return None
