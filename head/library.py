"""The heads that a user has imported: files in the user's data folder, used by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from head.model import HeadError

SUFFIX: Final = ".npz"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def heads_folder() -> Path:
    """Where this user's heads live: $XDG_DATA_HOME/posetalk/heads."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(data) / "posetalk" / "heads"


def is_id(name: str) -> bool:
    """Whether a head may be called so; such a name is never a path."""
    return bool(_NAME.fullmatch(name)) and ".." not in name


def head_path(name: str) -> Path:
    """Where the head `name` is, or would be, kept.

    Raises:
        HeadError: it is no name.
    """
    if not is_id(name):
        raise HeadError(
            f"{name[:80]!r} is no name for a head: use letters, digits, '-', '_' and '.'"
        )
    return heads_folder() / f"{name}{SUFFIX}"


def own_heads() -> Iterator[Path]:
    """The files of the heads that were imported, by name."""
    return iter(sorted(heads_folder().glob(f"*{SUFFIX}")))


def find_head(name: str) -> Path | None:
    """The file of the imported head of this name, or None."""
    if not is_id(name):
        return None
    path = heads_folder() / f"{name}{SUFFIX}"
    return path if path.is_file() else None
