"""What a hostile file is, and the table into which every kind is entered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Maker = Callable[[Path], list[str]]
"""Writes into a folder, and gives the arguments of the command that reads what it wrote."""
HOSTILE: dict[str, tuple[Maker, str]] = {}
"""Name -> what writes it, and a part of what is said of it."""


def hostile(says: str) -> Callable[[Maker], Maker]:
    """Enter a maker into the list."""

    def enter(maker: Maker) -> Maker:
        HOSTILE[maker.__name__] = maker, says
        return maker

    return enter
