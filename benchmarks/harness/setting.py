"""One point of the grid, as plain data that two processes can share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Setting:
    """What is run; None takes the bundle's live default.

    Attributes:
        precision: of the model's arithmetic; None takes the backend's own default.
        sessions: 1 runs what `posetalk live` runs, with a client in another process; more run on
            one scheduler, as a server's sessions do.
        source: `mic` is a virtual microphone, `file` the demo speech at the pace of time.
        viewer: whether the off-screen viewer runs beside it.
        seconds: length of the run.
    """

    backend: str = "auto"
    precision: str | None = None
    bundle: str = "starter"
    steps: int | None = None
    hop: int | None = None
    lookahead: int | None = None
    sessions: int = 1
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
        model = " ".join(filter(None, (self.backend, self.precision)))
        if self.sessions > 1:
            return f"{model}, {point}, {self.sessions} sessions"
        return f"{model}, {point}, {'with' if self.viewer else 'without'} the viewer"


def grid(
    base: Setting,
    *,
    backend: Sequence[str] = (),
    precision: Sequence[str] = (),
    steps: Sequence[int] = (),
    hop: Sequence[int] = (),
    lookahead: Sequence[int] = (),
    sessions: Sequence[int] = (),
    viewer: Sequence[bool] = (),
) -> list[Setting]:
    """Every combination; an empty list of values stands for what `base` has.

    No viewer draws many sessions: those points come once, without.
    """
    lists: dict[str, Sequence[Any]] = {
        "backend": backend,
        "precision": precision,
        "steps": steps,
        "hop": hop,
        "lookahead": lookahead,
        "sessions": sessions,
        "viewer": viewer,
    }
    names = [name for name, values in lists.items() if values]
    every: list[dict[str, Any]] = [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(lists[name] for name in names))
    ]
    points = [replace(base, **values) for values in every]
    alone = [replace(p, viewer=False) if p.sessions > 1 else p for p in points]
    return list(dict.fromkeys(alone))
