"""What the rows of the paper's table measure: bundles, and predictors that need no model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.rig import BUILTIN_ID
from training.evaluation.batch_rollout import Rollout, rollout
from training.evaluation.clips import EvaluationClip
from training.evaluation.paper_table.baselines import Baselines, load_baselines

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
CHANCE = "chance"
"""The row of labels that belong to other clips."""

Array = NDArray[np.floating[Any]]
MakesMotion = Callable[[Sequence[EvaluationClip], int], Array]
"""(clips, runs) -> (clips, runs, n, D) raw motion."""


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
        from training.evaluation.paper_table.reference import encoded_style, paper_motion

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
        from training.evaluation.paper_table.reference import heard_columns

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
