from __future__ import annotations

from dataclasses import dataclass

from posetalk.commands.options import Serving


@dataclass(frozen=True)
class Live(Serving):
    """Live."""

    def run(self) -> int:
        return 0
