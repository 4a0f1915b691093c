"""JSON from elsewhere: small regular files, not nested without end, finite numbers; and our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from head.errors import WrongValue
from head.files.regular_file import read_regular
from head.new_file import new_file

MOST_BYTES = 4 << 20


def read_json(path: str | Path, most_bytes: int = MOST_BYTES) -> Any:
    """The value in a JSON file.

    Raises:
        ValueError: no JSON; part of a line.
        OSError: it cannot be opened, is no regular file, or larger.
    """
    return parse_json(read_regular(path, most_bytes))


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON of one space a level: the file is whole, or as it was.

    Raises:
        OSError: it cannot be written.
    """
    with new_file(path) as part:
        part.write_text(json.dumps(value, indent=1) + "\n", "utf-8")


def parse_json(data: bytes | str) -> Any:
    """The value that JSON text stands for.

    Raises:
        ValueError: no JSON, nested too deeply, or numbers that are not finite; part of a line.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise WrongValue("nested too deeply") from None


def _no_number(name: str) -> Any:
    raise WrongValue(f"{name} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise WrongValue(f"{text[:40]} is too large for a number")
    return value
