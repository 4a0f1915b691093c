"""Smoothing that does not lag, and resampling: of frames at any times, never across a cut.

A Gaussian weight over frames before and after leaves the phase as it is. Frames that are missing
get what their neighbours say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

REACH = 3.0
"""Standard deviations at which the weights end."""


def smooth(values: Doubles, times: Doubles, segments: Ints, seconds: float) -> Doubles:
    """(n, ...) weighted means of frames nearby in time; `seconds` is the standard deviation.

    Args:
        values: (n, ...), finite.
        times: (n,) seconds, ascending.
        segments: (n,) a number for each run of frames between cuts.
    """
    if seconds <= 0 or len(values) < 2:
        return values
    step = max(1e-3, float(np.median(np.diff(times))))
    width = min(len(values) - 1, int(np.ceil(REACH * seconds / step)))
    total = np.zeros_like(values)
    share = np.zeros(len(values))
    shape = (-1,) + (1,) * (values.ndim - 1)
    for offset in range(-width, width + 1):
        here = slice(max(0, -offset), len(values) - max(0, offset))
        there = slice(max(0, offset), len(values) - max(0, -offset))
        weight = np.exp(-0.5 * ((times[there] - times[here]) / seconds) ** 2)
        weight = weight * (segments[there] == segments[here])
        total[here] += weight.reshape(shape) * values[there]
        share[here] += weight
    return np.asarray(total / share.reshape(shape))


def filled(values: Doubles, known: Bools, segments: Ints) -> Doubles:
    """(n, ...) with the frames that are not `known` interpolated from those that are.

    Within a segment where it has any, else from the nearest frame at all.

    Raises:
        ValueError: no frame is known.
    """
    if not known.any():
        raise WrongValue("no frame is known")
    if known.all():
        return values
    out = values.copy()
    flat = out.reshape(len(out), -1)
    everywhere = np.flatnonzero(known)
    for k in np.flatnonzero(~known):
        after = int(np.searchsorted(everywhere, k))
        pair = [everywhere[max(0, after - 1)], everywhere[min(after, len(everywhere) - 1)]]
        inside = [j for j in pair if segments[j] == segments[k]] or pair
        one, other = inside[0], inside[-1]
        if one > k or other < k or one == other:
            flat[k] = flat[one if abs(one - k) <= abs(other - k) else other]
        else:
            share = (k - one) / (other - one)
            flat[k] = (1 - share) * flat[one] + share * flat[other]
    return out


def resample(values: Doubles, times: Doubles, segments: Ints, goals: Doubles) -> Doubles:
    """(m, ...) at the times `goals` (m,): linear between frames of one segment, else nearest."""
    after = np.clip(np.searchsorted(times, goals), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    span = np.maximum(times[after] - times[before], 1e-9)
    share = np.clip((goals - times[before]) / span, 0, 1)
    cut = segments[after] != segments[before]
    share = np.where(cut, np.round(share), share)
    share = np.where(after == before, 0.0, share)
    wide = share.reshape((-1,) + (1,) * (values.ndim - 1))
    return np.asarray((1 - wide) * values[before] + wide * values[after])


def nearest(times: Doubles, goals: Doubles) -> Ints:
    """(m,) the index of the frame nearest to each of `goals`."""
    after = np.clip(np.searchsorted(times, goals), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    closer = np.abs(times[before] - goals) <= np.abs(times[after] - goals)
    return np.where(closer, before, after).astype(np.int64)
