"""The option that every command has, and the kind that is off by itself."""

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
Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
"""An option that is off unless it is named."""
