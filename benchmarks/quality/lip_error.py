"""Quality of a point of the grid: how far its lips are from the label's, beside 500 steps'.

LVE = largest distance of a lip vertex from the label's, mean over frames, in millimetres, of
held-out clips with phone times, each spoken with ten seeds.  Few steps are also set beside the 500
ancestral steps of the trained diffusion in paper mode, as 500 steps at every hop would take hours.

The clips come from the folder named by POSETALK_DATA; without it there is no quality to measure.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness.processes import BenchmarkError, Helper, answer
from benchmarks.harness.server_process import live_settings, open_model
from benchmarks.harness.setting import Setting

if TYPE_CHECKING:
    from stream.backends.protocol import FloatArray
    from training.evaluation.batch_rollout import Rollout
    from training.evaluation.clips import EvaluationClip

SEEDS = 10
CLIPS, CLIP_FRAMES = 6, 120
SET, STYLE = "sentences", "neutral"
REFERENCE_CLIPS, REFERENCE_SEEDS, REFERENCE_FRAMES = 3, 2, 100
PATIENCE_SECONDS = 1800.0


@dataclass(frozen=True)
class Amount:
    """How much is measured: clips of at most so many frames, and seeds."""

    clips: int = CLIPS
    frames: int = CLIP_FRAMES
    seeds: int = SEEDS


def missing() -> str | None:
    """Why there can be no quality here, or None."""
    if not os.environ.get("POSETALK_DATA"):
        return "POSETALK_DATA names no folder with held-out clips"
    return None


def held_out(amount: Amount) -> list[EvaluationClip]:
    """Clips of voices that training never heard, all of one length."""
    from training.evaluation.clips import ClipError, held_out_clips
    from training.speech.corpora import CorpusError

    try:
        return held_out_clips([SET], amount.clips, amount.frames, [STYLE])
    except (ClipError, CorpusError) as error:
        raise BenchmarkError(f"quality: {error}") from None


def rollouts_of(clips: Sequence[EvaluationClip], seeds: int) -> list[Rollout]:
    """Every clip with every seed, clip by clip."""
    from training.evaluation.batch_rollout import Rollout

    return [Rollout(clip.samples, STYLE, seed) for clip in clips for seed in range(seeds)]


def lip_errors(head_id: str, motion: FloatArray, clips: Sequence[EvaluationClip]) -> list[float]:
    """LVE in millimetres of (rollouts, n, D) raw motion, as many rollouts for every clip."""
    from head.rig import load_head
    from training.evaluation.paper_metrics import Face, lip_vertex_error

    face = Face.of(load_head(head_id))
    labels = [face.vertices(clip.label) for clip in clips]
    seeds = len(motion) // len(clips)
    errors = []
    for row, own in enumerate(motion):
        error = lip_vertex_error(face.vertices(own), labels[row // seeds], face.lips)
        errors.append(1000.0 * float(error.mean()))
    return errors


def point(setting: Setting, amount: Amount) -> dict[str, Any]:
    """The quality of one point of the grid; all clips and seeds share their model calls."""
    from training.evaluation.batch_rollout import rollout

    opened, clips = open_model(setting), held_out(amount)
    motion = rollout(opened.backend, rollouts_of(clips, amount.seeds), opened.options)
    errors = lip_errors(opened.backend.head_id, motion, clips)
    return {"lve_mm": mean(errors), "live": live_settings(opened.session), "of": asdict(amount)}


def reference(setting: Setting, steps: Sequence[int]) -> Iterator[dict[str, Any]]:
    """All ancestral steps, and few ones, in paper mode: {steps: LVE}, as they come."""
    from diffposetalk.bundle.bundle import load_bundle
    from training.evaluation.reference import paper_motion

    amount = Amount(REFERENCE_CLIPS, REFERENCE_FRAMES, REFERENCE_SEEDS)
    bundle, clips = load_bundle(setting.bundle), held_out(amount)
    every = bundle.spec.diffusion.steps
    found: dict[str, float] = {}
    for count in (*steps, every):
        motion = paper_motion(
            bundle,
            rollouts_of(clips, amount.seeds),
            "ancestral" if count == every else "dpm++",
            count,
        )
        errors = lip_errors(bundle.head_id, motion, clips)
        found[str(count)] = mean(errors)
        yield {"progress": f"{count} steps", "reference": found}
    live = {"audio_guidance": bundle.spec.live.audio_guidance, "bundle_hash": bundle.hash}
    yield {"reference": found, "of": asdict(amount), "live": live}


def mean(values: Sequence[float]) -> float:
    """The mean of millimetres, rounded to a tenth of a micrometre."""
    return round(float(np.mean(values)), 4)


def measure(setting: Setting, amount: Amount | None = None) -> dict[str, Any]:
    """The quality of one point, measured in a fresh process."""
    request = {"setting": asdict(setting), "amount": asdict(amount or Amount())}
    with Helper("benchmarks.quality.lip_error", request) as helper:
        return helper.receive(PATIENCE_SECONDS)


def measure_reference(setting: Setting, steps: Sequence[int]) -> dict[str, Any]:
    """`reference`, in a fresh process."""
    with Helper(
        "benchmarks.quality.lip_error", {"setting": asdict(setting), "steps": list(steps)}
    ) as helper:
        while True:
            found = helper.receive(PATIENCE_SECONDS)
            if "progress" not in found:
                return found
            print(f"quality: {found['progress']}", file=sys.stderr, flush=True)


def work(request: Mapping[str, Any]) -> None:
    """Answer with what is asked for."""
    setting = Setting(**request["setting"])
    if "steps" in request:
        for found in reference(setting, request["steps"]):
            answer(**found)
    else:
        answer(**point(setting, Amount(**request["amount"])))


def main() -> int:
    """`python -m benchmarks.quality.lip_error '{"setting": ..., ...}'`."""
    from posetalk.__main__ import explain

    try:
        work(json.loads(sys.argv[1]))
    except Exception as error:
        answer(error=explain(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
