"""Draw the rooms of the repository into `docs/architecture.md`: `python -P tests/draw_tree.py`.

A room is a folder with an `__init__`, and its line is the first line of that docstring, so that
what a room is for is said once.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
HOUSES = (
    "head",
    "diffposetalk",
    "stream",
    "viewer",
    "export",
    "training",
    "posetalk",
    "benchmarks",
)
BEGIN, END = "<!-- rooms -->\n", "<!-- end of rooms -->\n"


def rooms() -> Iterator[Path]:
    """Every folder of code, each after the one that holds it."""
    for house in HOUSES:
        for init in sorted((ROOT / house).rglob("__init__.py"), key=lambda path: path.parts):
            yield init.parent


def purpose(room: Path) -> str:
    """The first line of the room's docstring."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
    return (text or "").partition("\n")[0]


def drawing() -> str:
    """The tree, one line a room."""
    lines = []
    for room in rooms():
        path = room.relative_to(ROOT)
        name = "  " * (len(path.parts) - 1) + path.name + "/"
        lines.append(f"    {name:<16} {purpose(room)}\n")
    return "".join(lines)


def drawn(page: str) -> str:
    """`page` with the tree of today."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{drawing()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")
    sys.exit()
