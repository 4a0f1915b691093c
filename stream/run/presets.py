"""How soon the face speaks, in one word: how much is heard after a frame before it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from head.errors import WrongValue

if TYPE_CHECKING:
    from stream.core.options import SessionOptions

PresetName = Literal["fast", "default", "careful"]

PRESETS: Mapping[str, Mapping[str, int]] = {
    "fast": {"lookahead": 1},
    "default": {},
    "careful": {"lookahead": 5},
}
"""Fields of `SessionOptions`; today all are about lookahead.

`fast` shows a frame 40 ms sooner than the starter's default and closes fewer lips; `careful` takes
120 ms more: its mouth opens a little more as the label's does, but closes no more lips.
"""


def with_preset(preset: PresetName, options: SessionOptions) -> SessionOptions:
    """The settings with a preset's where they have none of their own.

    Raises:
        ValueError: there is no such preset.
    """
    if preset not in PRESETS:
        raise WrongValue(f"no preset {preset!r}: choose {', '.join(get_args(PresetName))}")
    own = PRESETS[preset].get("lookahead") if options.lookahead is None else None
    return options if own is None else replace(options, lookahead=own)


def with_other_preset(preset: str, options: SessionOptions) -> SessionOptions:
    """The settings with a preset's in place of those that presets are about.

    Raises:
        ValueError: there is no such preset.
    """
    if preset not in PRESETS:
        raise WrongValue(f"no preset {preset[:80]!r}: choose {', '.join(PRESETS)}")
    return replace(options, lookahead=PRESETS[preset].get("lookahead"))
