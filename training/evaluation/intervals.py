"""How sure a mean over runs is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

T_975 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
    2.080,
    2.074,
    2.069,
    2.064,
    2.060,
    2.056,
    2.052,
    2.048,
    2.045,
    2.042,
)
"""Student's t, 97.5 %, for 1 to 30 degrees of freedom."""


def interval(values: Sequence[float] | NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Mean of R runs and half of its 95 % interval (Student's t; 0 for runs that do not differ).

    The paper says "a 95 % confidence interval" of 10 runs and not which; NaN half for one run.
    """
    numbers = np.asarray(values, np.float64)
    runs = len(numbers)
    if runs < 2:
        return float(numbers.mean()), math.nan
    t = T_975[runs - 2] if runs - 2 < len(T_975) else 1.96
    return float(numbers.mean()), float(t * numbers.std(ddof=1) / math.sqrt(runs))
