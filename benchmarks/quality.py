"""Quality of a point of the grid: how far its lips are from the label's, beside 500 steps'.

LVE = largest distance of a lip vertex from the label's, mean over frames, in millimetres, of
held-out clips with phone times, each spoken with ten seeds that share their model calls.  The few
steps are also set beside the 500 ancestral steps of the trained diffusion in windows of one size,
with the same speech and first noise, since 500 steps a hop take hours.

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

from benchmarks.processes import BenchmarkError, Helper, answer
from benchmarks.setting import Setting
from benchmarks.subject import live_settings, open_model

if TYPE_CHECKING:
    from stream.backends.protocol import Backend
    from stream.session import SessionOptions
    from training.clips import Clip

SEEDS = 10
CLIPS, CLIP_FRAMES = 6, 120
SET, STYLE = "sentences", "neutral"
REFERENCE_CLIPS, REFERENCE_SEEDS, REFERENCE_FRAMES = 2, 4, 96
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


def held_out(amount: Amount) -> list[Clip]:
    """Clips of voices that training never heard, all of one length."""
    from training.clips import ClipError, held_out_clips
    from training.corpora import CorpusError

    try:
        return held_out_clips([SET], amount.clips, amount.frames, [STYLE])
    except (ClipError, CorpusError) as error:
        raise BenchmarkError(f"quality: {error}") from None


def lip_errors(
    backend: Backend, options: SessionOptions, clips: Sequence[Clip], seeds: int
) -> list[float]:
    """LVE in millimetres of every clip and seed; all of them share their model calls."""
    from head.rig import load_head
    from training.paper_metrics import Face, lip_vertex_error
    from training.rehearsal import Take, rehearse

    face = Face.of(load_head(backend.head_id))
    labels = [face.vertices(clip.label) for clip in clips]
    takes = [Take(clip.samples, STYLE, seed) for clip in clips for seed in range(seeds)]
    motion = rehearse(backend, takes, options).reshape(len(clips), seeds, -1, backend.spec.d_motion)
    return [
        1000.0 * float(lip_vertex_error(face.vertices(own), label, face.lips).mean())
        for label, spoken in zip(labels, motion, strict=True)
        for own in spoken
    ]


def point(setting: Setting, amount: Amount) -> dict[str, Any]:
    """The quality of one point of the grid."""
    opened = open_model(setting)
    found = lip_errors(opened.backend, opened.options, held_out(amount), amount.seeds)
    return {"lve_mm": mean(found), "live": live_settings(opened.session), "of": asdict(amount)}


def reference(setting: Setting, steps: Sequence[int]) -> Iterator[dict[str, Any]]:
    """500 ancestral steps, and few ones, in windows of one size: {steps: LVE}, as they come."""
    from stream.session import SessionOptions

    amount = Amount(REFERENCE_CLIPS, REFERENCE_FRAMES, REFERENCE_SEEDS)
    opened, clips = open_model(setting), held_out(amount)
    backend, spec = opened.backend, opened.backend.spec
    if backend.name != "torch":
        raise BenchmarkError("quality: the 500 steps are taken by the torch backend alone")
    size = min(amount.frames, spec.T_w)
    found: dict[str, float] = {}
    for count in (*steps, spec.diffusion.steps):
        whole = SessionOptions(hop=size, lookahead=0, steps=min(count, 20))
        if count == spec.diffusion.steps:
            take_every_step(backend)
        found[str(count)] = mean(lip_errors(backend, whole, clips, amount.seeds))
        yield {"progress": f"{count} steps", "reference": found}
    live = live_settings(opened.session) | {"hop": size, "lookahead": 0}
    yield {"reference": found, "of": asdict(amount), "live": live}


def take_every_step(backend: Any) -> None:
    """Let a torch backend sample by the trained diffusion's own ancestral steps."""
    import torch

    from diffposetalk.samplers import ancestral

    def every_step(denoise: Any, noise: Any, _steps: int, schedule: Any, **more: Any) -> Any:
        generator = torch.Generator(noise.device).manual_seed(0)
        fresh = _Fresh(noise, generator)
        return ancestral(denoise, noise, fresh, schedule, **more)  # type: ignore[arg-type]

    backend.sampler = every_step


class _Fresh:
    """Noise of each ancestral step, drawn when it is needed."""

    def __init__(self, like: Any, generator: Any) -> None:
        self._like, self._generator = like, generator

    def __getitem__(self, _step: int) -> Any:
        import torch

        like = self._like
        return torch.randn(like.shape, generator=self._generator, device=like.device)


def mean(values: Sequence[float]) -> float:
    """To the micrometre."""
    return round(float(np.mean(values)), 4)


def measure(setting: Setting, amount: Amount | None = None) -> dict[str, Any]:
    """The quality of one point, measured in a fresh process."""
    wish = {"setting": asdict(setting), "amount": asdict(amount or Amount())}
    with Helper("benchmarks.quality", wish) as helper:
        return helper.receive(PATIENCE_SECONDS)


def measure_reference(setting: Setting, steps: Sequence[int]) -> dict[str, Any]:
    """`reference`, in a fresh process."""
    with Helper("benchmarks.quality", {"setting": asdict(setting), "steps": list(steps)}) as helper:
        while True:
            found = helper.receive(PATIENCE_SECONDS)
            if "progress" not in found:
                return found
            print(f"quality: {found['progress']}", file=sys.stderr, flush=True)


def work(wish: Mapping[str, Any]) -> None:
    """Answer with what is wished for."""
    setting = Setting(**wish["setting"])
    if "steps" in wish:
        for found in reference(setting, wish["steps"]):
            answer(**found)
    else:
        answer(**point(setting, Amount(**wish["amount"])))


def main() -> int:
    """`python -m benchmarks.quality '{"setting": ..., ...}'`."""
    from posetalk.__main__ import explain

    try:
        work(json.loads(sys.argv[1]))
    except Exception as error:
        answer(error=explain(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
