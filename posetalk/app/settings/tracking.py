"""How a face in a film is followed.

The annotations are for the commands' help and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class TrackingSettings:
    """How a face in a film is followed."""

    model: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FILE.task", help_behavior_hint="(default: it is looked for)"),
    ] = None
    """MediaPipe's face landmark model, face_landmarker.task; else the cache and installed packages
    are looked through."""
    fetch_model: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Fetch the model (3.8 MB, Apache-2.0) from its official address where it is nowhere."""
    face: Annotated[
        int, tyro.conf.arg(metavar="N", help_behavior_hint="(default: the largest)")
    ] = 0
    """Where several faces are: which one, counted from the left."""

    def check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a value that cannot be.
        """
        from posetalk.terminal.console import UsageError

        if not 0 <= self.face <= 9:
            raise UsageError(f"--face {self.face}: count from the left, 1 to 9; 0 is the largest")
