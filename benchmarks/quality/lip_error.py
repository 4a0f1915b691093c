"""Quality of a point of the grid: what is seen of its speech, and its lips beside 500 steps'.

Everybody has the small synthetic set of `benchmarks.quality.own_voices`: on it closures, vowels,
rounding, life and LVE are measured. With the folder named by POSETALK_DATA there is more:

LVE = largest distance of a lip vertex from the label's, mean over frames, in millimetres, of
held-out clips with phone times, each spoken with ten seeds.  Few steps are also set beside the 500
ancestral steps of the trained diffusion in paper mode, as 500 steps at every hop would take hours.
"""

from __future__ import annotations

import json
import math
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
    from benchmarks.harness.server_process import OpenedModel
    from stream.backends.protocol import FloatArray
    from training.evaluation.batch_rollout import Rollout
    from training.evaluation.clips import EvaluationClip

SEEDS = 10
CLIPS, CLIP_FRAMES = 6, 120
SET, STYLE = "sentences", "neutral"
SPOKEN_SEEDS = 3
"""Seeds of the synthetic set, whose clips are twice as many."""
REFERENCE_CLIPS, REFERENCE_SEEDS, REFERENCE_FRAMES = 3, 2, 100
PATIENCE_SECONDS = 1800.0


@dataclass(frozen=True)
class Amount:
    """How much is measured: clips of at most so many frames, and seeds."""

    clips: int = CLIPS
    frames: int = CLIP_FRAMES
    seeds: int = SEEDS


def has_data() -> bool:
    """Whether there are held-out clips beside the synthetic ones."""
    return bool(os.environ.get("POSETALK_DATA"))


def held_out(amount: Amount) -> list[EvaluationClip]:
    """Clips of voices that training never heard, all of one length."""
    from training.corpora.utterances import CorpusError
    from training.evaluation.clips import ClipError, held_out_clips

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
    from training.evaluation.face import Face
    from training.evaluation.paper_table.metrics import lip_vertex_error

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

    opened = open_model(setting)
    found: dict[str, Any] = {"live": live_settings(opened.session), "spoken": spoken(opened)}
    if has_data():
        clips = held_out(amount)
        motion = rollout(opened.backend, rollouts_of(clips, amount.seeds), opened.options)
        errors = lip_errors(opened.backend.head_id, motion, clips)
        found |= {"lve_mm": mean(errors), "of": asdict(amount)}
    return found


def spoken(opened: OpenedModel) -> dict[str, Any]:
    """Figures of the synthetic set, [mean, half of the 95 % interval over seeds], and what it is.

    None stands where there is no figure.
    """
    from benchmarks.quality import own_voices
    from head.rig import load_head
    from training.evaluation.batch_rollout import rollout
    from training.evaluation.spoken_figures import spoken_figures

    clips = own_voices.clips()
    motion = rollout(opened.backend, rollouts_of(clips, SPOKEN_SEEDS), opened.options)
    runs = motion.reshape(len(clips), SPOKEN_SEEDS, *motion.shape[1:])
    told = spoken_figures(load_head(opened.backend.head_id), runs, clips, opened.session.hop)
    figures = {
        name: [None if math.isnan(value) else round(value, 4) for value in pair]
        for name, pair in told.items()
    }
    of = {"clips": len(clips), "frames": own_voices.FRAMES, "seeds": SPOKEN_SEEDS}
    return {"figures": figures, "of": {**of, "voices": own_voices.voices()}}


def in_words(quality: Mapping[str, Any]) -> str:
    """The quality of a point in a line."""
    figures = quality["spoken"]["figures"]
    shown = {name: "none" if (v := figures[name][0]) is None else f"{v:.2f}" for name in figures}
    line = (
        f"P/B/M closed {shown['closures']} %, vowels open {shown['vowels_open']} %, rounded "
        f"{shown['rounded']} %, jaw r {shown['jaw_r']}, head's range {shown['head_range']} of the "
        f"label's, blinks {shown['blinks']} a minute, LVE {shown['lve']} mm"
    )
    return line + (f"; held out LVE {quality['lve_mm']:.3f} mm" if "lve_mm" in quality else "")


def reference(setting: Setting, steps: Sequence[int]) -> Iterator[dict[str, Any]]:
    """All ancestral steps, and few ones, in paper mode: {steps: LVE}, as they come."""
    from diffposetalk.bundle.bundle import load_bundle
    from training.evaluation.paper_table.reference import paper_motion

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
