"""Replicas that are killed under clients who speak, and what these notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.harness.processes import BenchmarkError
from benchmarks.scaling import cluster
from benchmarks.scaling.speakers import SpeakingClient, all_speak, speak_all

AFTER_SECONDS = 6.0
"""That are still spoken after a replica was killed."""
GAP_BAR_SECONDS, STEP_BAR_MM = 1.5, 8.0
"""What is asked: from a client's last frame to its next, and how far its lips may jump there."""


def one_kill(url: str, clients: int, number: int) -> dict[str, Any]:
    """Clients speak, a replica dies under them; what they noticed.

    Args:
        number: of the kill: they fall at different moments, on one replica and the other.
    """
    speakers = [SpeakingClient(each) for each in range(clients)]
    struck: list[float] = []

    def is_over() -> bool:
        if not struck and all_speak(speakers, 50 + number):
            pids = cluster.replica_pids()
            struck.append(time.monotonic())
            cluster.kill(pids[number % len(pids)])
        return bool(struck) and time.monotonic() > struck[0] + AFTER_SECONDS

    asyncio.run(speak_all(speakers, url, is_over, resume=True))
    return judge(speakers)


def judge(speakers: Sequence[SpeakingClient]) -> dict[str, Any]:
    """Figures of one kill: of those who had to move, and of all others."""
    moved = [s for s in speakers if s.moves]
    others = [s for s in speakers if not s.moves]
    steps = [step for s in moved for step in s.lip_steps()]
    gaps = [gap for s in moved for gap in s.move_gaps()]
    return {
        "moved": len(moved),
        "gap_seconds": max(gaps, default=0.0),
        "lip_step_mm": max(steps, default=0.0),
        "repeated": sum(s.repeated for s in speakers),
        "missing_of_moved": sum(s.missing for s in moved),
        "missing_of_others": sum(s.missing for s in others),
        "others_longest_gap_seconds": max((s.longest_gap() for s in others), default=0.0),
        "errors": [s.error for s in speakers if s.error],
    }


def summary(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of all kills."""
    if not outcomes:
        raise BenchmarkError("--kills 0: nothing was measured")
    worst = {
        name: max(outcome[name] for outcome in outcomes)
        for name in ("gap_seconds", "lip_step_mm", "others_longest_gap_seconds")
    }
    sums = {
        name: sum(outcome[name] for outcome in outcomes)
        for name in ("moved", "repeated", "missing_of_moved", "missing_of_others")
    }
    errors = [error for outcome in outcomes for error in outcome["errors"]]
    gaps = sorted(outcome["gap_seconds"] for outcome in outcomes)
    return {"kills": len(outcomes), **sums, **worst, "gaps": gaps, "errors": errors}
