"""`posetalk bench curves`: quality against steps, lookahead, hop, context, rule, guidance.

Streams clips of held-out speech with many seeds at once through the product's own sessions, one
setting after another, and writes every figure as JSON, then the plots and `docs/results.md`.  A run
that was cut off, or asked for more, measures only what is missing; other weights start afresh.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.harness.environment import environment
from benchmarks.quality.curve_settings import CURVES, CurveSetting, base_of, curve_settings
from head.errors import PosetalkError
from head.files.json_file import write_json

FORMAT = 1
KIND = "curves"
SEEDS = 10
"""Seeds that speak each clip."""
RESULTS = Path("docs/results")


@dataclass(frozen=True)
class Curves:
    """Measure a bundle at many settings, and write the results page."""

    bundle: str = "starter"
    """A bundle by name or folder, with weights for torch."""
    only: tuple[str, ...] = ()
    """Curves to measure; all of them if none: modes, steps, lookahead, hop, context, rule,
    guidance."""
    sets: tuple[str, ...] = ("sentences", "known-voice")
    """Evaluation sets."""
    clips: int = 3
    """Clips of each set."""
    frames: int = 100
    """Frames of each clip."""
    fresh: bool = False
    """Measure everything anew."""
    json: Path = RESULTS / "curves.json"
    """Where the figures go, and where earlier ones are."""
    page: Path = Path("docs/results.md")
    """The page; its table comes from table.json beside the figures."""
    threads: int = 1


class CurvesError(PosetalkError, ValueError):
    """Curves that cannot be measured; one line."""


def check(command: Curves) -> None:
    """Judge the options before any work is done.

    Raises:
        CurvesError: what cannot be.
    """
    for name in command.only:
        if name not in CURVES:
            raise CurvesError(f"no curve {name!r}: there are {', '.join(CURVES)}")
    if command.json.suffix != ".json" or command.page.suffix != ".md":
        raise CurvesError("figures are written as .json and the page as .md")


def earlier(path: Path, head: Mapping[str, Any]) -> dict[str, Any]:
    """Figures by key that an earlier run with the same weights and clips left in `path`.

    Raises:
        CurvesError: another kind of file is there.
    """
    if not path.is_file():
        return {}
    try:
        result = json.loads(path.read_text("utf-8"))
        kind = result["kind"]
    except (ValueError, KeyError, TypeError):
        raise CurvesError(f"{path} is no file of curves: move it, or choose another name") from None
    if kind != KIND:
        raise CurvesError(f"{path} holds {kind!r}: choose another name")
    names = ("format", "bundle_hash", "clips", "frames", "live")
    same = all(result.get(name) == head[name] for name in names)
    figures: dict[str, Any] = result["figures"]
    return figures if same else {}


def measure(command: Curves) -> dict[str, Any]:
    """Measure what is missing; the file is written after every setting.

    Raises:
        CurvesError: options or a file that cannot be used.
        ValueError, OSError: no data, or a bundle that cannot be read or measured.
    """
    from diffposetalk.bundle.bundle import BundleError, load_bundle
    from head.rig import builtin_head
    from stream.backends.registry import load_backend
    from training.evaluation.clips import held_out_clips
    from training.evaluation.face import Face
    from training.evaluation.live_figures import counts, live_figures

    check(command)
    bundle = load_bundle(command.bundle)
    backend = load_backend("torch", command.bundle, threads=command.threads)
    if backend.head_id != builtin_head().id:
        raise BundleError(f"{command.bundle} animates {backend.head_id!r}, not the labels' head")
    clips = held_out_clips(command.sets, command.clips, command.frames)
    face = Face.of(builtin_head())
    live = asdict(backend.spec.live)
    head: dict[str, Any] = {
        **environment(KIND),
        "format": FORMAT,
        "bundle": Path(command.bundle).name,
        "bundle_hash": backend.bundle_hash,
        "live": live,
        "T_p": backend.spec.T_p,
        "T_w": backend.spec.T_w,
        "clips": [f"{clip.set}/{clip.name} ({clip.style})" for clip in clips],
        "frames": command.frames,
        **counts(face, clips),
    }
    figures = {} if command.fresh else dict(earlier(command.json, head))
    base = base_of(live, backend.spec.T_p)
    spec = backend.spec
    curves = curve_settings(base, spec.T_p, spec.T_w, spec.diffusion.steps)
    label = live_figures(face, _stack([clip.label[None] for clip in clips]), clips, base.hop)
    result = {
        **head,
        "base": base.key,
        "curves": {name: [[x, s.key] for x, s in points] for name, points in curves.items()},
        "label": _json(label),
        "figures": figures,
    }
    # What the page needs most comes first, so that a run that is cut off leaves most of it.
    wanted = [s for name in command.only or CURVES for _, s in curves[name]]
    missing = [s for s in dict.fromkeys(wanted) if s.key not in figures]
    for number, setting in enumerate(missing, 1):
        started, cpu = time.monotonic(), time.process_time()
        motion = sample(backend, clips, setting, bundle)
        found = live_figures(face, motion, clips, setting.hop)
        figures[setting.key] = {
            "setting": asdict(setting),
            "seeds": SEEDS,
            "values": _json(found),
            "cpu_seconds": round(time.process_time() - cpu, 1),
        }
        write(command.json, result)
        print(
            f"{number}/{len(missing)}  {setting.key}: LVE {found['lve'][0]:.2f} mm  "
            f"({time.monotonic() - started:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
    write(command.json, result)
    return result


def sample(backend: Any, clips: Sequence[Any], setting: CurveSetting, bundle: Any = None) -> Any:
    """Motion of all clips and seeds at a setting: (clips, seeds, n, D) raw.

    Args:
        bundle: that `backend` runs; paper mode needs it.
    """
    from stream.core.options import SessionOptions
    from training.evaluation.batch_rollout import Rollout, rollout

    rollouts = [Rollout(c.samples, c.style, seed) for c in clips for seed in range(SEEDS)]
    if setting.sampler == "live":
        options = SessionOptions(
            hop=setting.hop,
            lookahead=setting.lookahead,
            steps=setting.steps,
            window_rule=setting.window_rule,
            audio_guidance=setting.audio_guidance,
            style_guidance=setting.style_guidance,
        )
        found = rollout(backend, rollouts, options, context=setting.context)
    else:
        from training.evaluation.paper_table.reference import paper_motion

        steps = setting.steps if setting.sampler == "dpm++" else None
        found = paper_motion(
            bundle, rollouts, setting.sampler, steps, setting.audio_guidance, setting.style_guidance
        )
    return found.reshape(len(clips), SEEDS, *found.shape[1:])


def _stack(labels: Sequence[Any]) -> Any:
    import numpy as np

    return np.stack(labels)


def _json(values: Mapping[str, tuple[float, float]]) -> dict[str, list[float | None]]:
    """Figures as JSON holds them: five digits, None for none."""
    return {
        name: [None if math.isnan(value) else float(f"{value:.5g}") for value in pair]
        for name, pair in values.items()
    }


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write JSON beside the old file, then put it in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured and written, 2 wrong usage; what is interrupted is not lost.

    Raises what `benchmarks.__main__` explains.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy, whose idle threads spin
    command = tyro.cli(Curves, prog="posetalk bench curves", args=arguments)
    from benchmarks.pages.results import write_page

    result = measure(command)
    write_page(command.page, result, command.json.with_name("table.json"), plots=True)
    print(f"wrote {command.json} and {command.page}")
    return 0
