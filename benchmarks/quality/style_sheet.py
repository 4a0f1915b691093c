"""Every style side by side: label, live starter and the 500-step sampler, with sound and phones.

    posetalk bench styles -o docs/starter_styles.jpg

One held-out sentence; a block a style: the gap between the lips over the waveform with its phones,
the turning of the head below it, and stills of the three at the same four moments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.stills import stills
from head.geometry.measure import lip_gap
from head.rig import builtin_head
from stream.backends.registry import load_backend
from stream.frames import FPS, SAMPLE_RATE
from training.evaluation.batch_rollout import Rollout, rollout
from training.evaluation.clips import EvaluationClip, held_out_clips
from training.evaluation.motion_metrics import vertices
from training.labels.phones import SILENCE

FRAMES = 100
MOMENTS = 4
STILL = 150
"""Pixels of a still."""
WHO = ("label", "live", "500 steps")
COLOURS = ("#222222", "#d1493f", "#3d74b8")

Array = NDArray[np.float32]


def motions(bundle: str, clips: dict[str, EvaluationClip]) -> dict[str, tuple[Array, Array, Array]]:
    """Motion (n, 54) of every style: the label's, the live session's, the 500-step sampler's."""
    from diffposetalk.paper_mode.pipeline import PaperClip, PaperSettings, animate_clips

    names = list(clips)
    backend = load_backend("torch", bundle)
    live = rollout(backend, [Rollout(clips[name].samples, name, 0) for name in names])
    slow = animate_clips(
        bundle, [PaperClip(clips[name].samples, style=name) for name in names], PaperSettings()
    )
    return {name: (clips[name].label, live[i], slow[i]) for i, name in enumerate(names)}


def moments(gap: NDArray[np.floating]) -> list[int]:
    """Frames worth a look: the widest open ones and the tightest closures between them."""
    inner = slice(8, len(gap) - 8)
    chosen: list[int] = []
    for sign in (-1, 1):
        order = np.argsort(sign * gap[inner]) + 8
        far = [int(k) for k in order if sign < 0 or gap[max(0, k - 4) : k + 5].max() > 4.0]
        for frame in far:
            if len(chosen) >= (MOMENTS // 2 if sign < 0 else MOMENTS):
                break
            if all(abs(frame - other) > 6 for other in chosen):
                chosen.append(frame)
    return sorted(chosen)


def draw(told: dict[str, tuple[Array, Array, Array]], clip: EvaluationClip, output: Path) -> None:
    """The whole sheet as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    head = builtin_head()
    columns = min(2, len(told))
    rows = -(-len(told) // columns)
    figure = plt.figure(figsize=(17, 3.5 * rows + 0.3), dpi=80)
    grid = figure.add_gridspec(
        rows,
        columns,
        hspace=0.2,
        wspace=0.06,
        left=0.03,
        right=0.995,
        top=1 - 0.4 / (3.5 * rows),
        bottom=0.02,
    )
    with stills(STILL) as camera:
        for index, (name, runs) in enumerate(told.items()):
            gaps = [1e3 * np.asarray(lip_gap(head, vertices(head, run))) for run in runs]
            at = moments(gaps[0])
            block = grid[divmod(index, columns)].subgridspec(
                3, 2, width_ratios=(1.25, 1), hspace=0.06, wspace=0.03
            )
            curve = figure.add_subplot(block[:2, 0])
            _lips(curve, name, gaps, at, clip)
            _head(figure.add_subplot(block[2, 0]), runs)
            for row, (who, run) in enumerate(zip(WHO, runs, strict=True)):
                row_of_stills = np.concatenate([camera.draw(run[k]) for k in at], 1)
                picture = figure.add_subplot(block[row, 1])
                picture.imshow(row_of_stills)
                picture.set_xticks([])
                picture.set_yticks([])
                picture.text(
                    4,
                    4,
                    who,
                    color=COLOURS[row],
                    fontsize=7,
                    va="top",
                    bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
                )
    figure.savefig(output, pil_kwargs={"quality": 80} if output.suffix == ".jpg" else {})
    plt.close(figure)


def _lips(axes: Any, name: str, gaps: list[Any], at: list[int], clip: EvaluationClip) -> None:
    """Gap curves over the waveform, with phones above and the stills' moments."""
    times = (np.arange(FRAMES) + 0.5) / FPS
    sound = clip.samples / (np.quantile(np.abs(clip.samples), 0.995) + 1e-9)
    seconds = np.arange(len(sound))[::16] / SAMPLE_RATE
    wave = -2.5 + 1.2 * sound[::16].clip(-1, 1)
    axes.fill_between(seconds, wave, -2.5, color="#c8c8c8", linewidth=0)
    for who, gap, colour in zip(WHO, gaps, COLOURS, strict=True):
        axes.plot(times, gap, color=colour, linewidth=1.4, label=who)
    for phone in clip.phones:
        if phone.name != SILENCE:
            axes.text(phone.start + phone.length / 2, 20.4, phone.name, fontsize=5, ha="center")
    for frame in at:
        axes.axvline(times[frame], color="#999999", linewidth=0.6, linestyle=":")
    axes.set_xlim(0, FRAMES / FPS)
    axes.set_ylim(-5, 22)
    axes.set_xticks([])
    axes.tick_params(labelsize=6)
    axes.set_title(f"{name}: lips apart, mm", fontsize=8, loc="left", pad=2)
    axes.legend(fontsize=6, loc="lower right", frameon=False, ncols=3)


def _head(axes: Any, runs: tuple[Array, Array, Array]) -> None:
    """Nodding and turning of the head, degrees."""
    times = (np.arange(FRAMES) + 0.5) / FPS
    for run, colour in zip(runs, COLOURS, strict=True):
        degrees = np.degrees(run[:, 50:52])
        axes.plot(times, degrees[:, 0], color=colour, linewidth=1.0)
        axes.plot(times, degrees[:, 1], color=colour, linewidth=1.0, linestyle="--")
    axes.set_xlim(0, FRAMES / FPS)
    axes.set_ylim(-12, 12)
    axes.tick_params(labelsize=6)
    axes.text(0.02, 8, "head: nod (line), turn (dashes), degrees", fontsize=6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Animate, draw, write."""
    parser = argparse.ArgumentParser(prog="posetalk bench styles", description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/starter_styles.jpg"))
    parser.add_argument("--bundle", default="starter")
    parser.add_argument("--styles", nargs="*", help="all of the bundle's if not given")
    options = parser.parse_args(arguments)
    names = options.styles or list(load_backend("torch", options.bundle).styles)
    print(f"{len(names)} styles, 500 steps each: minutes", file=sys.stderr, flush=True)
    clips = {name: held_out_clips(["sentences"], 1, FRAMES, [name])[0] for name in names}
    draw(motions(options.bundle, clips), clips[names[0]], options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e3:.0f} kB")
    return 0
