"""From the built-in head's channels to the 52 ARKit weights that game engines take."""

from __future__ import annotations

from typing import Any

import numpy as np

from head.channels import ARKIT_52, JAW_OPEN_RADIANS
from head.model import Head, HeadError


def arkit_weights(head: Head, expression: Any, jaw_pose: Any) -> np.ndarray[Any, Any]:
    """Weights (..., 52) in 0..1 in the order of `ARKIT_52`.

    `expression` (..., E) by the head's own channel names, `jaw_pose` (..., 3) axis-angle.

    Raises:
        HeadError: the head's channels are not ARKit's (a FLAME head, say).
    """
    weights = np.asarray(expression, dtype=np.float32)
    jaw = np.asarray(jaw_pose, dtype=np.float32)
    index = {name: i for i, name in enumerate(head.expression_names)}
    missing = [n for n in ARKIT_52 if n not in index and n not in ("jawOpen", "cheekPuff")]
    if missing:
        raise HeadError(f"head {head.id!r} has no ARKit channels (the first missing: {missing[0]})")
    out = np.zeros((*np.broadcast_shapes(weights.shape[:-1], jaw.shape[:-1]), 52), np.float32)
    for place, name in enumerate(ARKIT_52):
        if name == "jawOpen":
            out[..., place] = jaw[..., 0] / JAW_OPEN_RADIANS
        elif name in index:
            out[..., place] = weights[..., index[name]]
    return out.clip(0, 1)
