"""Draw the rooms and the errors of the repository into the docs: `python -P tests/draw_tree.py`.

A room is a folder with an `__init__`, and its line is the first line of that docstring, so that
what a room is for is said once.  Errors are read from the source: nothing heavy is imported.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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
API = ROOT / "docs" / "api.md"
BASE = "PosetalkError"


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


@dataclass(frozen=True)
class ErrorClass:
    """One class of the product that can be raised."""

    name: str
    bases: tuple[str, ...]
    file: str


def error_classes() -> list[ErrorClass]:
    """Every class of the product with an exception among those that it grows from."""
    found: list[ErrorClass] = []
    for house in HOUSES:
        for path in sorted((ROOT / house).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
                    file = path.relative_to(ROOT).as_posix()
                    found.append(ErrorClass(node.name, bases, file))
    raised: set[str] = {name for name, kind in vars(builtins).items() if _is_raised(kind)}
    while more := {each.name for each in found if raised.intersection(each.bases)} - raised:
        raised |= more
    return [each for each in found if raised.intersection(each.bases)]


def _is_raised(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def outside(found: list[ErrorClass]) -> list[ErrorClass]:
    """Those that do not grow from the base."""
    inside = {BASE}
    while more := {each.name for each in found if inside.intersection(each.bases)} - inside:
        inside |= more
    return [each for each in found if not inside.intersection(each.bases) and each.name != BASE]


def error_drawing(found: list[ErrorClass], base: str = BASE, depth: int = 0) -> str:
    """The errors below `base`, one line a class."""
    lines = ""
    for each in sorted(found, key=lambda each: (each.file, each.name)):
        if base in each.bases:
            kinds = [name for name in each.bases if name != base]
            kind = f" ({', '.join(kinds)})" if kinds else ""
            lines += f"    {'  ' * depth + each.name + kind:<44} {each.file}\n"
            lines += error_drawing(found, each.name, depth + 1)
    return lines


def drawn(page: str, what: str, drawing: str) -> str:
    """`page` with the drawing of today between its two marks."""
    begin, end = f"<!-- {what} -->\n", f"<!-- end of {what} -->\n"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{drawing}\n{end}{rest.partition(end)[2]}"


def pages() -> dict[Path, str]:
    """The pages with drawings, as they should be."""
    return {
        PAGE: drawn(PAGE.read_text("utf-8"), "rooms", drawing()),
        API: drawn(API.read_text("utf-8"), "errors", error_drawing(error_classes())),
    }


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, "utf-8")
    sys.exit()
