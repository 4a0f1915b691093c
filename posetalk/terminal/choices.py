"""Options that take one of some names, or are left out."""

from __future__ import annotations

from typing import Any

import tyro


def one_of(*names: str) -> tyro.constructors.PrimitiveConstructorSpec[Any]:
    """These names and no other: `None`, which stands for left out, is none to be typed or told."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(names),
        instance_from_str=lambda given: given[0],
        is_instance=lambda value: value is None or value in names,
        str_from_instance=lambda value: [str(value)],
        choices=names,
    )
