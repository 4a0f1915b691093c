"""Where a server's token comes from: a file or a variable, where no list of processes shows it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from head.errors import WrongValue

TOKEN_VARIABLE = "POSETALK_TOKEN"
OPERATOR_VARIABLE = "POSETALK_OPERATOR_TOKEN"
MOST_BYTES = 4096


def read_token(
    given: str | None, file: Path | None, environment: Mapping[str, str], variable: str
) -> str | None:
    """The token of the first of these that is there; None: there is none.

    Args:
        given: on the command line.
        file: holds it, and nothing else but white space.
        environment, variable: where else it may be.  A variable that is set and empty is a token
            that is empty, which the server refuses: it was meant to be one.

    Raises:
        ValueError: the command line names two, or the file is none that holds a token.
        OSError: the file cannot be read.
    """
    if given is not None and file is not None:
        raise WrongValue("--token and --token-file are two tokens: give one of them")
    if given is not None:
        return given
    if file is not None:
        return _read(file)
    return environment.get(variable)


def _read(file: Path) -> str:
    with open(file, "rb", opener=lambda path, flags: os.open(path, flags | _NO_WAIT)) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise WrongValue(f"{file}: not a file that holds a token")
        data = opened.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise WrongValue(f"{file}: too long for a token")
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        raise WrongValue(f"{file}: not text, so no token") from None


_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""A named pipe without a writer would otherwise be waited for."""
