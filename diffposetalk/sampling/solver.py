"""DPM-Solver++ (2M) as a table of numbers, for `samplers` and for graphs.  Pure numpy."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffposetalk.schedule import NoiseSchedule, sampling_times


class Solver(NamedTuple):
    """What each of K steps does: x0 = D(x, t), then x <- a x + b x0 + c x0 of the step before.

    times: (K,) int64.
    table: (K, 5) a, b, c, then alpha and sigma at the step's own t; the last step's x is not used.
    """

    times: NDArray[np.int64]
    table: NDArray[np.float64]


def solver_table(schedule: NoiseSchedule, calls: int) -> Solver:
    """Lu et al. 2022 (DPM-Solver++), algorithm 2, on `sampling_times`.

    Raises:
        ValueError: a number of calls that the schedule does not have.
    """
    times = sampling_times(schedule, calls)
    alpha, sigma, lambda_ = schedule.alpha, schedule.sigma, schedule.lambda_
    rows = []
    h_previous = 0.0
    for s, t in pairwise(times):
        h = float(lambda_[t] - lambda_[s])
        half = 0.5 * h / h_previous if h_previous else 0.0
        pull = -float(alpha[t]) * math.expm1(-h)
        rows.append((sigma[t] / sigma[s], pull * (1.0 + half), -pull * half, alpha[s], sigma[s]))
        h_previous = h
    rows.append((1.0, 0.0, 0.0, alpha[times[-1]], sigma[times[-1]]))
    return Solver(np.array(times, np.int64), np.array(rows, np.float64))
