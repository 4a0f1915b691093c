"""A grid of settings as a TOML file, for `bench-latency --grid FILE`.

seconds = 12                  # of every run

[[points]]                    # every combination of a block's lists; what it leaves out is
backend = ["torch", "onnx"]   # the bundle's live default
steps = [1, 2, 4]

[[points]]
sessions = [1, 4, 8, 12]
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness.processes import BenchmarkError
from benchmarks.harness.setting import Setting, grid

KINDS: dict[str, type] = {
    "backend": str,
    "precision": str,
    "steps": int,
    "hop": int,
    "lookahead": int,
    "sessions": int,
    "viewer": bool,
}


def read_grid(path: Path, base: Setting) -> list[Setting]:
    """The points of a file, in its order, none twice.

    Raises:
        BenchmarkError: it cannot be read, or says what no grid says.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BenchmarkError(f"--grid {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"--grid {path}: {error}") from None
    seconds = data.pop("seconds", base.seconds)
    blocks = data.pop("points", None)
    if data or not isinstance(blocks, list) or not blocks:
        wrong = ", ".join(data) or "no [[points]]"
        raise BenchmarkError(f"--grid {path}: {wrong}; a grid has `seconds` and blocks [[points]]")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 2:
        raise BenchmarkError(f"--grid {path}: seconds = {seconds!r}: take a number from 2 up")
    points: list[Setting] = []
    for block in blocks:
        points += _block(path, block, replace(base, seconds=float(seconds)))
    return list(dict.fromkeys(points))


def _block(path: Path, block: Any, base: Setting) -> list[Setting]:
    if not isinstance(block, dict):
        raise BenchmarkError(f"--grid {path}: points are blocks that begin with [[points]]")
    lists: dict[str, list[Any]] = {}
    for name, values in block.items():
        if name not in KINDS:
            raise BenchmarkError(f"--grid {path}: {name!r} is none of {', '.join(KINDS)}")
        lists[name] = values if isinstance(values, list) else [values]
        for value in lists[name]:
            if type(value) is not KINDS[name]:
                raise BenchmarkError(
                    f"--grid {path}: {name} = {value!r} is no {KINDS[name].__name__}"
                )
    if min(lists.get("sessions", [1])) < 1:
        raise BenchmarkError(f"--grid {path}: sessions are 1 or more")
    return grid(base, **lists)
