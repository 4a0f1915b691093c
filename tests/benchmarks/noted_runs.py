"""What runs of known timing note, and the results files that hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.probes import COLUMNS
from benchmarks.latency import many_sessions
from benchmarks.latency.percentiles import summarise

FPS, HOP, LOOKAHEAD = 25, 2, 2
STAGE_SECONDS = {
    "capture": 0.004,
    "queue": 0.001,
    "window": 0.0015,
    "speech": 0.003,
    "sampler": 0.02,
    "post": 0.0005,
    "send": 0.0005,
    "receive": 0.0015,
}


def noted(frames: int = 100) -> tuple[dict[str, Any], dict[str, Any]]:
    """What process and client note of a run in which every stage takes `STAGE_SECONDS`."""
    t0, s = 1000.0, STAGE_SECONDS
    rows, arrivals = [], []
    for k in range(frames):
        end = (k // HOP + 1) * HOP + LOOKAHEAD
        captured, complete = t0 + (k + 0.5) / FPS, t0 + end / FPS
        arrived = complete + s["capture"]
        began = arrived + s["queue"]
        sampled = began + s["window"] + s["speech"] + s["sampler"]
        computed = sampled + s["post"]
        taken = computed + s["send"]
        rows.append(
            [
                captured,
                complete,
                arrived,
                began,
                computed,
                s["speech"],
                s["sampler"],
                sampled,
                taken,
            ]
        )
        arrivals.append(taken + s["receive"])
    server = {
        "columns": COLUMNS,
        "rows": rows,
        "source": "speech.flac",
        "device_latency": 0.0,
        "audio_seconds": frames / FPS,
        "late": 0,
        "merges": [],
        "samples_dropped": 0,
        "frames_dropped": 0,
        "memory_mb": [80.0, 81.5],
        "cpu_share": 0.2,
        "load_seconds": 1.25,
        "warm_up_seconds": 0.5,
        "live": {
            "hop": HOP,
            "lookahead": LOOKAHEAD,
            "steps": 2,
            "window_rule": "adjacent",
            "audio_guidance": 1.5,
            "style_guidance": 1.0,
            "lip_noise": 1.0,
            "style": "neutral",
            "backend": "torch",
            "precision": "fp32",
            "device": "cpu",
            "bundle_hash": "0123456789abcdef",
        },
    }
    client = {
        "sequences": list(range(frames)),
        "samples": [640 * k for k in range(frames)],
        "arrivals": arrivals,
        "dropped": 0,
        "cpu_seconds": 0.04,
        "memory_mb": 39.0,
    }
    return server, client


def result(kind: str = "latency", **values: Any) -> dict[str, Any]:
    """A results file without figures."""
    return {
        "kind": kind,
        "format": 2,
        "time": "2026-01-01 00:00:00 UTC",
        "revision": "abc",
        "machine": {
            "cpu": "a CPU",
            "cores": 2,
            "memory_gb": 4.0,
            "system": "an OS",
            "load_average": [0.5, 0.25, 0.125],
        },
        "versions": {"python": "3.11.7"},
        **values,
    }


def run_of(viewer: bool = False, **asked: Any) -> dict[str, Any]:
    """One run's figures, as `bench-latency` writes them."""
    run = summarise(*noted(), FPS)
    asked = {
        "steps": None,
        "hop": None,
        "lookahead": None,
        "source": "mic",
        "sessions": 1,
        "backend": "auto",
        "precision": None,
        **asked,
    }
    drawn = {"said": "recorded 4.0 s", "memory_mb": 260.0, "cores": 0.5} if viewer else None
    return run | {"viewer": drawn, "asked": asked, "load_average": [0.1, 0.1, 0.1]}


def noted_many_sessions(sessions: int = 3, frames: int = 100, late: int = 0) -> dict[str, Any]:
    """What is noted of sessions whose frames are delivered 7 ms after their audio was due."""
    rows = np.empty((sessions, frames, 4))
    for number in range(sessions):
        for k in range(frames):
            complete = 10.0 + number + ((k // HOP + 1) * HOP + LOOKAHEAD) / FPS
            captured = 10.0 + number + (k + 0.5) / FPS
            rows[number, k] = captured, complete, complete + 0.002, complete + 0.007
    return {
        "live": noted()[0]["live"],
        "source": "speech",
        "seconds": frames / FPS,
        "rows": rows.tolist(),
        "late": late,
        "calls": 150,
        "merged": late,
        "refused": 0,
        "busy_seconds": 1.0,
        "rounds": 50,
        "workers": 2,
        "batches": [1, 2, 3] * 50,
        "speech_seconds": 0.25,
        "sampler_seconds": 0.5,
        "memory_mb": [80.0, 90.0],
        "cpu_share": 0.3,
        "load_seconds": 1.0,
        "warm_up_seconds": 0.5,
    }


def many_sessions_run(sessions: int, **values: Any) -> dict[str, Any]:
    asked = {
        "steps": None,
        "hop": None,
        "lookahead": None,
        "source": "file",
        "backend": "auto",
        "precision": None,
        "sessions": sessions,
    }
    return many_sessions.summarise(noted_many_sessions(sessions)) | {
        "asked": asked,
        "load_average": [0.1] * 3,
        **values,
    }
