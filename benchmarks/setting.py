"""One point of the grid, as plain data that two processes can share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Setting:
    """What is run; None takes the bundle's live default.

    Attributes:
        source: `mic` is a virtual microphone, `file` the demo speech at the pace of time.
        viewer: whether the off-screen viewer runs beside it.
        seconds: length of the run.
    """

    backend: str = "auto"
    bundle: str = "starter"
    steps: int | None = None
    hop: int | None = None
    lookahead: int | None = None
    seed: int = 0
    source: Literal["mic", "file"] = "file"
    viewer: bool = False
    seconds: float = 60.0

    def label(self) -> str:
        """The setting in a few words."""
        named = [
            f"{letter} = {value}"
            for letter, value in (("H", self.hop), ("R", self.lookahead), ("K", self.steps))
            if value is not None
        ]
        point = ", ".join(named) or "the bundle's live defaults"
        return f"{point}, {'with' if self.viewer else 'without'} the viewer"


def grid(
    base: Setting,
    *,
    steps: Sequence[int] = (),
    hop: Sequence[int] = (),
    lookahead: Sequence[int] = (),
    viewer: Sequence[bool] = (False, True),
) -> list[Setting]:
    """Every combination; an empty list of values stands for the bundle's default."""
    return [
        replace(base, steps=k, hop=h, lookahead=r, viewer=v)
        for k, h, r, v in itertools.product(
            steps or (None,), hop or (None,), lookahead or (None,), viewer
        )
    ]
