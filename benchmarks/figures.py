"""From noted moments to figures: pure functions.

Latency of a frame = its arrival at the client minus the moment at which the middle sample of its
40 ms was captured.  `STAGES` are its parts, in order; they add up to it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.statistics import spread
from viewer.playout import smallest_offset

Floats = NDArray[np.float64]

STAGES = {
    "algorithm": "hop and lookahead: until the last sample that the call needs was captured",
    "capture": "until the block with that sample was here",
    "queue": "until the model call began",
    "speech": "the call: speech encoder",
    "sampler": "the call: diffusion",
    "post": "the call: windows, noise, denormalisation, and noting",
    "send": "until the server's thread had the frame as bytes",
    "receive": "socket, and the client's process until it had parsed the frame",
}
"""Parts of a frame's latency, and what each is."""

WARM_UP_FRAMES = 25
"""The first second is reported apart."""
ENVELOPE_FRAMES = 250


def hindsight(t0: Floats, ahead: int = ENVELOPE_FRAMES) -> Floats:
    """The capture clock's estimates of t0, (n,) seconds, as known `ahead` frames later.

    Live, t0 is the least over the past; early frames have little past, so their capture looks
    later, and their latency shorter, than it was.  The least over what came next mends that.
    """
    padded = np.concatenate([t0, np.full(ahead, np.inf)])
    windows: Floats = np.lib.stride_tricks.sliding_window_view(padded, ahead + 1).min(axis=1)
    return windows


def stages(moments: Mapping[str, Floats], received: Floats) -> Floats:
    """Moments of `timing.COLUMNS` and arrivals at the client, (n,) seconds -> (n, len(STAGES))."""
    m = moments
    call = m["computed"] - m["began"]
    return np.stack(
        [
            m["complete"] - m["captured"],
            m["arrived"] - m["complete"],
            m["began"] - m["arrived"],
            m["speech"],
            m["sampler"],
            call - m["speech"] - m["sampler"],
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
        "out_of_order": sum(b < a for a, b in zip(sequences, sequences[1:], strict=False)),
    }


def distribution(seconds: Floats) -> dict[str, float]:
    """p50, p90, p99 and max in milliseconds."""
    return {name: round(value, 3) for name, value in asdict(spread(seconds)).items()}


def playout(latencies: Floats) -> dict[str, float]:
    """The smallest constant play-out delay, in milliseconds, that 99 % of the frames meet.

    `after_capture`: from capture to display.  `hold`: how long the fastest frame is held back.
    """
    if not len(latencies):
        return {"after_capture": 0.0, "hold": 0.0}
    offset = smallest_offset(list(latencies))
    return {
        "after_capture": round(offset * 1e3, 3),
        "hold": round((offset - float(latencies.min())) * 1e3, 3),
    }


def summarise(subject: Mapping[str, Any], listener: Mapping[str, Any], fps: int) -> dict[str, Any]:
    """One run's figures from what the measured process and the client noted.

    The first second, and the last frames, which the end of the audio lets out without lookahead,
    count as frames but not in the distributions.
    """
    rows = np.array(subject["rows"], np.float64).reshape(-1, len(subject["columns"]))
    expected = min(math.floor(subject["audio_seconds"] * fps + 1e-6), len(rows))
    rows = rows[:expected]
    arrivals = np.full(expected, np.nan)
    for sequence, arrival in zip(listener["sequences"], listener["arrivals"], strict=True):
        if sequence < expected and np.isnan(arrivals[sequence]):
            arrivals[sequence] = arrival
    moments = {name: rows[:, k].copy() for k, name in enumerate(subject["columns"])}
    shift = np.zeros(expected)
    arrived = np.flatnonzero(~np.isnan(arrivals) & ~np.isnan(rows).any(axis=1))
    live = subject["live"]
    t0 = moments["captured"] - (np.arange(expected) + 0.5) / fps
    shift[arrived] = t0[arrived] - hindsight(t0[arrived])
    moments["captured"] -= shift
    moments["complete"] -= shift

    tail = expected - live["hop"] - live["lookahead"]
    warm = arrived[arrived < WARM_UP_FRAMES]
    steady = arrived[(arrived >= WARM_UP_FRAMES) & (arrived < tail)]
    parts = stages(moments, arrivals)
    latency = arrivals - moments["captured"]
    begins, first = np.unique(moments["began"][steady], return_index=True)
    calls = (moments["computed"] - moments["began"])[steady][first]
    covered = begins[-1] - begins[0] if len(begins) > 1 else math.inf
    return {
        "live": live,
        "source": subject["source"],
        "seconds": subject["audio_seconds"],
        "frames": {
            **count(listener["sequences"], expected),
            "measured": len(steady),
            "late": subject["late"],
            "merged_calls": len(subject["merges"]),
            "dropped_by_server": subject["frames_dropped"],
            "dropped_samples": subject["samples_dropped"],
        },
        "end_to_end_ms": distribution(latency[steady]),
        "stages_ms": {
            name: distribution(parts[steady, k]) for k, name in enumerate(STAGES)
        },
        "call_ms": distribution(calls),
        "real_time_factor": round(float(calls[:-1].sum() / covered), 4) if len(calls) else None,
        "playout_ms": playout(latency[steady]),
        "warm_up": {
            "load_seconds": round(subject["load_seconds"], 3),
            "warm_up_seconds": round(subject["warm_up_seconds"], 3),
            "first_second_ms": distribution(latency[warm]),
            "first_frame_ms": round(float(latency[warm[0]]) * 1e3, 3) if len(warm) else None,
        },
        "capture": {
            "device_ms": round(subject["device_latency"] * 1e3, 3),
            "envelope_moved_ms": round(float(shift[steady].max(initial=0.0)) * 1e3, 3),
        },
        "memory_mb": {
            "begin": subject["memory_mb"][0],
            "end": subject["memory_mb"][1],
            "client": listener["memory_mb"],
        },
        "cores": {
            "session_and_server": round(subject["cpu_share"], 4),
            "client": round(listener["cpu_seconds"] / max(subject["audio_seconds"], 1e-9), 4),
        },
    }
