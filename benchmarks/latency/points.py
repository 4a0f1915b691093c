"""Results files seen as points: which runs are the live defaults, a grid, or many sessions, and
what quality belongs to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Run = Mapping[str, Any]
Results = Sequence[Mapping[str, Any]]

MODEL = (
    "backend",
    "precision",
    "hop",
    "lookahead",
    "steps",
    "window_rule",
    "audio_guidance",
    "style_guidance",
    "lip_noise",
    "head_noise",
    "face_noise",
    "bundle_hash",
)
"""What the quality of a run depends on."""


def is_default(run: Run) -> bool:
    """Whether it is one session at the bundle's live defaults and on the default backend."""
    asked = run["asked"]
    choices = (asked[name] for name in ("steps", "hop", "lookahead", "precision"))
    return asked["sessions"] == 1 and asked["backend"] == "auto" and all(w is None for w in choices)


def runs(results: Results) -> list[Run]:
    """All runs of all latency results, in order."""
    return [run for result in results if result["kind"] == "latency" for run in result["runs"]]


def many_session_runs(results: Results) -> list[Run]:
    """Runs of many sessions, fewest first."""
    found = [run for run in runs(results) if run["asked"]["sessions"] > 1]
    return sorted(found, key=lambda run: (run["live"]["backend"], run["asked"]["sessions"]))


def side_by_side(result: Mapping[str, Any]) -> list[Run]:
    """The runs of one file that make a grid: one session each, at more than one point."""
    single = [run for run in result.get("runs", ()) if run["asked"]["sessions"] == 1]
    return single if len({model_key(run["live"]) for run in single}) > 1 else []


def model_key(live: Mapping[str, Any]) -> tuple[Any, ...]:
    """The part of the live settings that quality depends on."""
    return tuple(live.get(name) for name in MODEL)


def qualities(results: Results) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Quality by `model_key`, from quality results and from runs that have their own."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for result in results:
        for point in result.get("points", ()):
            key = model_key(point["live"])
            found[key] = {**found.get(key, {}), **point}
    for run in runs(results):
        if "quality" in run:
            found[model_key(run["live"])] = run["quality"]
    return found


def spoken(quality: Mapping[str, Any] | None, name: str) -> float | None:
    """A figure of the synthetic set, or None."""
    if quality is None or "spoken" not in quality:
        return None
    value: float | None = quality["spoken"]["figures"][name][0]
    return value


def name(live: Mapping[str, Any]) -> str:
    """A point in a few letters."""
    return f"H{live['hop']} R{live['lookahead']} K{live['steps']}"
