"""The option that every command has."""

from __future__ import annotations

from typing import Annotated

import tyro

Debug = Annotated[
    bool,
    tyro.conf.arg(
        help="Log what happens, and show where an error came from.", help_behavior_hint=""
    ),
]
"""Every command's last option."""
