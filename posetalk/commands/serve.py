from __future__ import annotations

from dataclasses import dataclass

from posetalk.commands.options import Serving


@dataclass(frozen=True)
class Serve(Serving):
    """Serve."""

    def run(self) -> int:
        return 0
