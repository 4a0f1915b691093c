"""The part of the performance page on a network of the official size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.latency.points import Results
from benchmarks.pages.tables import table, where

PAPER_FASTER = 100
"""Factor by which paper mode in a few steps is meant to be faster than all steps done plainly."""


def section(results: Results) -> Iterator[str]:
    """What `benchmarks.quality.official_size` wrote."""
    for result in results:
        if result["kind"] != "official":
            continue
        found = result["official"]
        plain, live = found["plain"], found["live"]
        yield "## The official network's size\n"
        yield where(result)
        yield (
            f"HuBERT-base and 8 layers of 512 in {found['branches']} guidance branches, random "
            f"weights, {found['threads']} threads. The plain way: {found['all_steps']} ancestral "
            f"steps with torch's own decoder layers, {plain['step_ms']:.0f} ms a step (a few were "
            f"timed, and multiplied), {plain['total_s']:.1f} s for a window of 4 s.\n"
        )
        rows = [
            (
                f"paper mode, K = {found['steps']}, {name}",
                f"{1e3 * one['speech_s']:.0f}",
                f"{one['step_ms']:.0f}",
                f"{one['total_s']:.2f}",
                f"{one['times_faster']:.0f}",
                "reached" if one["times_faster"] >= PAPER_FASTER else "missed",
            )
            for name, one in found["paper_mode"].items()
        ]
        header = (
            "",
            "speech, ms",
            "step, ms",
            "window, s",
            "times faster",
            f"wanted {PAPER_FASTER}",
        )
        yield table(header, rows)
        # Figures of before there was a choice of window rules have one, and nothing on bf16.
        rules = live.get("rules") or {live["window_rule"]: live["backends"]}
        hops = [
            (
                f"live, {rule}, H = {live['hop']}, {name}",
                f"{one['hop_ms']:.0f}",
                f"{one['hop_p99_ms']:.0f}",
                f"{one['times_real_time']:.2f}",
                "reached" if one["times_real_time"] >= 1 else "missed",
            )
            for rule, backends in rules.items()
            for name, one in backends.items()
        ]
        yield table(("", "hop, ms", "p99", "times real time", "wanted 1"), hops)
        if "bf16" in found:
            yield _bf16(found["bf16"])


def _bf16(one: Mapping[str, Any]) -> str:
    """What bf16 changes in the starter's motion."""
    return (
        f"What bf16 changes, by the starter (bundle {one['bundle_hash'][:12]}), in deviations of "
        f"the motion it was trained on: a hop given the same state differs by "
        f"{one['hop_mean']:.4f} in the mean and {one['hop_largest']:.3f} at most, whatever the "
        f"guidance; over {one['hops']} hops that feed on their own output, motion has "
        f"{one['loop_range']:.3f} times the range and {one['loop_speed']:.3f} times the speed of "
        f"fp32's, and the lips (the vertex that is farthest off, mean over frames) are "
        f"{one['loop_lips_mm']:.3f} mm from fp32's.\n"
    )
