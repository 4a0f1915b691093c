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
from numpy.typing import NDArray

from benchmarks.processes import BenchmarkError, Helper, answer
from benchmarks.setting import Setting
from benchmarks.subject import live_settings, open_model
from stream.frames import FRAME_SAMPLES, Frame

if TYPE_CHECKING:
    from head.rig import Head
    from stream.backends.protocol import Backend
    from stream.session import SessionOptions
    from training.evaluate import Clip

SEEDS = 10
CLIPS, CLIP_FRAMES = 6, 120
REFERENCE_SET = "picovoice_s2i"
REFERENCE_CLIPS, REFERENCE_SEEDS, REFERENCE_FRAMES = 2, 4, 96
PATIENCE_SECONDS = 1800.0

Floats = NDArray[np.float32]


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
    """Held-out clips of voices that training never heard, long enough, cut to the same length."""
    from training.corpora import CorpusError, held_out_voices
    from training.evaluate import read_clip

    try:
        _, held = held_out_voices()
    except CorpusError as error:
        raise BenchmarkError(f"quality: {error}") from None
    chosen = [u for u in held if u.speaker_set == REFERENCE_SET]
    clips: list[Clip] = []
    for number, utterance in enumerate(chosen):
        if len(clips) == amount.clips:
            break
        if utterance.duration * 25 >= amount.frames:
            clips.append(_cut(read_clip(utterance, number, None), amount.frames))
    if not clips:
        raise BenchmarkError(f"quality: no held-out clip of {amount.frames} frames")
    return clips


def _cut(clip: Clip, frames: int) -> Clip:
    from dataclasses import replace

    return replace(
        clip, samples=clip.samples[: frames * FRAME_SAMPLES], label=clip.label[:frames]
    )


def speak(backend: Backend, options: SessionOptions, samples: Floats, seeds: int) -> Floats:
    """One clip with several seeds, all in the same batches: (seeds, n, D) raw motion."""
    from stream.batching import run_batch
    from stream.session import Session
    from training.evaluate import STYLE

    style = STYLE if STYLE in backend.styles else None
    sessions = [Session(backend, options=options, style=style, seed=s) for s in range(seeds)]
    frames: list[list[Frame]] = [[] for _ in sessions]
    for session in sessions:
        session.append(samples)
        session.end_audio()
    while sessions[0].pending:
        for own, made in zip(frames, run_batch(backend, [(s, 1) for s in sessions]), strict=True):
            if isinstance(made, Exception):
                raise made
            own += made
    return np.stack([[frame.motion for frame in own] for own in frames])


def lip_error(head: Head, motion: Floats, label: Floats) -> float:
    """LVE in millimetres of (n, D) motion against its label."""
    from training.metrics import vertices

    n, lips = min(len(motion), len(label)), np.asarray(head.regions["lips"])
    gap = vertices(head, motion[:n])[:, lips] - vertices(head, label[:n])[:, lips]
    return float(1000.0 * np.linalg.norm(gap, axis=-1).max(-1).mean())


def errors(
    backend: Backend, options: SessionOptions, clips: Sequence[Clip], seeds: int
) -> list[float]:
    """LVE of every clip and seed."""
    from head.rig import builtin_head

    head = builtin_head()
    return [
        lip_error(head, motion, clip.label)
        for clip in clips
        for motion in speak(backend, options, clip.samples, seeds)
    ]


def point(setting: Setting, amount: Amount) -> dict[str, Any]:
    """The quality of one point of the grid."""
    opened = open_model(setting)
    found = errors(opened.backend, opened.options, held_out(amount), amount.seeds)
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
        found[str(count)] = mean(errors(backend, whole, clips, amount.seeds))
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
