"""From noted moments to figures: pure functions.

Latency of a frame = its arrival at the client minus the moment at which the middle sample of its
40 ms was captured.  `STAGES` are its parts, in order; they add up to it exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.run.metrics import spread
from viewer.play.playout import smallest_offset

Floats = NDArray[np.float64]

STAGES = {
    "algorithm": "hop and lookahead: until the last sample that the call needs was captured",
    "capture": "until the block with that sample was here",
    "queue": "until the model call began",
    "window": "the call: window, context and noise put together",
    "speech": "the call: speech encoder",
    "sampler": "the call: diffusion",
    "post": "the call: frames out of the sampler's answer",
    "send": "until the server's thread had the frame as bytes",
    "receive": "socket, and the client's process until it had parsed the frame",
}
"""Parts of a frame's latency, and what each is."""

WARM_UP_FRAMES = 25
"""The first second is reported apart."""


def capture_shift(captured: Floats, fps: int) -> Floats:
    """How much later than it was the live loop took capture to be: (n,) seconds, NaN for NaN.

    `captured`: its estimate for the middle of each frame, from the least delayed block so far.  The
    least delayed block of the whole run knows better: early blocks may all have been delayed.
    """
    t0 = captured - (np.arange(len(captured)) + 0.5) / fps
    return t0 - np.nanmin(t0) if np.isfinite(t0).any() else t0


def is_steady(began: Floats) -> NDArray[np.bool_]:
    """Which frames belong in the distributions, by the moments (n,) at which their calls began.

    Not the first second, which is warm-up, and not those of the last call, which the end of the
    audio lets out without lookahead.  Only whole calls: a call's frames differ by 40 ms each, so
    half a call more would tip the median.
    """
    if not np.isfinite(began).any():
        return np.zeros(len(began), np.bool_)
    edge = began[WARM_UP_FRAMES - 1] if len(began) >= WARM_UP_FRAMES else np.nanmax(began)
    steady: NDArray[np.bool_] = (began > edge) & (began < np.nanmax(began))
    return steady


def stages(moments: Mapping[str, Floats], received: Floats) -> Floats:
    """Moments of `probes.COLUMNS` and arrivals at the client, (n,) seconds -> (n, len(STAGES))."""
    m = moments
    return np.stack(
        [
            m["complete"] - m["captured"],
            m["arrived"] - m["complete"],
            m["began"] - m["arrived"],
            m["sampled"] - m["began"] - m["speech"] - m["sampler"],
            m["speech"],
            m["sampler"],
            m["computed"] - m["sampled"],
            m["taken"] - m["computed"],
            received - m["taken"],
        ],
        axis=1,
    )


def count(sequences: Sequence[int], expected: int) -> dict[str, int]:
    """What became of `expected` frames, by the sequence numbers that a client got, in order."""
    seen = set(sequences)
    return {
        "expected": expected,
        "received": len(sequences),
        "lost": len(set(range(expected)) - seen),
        "repeated": len(sequences) - len(seen),
        "out_of_order": sum(b < a for a, b in itertools.pairwise(sequences)),
    }


def distribution(seconds: Floats) -> dict[str, float]:
    """p50, p90, p99 and max in milliseconds."""
    return {name: round(value, 3) for name, value in asdict(spread(seconds)).items()}


def interval(seconds: Floats, share: float) -> tuple[float, float | None]:
    """Where a quantile lies with 95 %, in milliseconds, by order statistics.

    None above: the values are too few to say how large it may be, as for the 99th percentile of
    less than 368 frames. Frames that follow one another are alike, so the truth is wider.
    """
    values, n = np.sort(seconds) * 1e3, len(seconds)
    if not n:
        return math.nan, None
    half = 1.96 * math.sqrt(n * share * (1.0 - share))
    low, high = math.floor(n * share - half), math.ceil(n * share + half)
    above = round(float(values[high]), 3) if high < n else None
    return round(float(values[max(low, 0)]), 3), above


def playout(latencies: Floats) -> dict[str, Any]:
    """The smallest constant play-out delay, in milliseconds, that 99 % of the frames meet.

    `after_capture`: from capture to display.  `hold`: how long the fastest frame is held back.
    `held`: the distribution of that over all frames; the late ones are shown at once.
    """
    if not len(latencies):
        return {"after_capture": 0.0, "hold": 0.0, "held": distribution(latencies)}
    offset = smallest_offset(list(latencies))
    return {
        "after_capture": round(offset * 1e3, 3),
        "hold": round((offset - float(latencies.min())) * 1e3, 3),
        "held": distribution(np.maximum(offset - latencies, 0.0)),
    }


def summarise(server: Mapping[str, Any], client: Mapping[str, Any], fps: int) -> dict[str, Any]:
    """One run's figures from what the measured process and the client noted.

    Frames that are not steady (`is_steady`) are counted, but are not in the distributions.
    """
    rows = np.array(server["rows"], np.float64).reshape(-1, len(server["columns"]))
    expected = min(math.floor(server["audio_seconds"] * fps + 1e-6), len(rows))
    rows = rows[:expected]
    arrivals = np.full(expected, np.nan)
    for sequence, arrival in zip(client["sequences"], client["arrivals"], strict=True):
        if sequence < expected and np.isnan(arrivals[sequence]):
            arrivals[sequence] = arrival
    moments = {name: rows[:, k].copy() for k, name in enumerate(server["columns"])}
    complete = np.flatnonzero(~np.isnan(arrivals) & ~np.isnan(rows).any(axis=1))
    late_by = capture_shift(moments["captured"], fps)
    moments["captured"] -= late_by
    moments["complete"] -= late_by
    warm = complete[complete < WARM_UP_FRAMES]
    steady = complete[is_steady(moments["began"])[complete]]
    parts = stages(moments, arrivals)
    latency = arrivals - moments["captured"]
    begins, first = np.unique(moments["began"][steady], return_index=True)
    calls = (moments["computed"] - moments["began"])[steady][first]
    covered = begins[-1] - begins[0] if len(begins) > 1 else math.inf
    return {
        "live": server["live"],
        "source": server["source"],
        "seconds": server["audio_seconds"],
        "frames": {
            **count(client["sequences"], expected),
            "measured": len(steady),
            "late": server["late"],
            "merged_calls": len(server["merges"]),
            "dropped_by_server": server["frames_dropped"],
            "dropped_samples": server["samples_dropped"],
        },
        "end_to_end_ms": distribution(latency[steady]),
        "interval_ms": {
            name: interval(latency[steady], share) for name, share in (("p50", 0.5), ("p99", 0.99))
        },
        "stages_ms": {name: distribution(parts[steady, k]) for k, name in enumerate(STAGES)},
        "call_ms": distribution(calls),
        "real_time_factor": round(float(calls[:-1].sum() / covered), 4) if len(calls) else None,
        "playout_ms": playout(latency[steady]),
        "warm_up": {
            "load_seconds": round(server["load_seconds"], 3),
            "warm_up_seconds": round(server["warm_up_seconds"], 3),
            "first_second_ms": distribution(latency[warm]),
            "first_frame_ms": round(float(latency[warm[0]]) * 1e3, 3) if len(warm) else None,
        },
        "capture": {
            "device_ms": round(server["device_latency"] * 1e3, 3),
            "live_estimate_off_ms": round(float(late_by[steady].max(initial=0.0)) * 1e3, 3),
        },
        "memory_mb": {
            "begin": server["memory_mb"][0],
            "end": server["memory_mb"][1],
            "client": client["memory_mb"],
        },
        "cores": {
            "session_and_server": round(server["cpu_share"], 4),
            "client": round(client["cpu_seconds"] / max(server["audio_seconds"], 1e-9), 4),
        },
    }
