"""The paper's table 1 for any set of bundles, beside predictors that need no model.

Every row is measured on the same clips of held-out speech, each labelled in a style of its own, at
the bundle's own live settings; every figure is a mean of runs that differ in their noise alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.rig import BUILTIN_ID, builtin_head
from training.evaluation.baselines import Baselines, load_baselines
from training.evaluation.batch_rollout import Rollout, rollout
from training.evaluation.clips import EvaluationClip
from training.evaluation.paper_metrics import ClipFigures, Face, measure_runs, summarise

FORMAT = 1
KIND = "paper table"
BASELINES, BUNDLES, BUDGET = "baselines.npz", "bundles", "budget.json"
ORDER = (
    "full",
    "no-geometric-losses",
    "no-alignment-mask",
    "no-guidance",
    "no-style",
    "regression",
)
"""Networks of a folder that `training.paper.ablation_runs` filled, as the table lists them."""

NO_NETWORK, SMALL_BUDGET = "no network", "one small budget"
"""Headings of rows."""

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
"""Factors from the unit of `training.evaluation.paper_metrics` to that of the heading."""

Array = NDArray[np.floating[Any]]
MakesMotion = Callable[[Sequence[EvaluationClip], int], Array]
"""(clips, runs) -> (clips, runs, n, D) raw motion."""
CHANCE = "chance"
"""The row of labels that belong to other clips."""
Progress = Callable[[str], None]


class TableError(PosetalkError, ValueError):
    """A table that cannot be made; one line."""


@dataclass(frozen=True)
class Candidate:
    """What a row measures.

    Attributes:
        name: short; told: in the table; group: heading under which it stands.
        key: changes whenever its figures may.
        live: its settings in words.
        motion: makes its motion.
    """

    name: str
    told: str
    group: str
    key: str
    live: str
    motion: MakesMotion


@dataclass(frozen=True)
class Mode:
    """How bundles are sampled: `live`, at their live defaults, or `paper`, whole clips at once.

    Attributes:
        sampler, steps, audio_guidance, style_guidance: of paper mode; None is the bundle's.
    """

    kind: Literal["live", "paper"] = "live"
    sampler: Literal["ancestral", "dpm++"] = "ancestral"
    steps: int | None = None
    audio_guidance: float | None = None
    style_guidance: float | None = None

    @property
    def told(self) -> str:
        """The mode in words; empty for `live`."""
        if self.kind == "live":
            return ""
        words = [f"paper mode, {self.sampler}"]
        words += [f"{self.steps} steps"] if self.steps else []
        scales = (("audio", self.audio_guidance), ("style", self.style_guidance))
        return ", ".join(words + [f"{name} guidance {w:g}" for name, w in scales if w is not None])


def of_bundle(
    name: str, told: str, group: str, head: str = BUILTIN_ID, mode: Mode | None = None
) -> Candidate:
    """A bundle by name or folder, in the clip's style.

    A named style that it does not have is its first; unnamed ones are asked of its style encoder.

    Raises:
        TableError: it animates another head than the labels'.
        BundleError: it cannot be read.
    """
    from diffposetalk.bundle.bundle import load_bundle
    from stream.backends.registry import load_backend

    mode = mode or Mode()
    bundle = load_bundle(name)
    if bundle.head_id != head:
        raise TableError(f"{name} animates head {bundle.head_id!r}, the labels are of {head!r}")
    live = bundle.spec.live

    def motion(clips: Sequence[EvaluationClip], runs: int) -> Array:
        from training.evaluation.reference import encoded_style, paper_motion

        rollouts = []
        for clip in clips:
            named, other = clip.style or None, clip.style_motion
            style = named if other is None else encoded_style(bundle, other)
            rollouts += [Rollout(clip.samples, style, seed, clip.shape) for seed in range(runs)]
        if mode.kind == "paper":
            found = paper_motion(
                bundle, rollouts, mode.sampler, mode.steps, mode.audio_guidance, mode.style_guidance
            )
        elif live.lip_noise == live.head_noise == live.face_noise == 0.0:
            one = _runs(rollout(load_backend("torch", name), rollouts[::runs]), len(clips))
            return np.repeat(one, runs, axis=1)
        else:
            found = rollout(load_backend("torch", name), rollouts)
        return _runs(found, len(clips))

    settings = mode.told or (
        f"H {live.hop}, R {live.lookahead}, K {live.steps}, {live.window_rule}, "
        f"guidance {live.audio_guidance:g} and {live.style_guidance:g}"
    )
    key = f"{bundle.hash} {mode} {dataclasses.asdict(live)}"
    return Candidate(name, told, group, key, settings, motion)


def of_fake() -> Candidate:
    """The loudness follower of `--backend fake`, which no data was fitted to."""

    def motion(clips: Sequence[EvaluationClip], runs: int) -> Array:
        from stream.backends.registry import load_backend

        rollouts = [Rollout(clip.samples, None, 0) for clip in clips]
        one = _runs(rollout(load_backend("fake"), rollouts), len(clips))
        return np.repeat(one, runs, axis=1)

    return Candidate("fake", "loudness follower, shipped", NO_NETWORK, "", "", motion)


def _runs(motion: Array, clips: int) -> Array:
    """(clips * R, n, D) as (clips, R, n, D)."""
    return motion.reshape(clips, -1, *motion.shape[1:])


def of_baselines(baselines: Baselines) -> list[Candidate]:
    """The two predictors that were fitted without a network."""
    group = NO_NETWORK
    key = str([float(baselines.mean.sum()), float(baselines.weights.sum())])

    def still(clips: Sequence[EvaluationClip], runs: int) -> Array:
        each = [baselines.mean_motion(len(clip.label)) for clip in clips]
        return np.repeat(np.stack(each)[:, None], runs, axis=1)

    def follow(clips: Sequence[EvaluationClip], runs: int) -> Array:
        from training.evaluation.reference import heard_columns

        each = [baselines.follow(heard_columns(clip.samples)) for clip in clips]
        return np.repeat(np.stack(each)[:, None], runs, axis=1)

    return [
        Candidate("mean", "mean motion", group, key, "", still),
        Candidate("loudness", "loudness follower, fitted", group, key, "", follow),
    ]


def of_chance() -> Candidate:
    """The label of the next clip: real motion that has nothing to do with the sound."""

    def motion(clips: Sequence[EvaluationClip], runs: int) -> Array:
        each = [clip.label for clip in (*clips[1:], clips[0])]
        return np.repeat(np.stack(each)[:, None], runs, axis=1)

    return Candidate(CHANCE, "label of another clip", NO_NETWORK, "", "", motion)


def candidates(
    bundles: Sequence[str], folder: Path | None, head: str = BUILTIN_ID, mode: Mode | None = None
) -> list[Candidate]:
    """Rows for bundles by name or folder, and for what `training.paper.ablation_runs` left in
    `folder`.

    Args:
        head: that the labels are of; the baselines know the built-in one alone.
        mode: of the bundles; the networks of `folder` are always sampled live.

    Raises:
        TableError: nothing to measure, a folder without networks, or another head.
        BundleError: a bundle that cannot be read.
    """
    out = [of_bundle(name, name, "bundles", head, mode) for name in bundles]
    if folder is not None:
        there = [name for name in ORDER if (folder / BUNDLES / name / "config.json").is_file()]
        if not there:
            raise TableError(f"no networks in {folder}: train them with posetalk train ablations")
        for name in there:
            path = folder / BUNDLES / name
            row = of_bundle(str(path), _told(path), SMALL_BUDGET, head)
            out.append(dataclasses.replace(row, name=name))
        out += of_baselines(load_baselines(folder / BASELINES))
    if not out:
        raise TableError("no bundle to measure")
    return [*out, *([of_fake()] if head == BUILTIN_ID else []), of_chance()]


def _told(bundle: Path) -> str:
    """The words for a network that `training.paper.ablation_runs` trained."""
    config = json.loads((bundle / "config.json").read_text("utf-8"))
    return str(config["provenance"]["variant"]["told"])


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
