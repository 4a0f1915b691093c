"""Least squares with weights that must lie in a box: small, exact, warm-started."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

ROUNDS = 60
"""Far more than the handful that is needed; what is left then is projected gradient's answer."""


def box_least_squares(
    normal: Doubles, right: Doubles, start: Doubles, low: float = 0.0, high: float = 1.0
) -> Doubles:
    """x (N,) in low..high that minimises x.A.x / 2 - b.x for a positive definite A (N, N).

    Projected Newton (Bertsekas 1982): what presses against the box is held, the rest is solved
    for exactly, steps that would leave the box are bent along it. `start` (N,) in the box is where
    to begin; the answer does not depend on it, the time does.
    """
    x = np.clip(start, low, high)
    gradient = normal @ x - right
    tolerance = 1e-9 * (1.0 + float(np.abs(right).max(initial=0)))
    for _ in range(ROUNDS):
        held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
        free = np.flatnonzero(~held)
        if not free.size or np.abs(gradient[free]).max() <= tolerance:
            break
        step = np.linalg.solve(normal[np.ix_(free, free)], gradient[free])
        before = x
        now = _value(normal, right, x)
        size = 1.0
        while True:
            x = before.copy()
            x[free] = np.clip(before[free] - size * step, low, high)
            moved = gradient @ (before - x)
            if _value(normal, right, x) <= now - 1e-4 * moved or size < 1e-6:
                break
            size /= 2
        gradient = normal @ x - right
        if (x == before).all():
            break
    return x


def _value(normal: Doubles, right: Doubles, x: Doubles) -> float:
    return float(x @ (0.5 * (normal @ x) - right))
