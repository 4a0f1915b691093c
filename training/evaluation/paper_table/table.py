"""The paper's table 1 for any set of bundles, beside predictors that need no model.

Every row is measured on the same clips of held-out speech, each labelled in a style of its own, at
the bundle's own live settings; every figure is a mean of runs that differ in their noise alone.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from head.rig import builtin_head
from training.evaluation.clips import EvaluationClip
from training.evaluation.face import Face
from training.evaluation.paper_table.candidates import CHANCE, Candidate, TableError
from training.evaluation.paper_table.clip_figures import ClipFigures, measure_runs, summarise

FORMAT = 1
KIND = "paper table"

COLUMNS: dict[str, tuple[str, int, int]] = {
    "lve": ("LVE (mm)", -1, 2),
    "fdd": ("FDD (1e-5 m)", -1, 2),
    "mod": ("MOD (mm)", -1, 2),
    "ba": ("BA", 1, 3),
    "diversity": ("Div exp (1e-4 m)", 1, 2),
    "head_diversity": ("Div head (deg)", 1, 2),
}
"""Figure: its heading, which way is better, digits."""
OTHER_CONVENTIONS: dict[str, tuple[str, int, int]] = {
    "lve_squared": ("LVE, squared (1e-6 m^2)", -1, 2),
    "fdd_signed": ("FDD, signed (1e-5 m)", 0, 2),
    "fdd_squared": ("FDD, squared, signed (1e-7 m^2)", 0, 2),
    "ba_own": ("BA over own beats", 1, 3),
}
SCALE = {"lve_squared": 1e6, "fdd_squared": 1e7}
"""Factors from the unit of `ClipFigures` to that of the heading."""

Progress = Callable[[str], None]


def measure_candidate(
    candidate: Candidate, clips: Sequence[EvaluationClip], runs: int, face: Face
) -> dict[str, tuple[float, float]]:
    """Every figure of one row: (mean, half of the 95 % interval)."""
    motion = candidate.motion(clips, runs)
    found: list[ClipFigures] = []
    if not np.isfinite(motion).all():
        raise TableError(f"{candidate.told}: the model answers with motion that is not finite")
    for own, clip in zip(motion, clips, strict=True):
        label = clip.label
        if own.shape[-1] == label.shape[-1] - 3:  # a model without head rotation
            label = np.delete(label, slice(50, 53), axis=1)
        found.append(measure_runs(face, own, label, clip.shape))
    return summarise(found)


def make_table(
    rows: Iterable[Candidate],
    clips: Sequence[EvaluationClip],
    runs: int,
    *,
    head: Mapping[str, Any],
    face: Face | None = None,
    known: Mapping[str, Any] | None = None,
    progress: Progress = lambda text: None,
    save: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Measure all rows.

    Args:
        head: environment, kept in the result.
        face: of the labels' head; the built-in one if None.
        known: an earlier result; its rows are taken over where clips, runs and key are the same.
        progress: told what is being measured.
        save: called with the result so far after every row.
    """
    face = face or Face.of(builtin_head())
    about = {
        "sets": sorted({clip.set for clip in clips}),
        "clips": [_clip_name(clip) for clip in clips],
        "frames": len(clips[0].label),
        "runs": runs,
    }
    result: dict[str, Any] = {"kind": KIND, "format": FORMAT, **head, **about, "rows": []}
    same = known is not None and all(known.get(name) == value for name, value in about.items())
    before = {row["key"]: row for row in known["rows"]} if known is not None and same else {}
    for candidate in rows:
        if candidate.name == CHANCE and len(clips) < 2:
            continue  # there is no other clip: its own label would be no chance
        key = f"{candidate.name} {candidate.key}"
        row = before.get(key)
        if row is None:
            progress(candidate.told)
            started = time.process_time()
            figures = measure_candidate(candidate, clips, runs, face)
            row = {
                "key": key,
                "name": candidate.name,
                "live": candidate.live,
                "figures": {name: [_json(v) for v in pair] for name, pair in figures.items()},
                "cpu_seconds": round(time.process_time() - started, 1),
            }
        result["rows"].append({**row, "told": candidate.told, "group": candidate.group})
        save(result)
    return result


def _clip_name(clip: EvaluationClip) -> str:
    return f"{clip.set}/{clip.name}" + (f" ({clip.style})" if clip.style else "")


def _json(value: float) -> float | None:
    """A figure as JSON holds it: six digits, None for none."""
    return None if math.isnan(value) else float(f"{value:.6g}")


def cell(row: Mapping[str, Any], name: str, digits: int) -> str:
    """A figure with its interval, as text."""
    mean, half = row["figures"][name]
    if mean is None:
        return "-"
    scale = SCALE.get(name, 1.0)
    text = f"{scale * mean:.{digits}f}"
    # Runs that differ by rounding alone do not differ.
    apart = half is not None and half > 1e-9 * max(abs(mean), 1e-9)
    return f"{text} ± {scale * half:.{digits}f}" if apart else text


def markdown(result: Mapping[str, Any], columns: Mapping[str, tuple[str, int, int]]) -> str:
    """Rows of a result as a Markdown table, by group."""
    arrows = {-1: " ↓", 0: "", 1: " ↑"}
    lines = [
        "| | " + " | ".join(title + arrows[way] for title, way, _ in columns.values()) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    group = None
    for row in result["rows"]:
        if row["group"] != group:
            group = row["group"]
            lines.append(f"| *{group}* |" + " |" * len(columns))
        cells = " | ".join(cell(row, name, digits) for name, (_, _, digits) in columns.items())
        lines.append(f"| {name_of(row)} | {cells} |")
    return "\n".join(lines)


def name_of(row: Mapping[str, Any]) -> str:
    """What a row is called on a page: a bundle with the hash that it had when it was measured."""
    if row["group"] != "bundles":
        return str(row["told"])
    return f"{row['told']} (bundle {str(row['key']).split()[1][:12]})"


def read_result(path: Path) -> dict[str, Any]:
    """A result that was written as JSON.

    Raises:
        TableError: not one.
    """
    try:
        result = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise TableError(f"{path}: not JSON") from None
    if not isinstance(result, dict) or result.get("kind") != KIND:
        raise TableError(f"{path}: not a table of `posetalk evaluate`")
    if result.get("format") != FORMAT:
        raise TableError(f"{path}: written by another version, measure again")
    return result
