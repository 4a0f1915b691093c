"""Pages of the blind test: a row a style, stills of the face beside curves on one scale."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.style_blind_curves import FRAME, STILLS, Array, Curves, numbers
from head.model import Head
from head.skinning import motion_to_parameters, skin
from training.metrics import FPS

ROWS = 4
"""Rows of a page: taller ones lose their small print where pictures are scaled down."""
STILL = 150
"""Pixels of a still."""
DPI = 100
WIDTH, ROW, TOP, FOOT, GAP = 1560, 308, 74, 24, 8
"""Pixels of a page: its width, a row, what is above and below the rows, between two rows."""
LEFT, CURVES, NUMBERS = 62, 716, 1388
"""Where a row's stills, curves and numbers begin."""
CURVES_END = 1364
INK, PALE, GRID = "#22262b", "#6b727b", "#e3e6ea"
LIPS, NOD, TURN, TILT = "#b03a2e", "#1f5fa8", "#e08a1e", "#3a8f5c"
BROWS, SMILE, EYES = "#7a4fa3", "#d1495b", "#4a5560"
FRAMING = np.array([0.0, 0.012, 0.0], np.float32)
"""Metres by which stills are moved, so that the chin is in the picture when the mouth is open."""
RULE = (
    f"Stills: the loudest frame of each {'eighth' if STILLS == 8 else 'part'} of the clip "
    "(dotted lines), the same in every row, left to right, top to bottom. "
    "Nod: + is down; turn: + is to the picture's right; tilt: + leans to its left."
)


@dataclass(frozen=True, eq=False)
class Row:
    """One style: how it is labelled, its curves, its stills (m, STILL, STILL, 3)."""

    label: str
    curves: Curves
    stills: NDArray[np.uint8]


def stills(renderer: Any, head: Head, motion: Array, at: Sequence[int]) -> NDArray[np.uint8]:
    """Pictures of frames of raw motion (n, 54), by a renderer of 2 * STILL squares."""
    out = []
    for frame in at:
        expression, rotation, jaw = motion_to_parameters(motion[frame].astype(np.float32))
        posed = skin(head, expression, global_rotation=rotation, jaw_pose=jaw)
        large = renderer.render(posed + FRAMING, zoom=1.5)
        out.append(large.reshape(STILL, 2, STILL, 2, 3).mean((1, 3)).round().astype(np.uint8))
    return np.stack(out)


def write_pages(
    rows: Sequence[Row],
    samples: NDArray[np.float32],
    at: Sequence[int],
    scale: Mapping[str, tuple[float, float]],
    title: str,
    stem: Path,
    *,
    figures: bool = True,
) -> list[Path]:
    """`stem`.jpg, or `stem`_1.jpg, `stem`_2.jpg, ... of ROWS rows each; the paths.

    Args:
        samples: the speech (640 n,) of all rows; at: frames of the stills.
        scale: lowest and highest value of each panel.
        figures: whether numbers stand beside the curves.
    """
    usual = np.mean([row.curves.lips for row in rows], axis=0)
    pages = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    out = []
    for number, own in enumerate(pages, 1):
        last = f" (page {number} of {len(pages)})" if len(pages) > 1 else ""
        ending = f"_{number}.jpg" if len(pages) > 1 else ".jpg"
        path = stem.with_name(stem.name + ending)
        _draw(own, samples, at, scale, usual if figures else None, title + last, path)
        out.append(path)
    return out


def _draw(
    rows: Sequence[Row], samples: NDArray[np.float32], at: Sequence[int],
    scale: Mapping[str, tuple[float, float]], usual: Array | None, title: str,
    path: Path,
) -> None:  # fmt: skip
    """One page; numbers only with the `usual` curve of the lips that they are told against."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    end = CURVES_END if usual is not None else WIDTH - 24
    height = TOP + len(rows) * (ROW + GAP) + FOOT
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def place(x: float, y: float, wide: float, high: float) -> Any:
        """Axes by pixels from the upper left corner."""
        return figure.add_axes((x / WIDTH, 1 - (y + high) / height, wide / WIDTH, high / height))

    def write(x: float, y: float, text: str, **look: Any) -> None:
        figure.text(x / WIDTH, 1 - y / height, text, **{"color": INK, "va": "top", **look})

    write(16, 12, title, fontsize=14, fontweight="bold")
    write(16, 42, RULE, fontsize=8.2, color=PALE)
    for index, row in enumerate(rows):
        top = TOP + index * (ROW + GAP)
        ground = place(8, top, WIDTH - 16, ROW)
        ground.set_facecolor("#f6f7f9" if index % 2 else "#ffffff")
        ground.set_xticks([])
        ground.set_yticks([])
        for spine in ground.spines.values():
            spine.set_color(GRID)
        long = len(row.label) > 2
        write(34, top + ROW / 2, row.label, fontsize=15 if long else 26, fontweight="bold",
              rotation=90 if long else 0, ha="center", va="center")  # fmt: skip
        picture = place(LEFT, top + 4, 4 * STILL + 6, 2 * STILL + 2)
        picture.imshow(_mosaic(row.stills), aspect="auto", interpolation="nearest")
        picture.set_axis_off()
        _panels(place, top, end, row.curves, samples, at, scale)
        lines = [] if usual is None else numbers(row.curves, usual)
        for line, (what, value) in enumerate(lines):
            y = top + 9 + 22.6 * line
            write(NUMBERS, y, what, fontsize=8, color=PALE)
            write(WIDTH - 22, y, value, fontsize=8.5, ha="right", fontweight="bold")
    write((CURVES + end) / 2, height - FOOT + 4, "seconds", fontsize=8,
          color=PALE, ha="center")  # fmt: skip
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="jpg", pil_kwargs={"quality": 88})
    os.replace(part, path)


def _mosaic(pictures: NDArray[np.uint8], columns: int = 4) -> NDArray[np.uint8]:
    """Two rows of stills with a little white between; (2 STILL + 2, 4 STILL + 6, 3)."""
    out = np.full((2 * STILL + 2, columns * STILL + 2 * (columns - 1), 3), 255, np.uint8)
    for index, picture in enumerate(pictures[: 2 * columns]):
        down, across = divmod(index, columns)
        y, x = down * (STILL + 2), across * (STILL + 2)
        out[y : y + STILL, x : x + STILL] = picture
    return out


def _panels(
    place: Any, top: float, end: int, row: Curves, samples: NDArray[np.float32],
    at: Sequence[int], scale: Mapping[str, tuple[float, float]],
) -> None:  # fmt: skip
    """Lips over the sound, head, brows and smile, eyes with blinks: one below the other."""
    times = (np.arange(len(row.lips)) + 0.5) / FPS
    panels = {
        "lips": (82, [("lips apart, mm", row.lips, LIPS)]),
        "head": (82, [("nod °", row.head[:, 0], NOD), ("turn °", row.head[:, 1], TURN),
                      ("tilt °", row.head[:, 2], TILT)]),
        "face": (62, [("brows", row.brows, BROWS), ("smile", row.smile, SMILE)]),
        "eyes": (50, [("eyes open, mm, and blinks", row.eyes, EYES)]),
    }  # fmt: skip
    y = top + 4.0
    for name, (high, lines) in panels.items():
        axes = place(CURVES, y, end - CURVES, high)
        y += high + 3
        low, peak = scale[name]
        axes.set_xlim(0, len(times) / FPS)
        axes.set_ylim(low, peak)
        if name == "lips":
            _sound(axes, samples, low, peak)
        axes.axhline(0.0, color="#c3c8ce", linewidth=0.8)
        for frame in at:
            axes.axvline(times[frame], color="#98a1ab", linewidth=0.9, linestyle=":")
        for _, values, colour in lines:
            axes.plot(times, values, color=colour, linewidth=1.4)
        if name == "eyes":
            for frame in row.blinks:
                axes.plot(times[frame], low + 0.1 * (peak - low), marker="^", color="#c0392b",
                          markersize=5)  # fmt: skip
        _dress(axes, name == "eyes", [(text, colour) for text, _, colour in lines])


def _sound(axes: Any, samples: NDArray[np.float32], low: float, peak: float) -> None:
    """The waveform in grey along the bottom of a panel."""
    every = 64
    envelope = np.abs(samples[: len(samples) // every * every]).reshape(-1, every).max(1)
    envelope = envelope / (np.quantile(envelope, 0.99) + 1e-9)
    seconds = (np.arange(len(envelope)) + 0.5) * every / (FRAME * FPS)
    axes.fill_between(
        seconds, low, low + 0.32 * (peak - low) * envelope.clip(0, 1), color="#d5dae0", linewidth=0
    )


def _dress(axes: Any, last: bool, legend: Sequence[tuple[str, str]]) -> None:
    """Ticks, grid, and the names of the curves in their colours inside the panel."""
    axes.patch.set_alpha(0.0)
    axes.yaxis.set_major_locator(_ticks())
    axes.tick_params(labelsize=6.5, length=2, pad=1, colors=PALE, labelbottom=last)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color("#c3c8ce")
    x = 0.006
    for text, colour in legend:
        axes.text(x, 0.94, text, color=colour, fontsize=7.5, va="top", fontweight="bold",
                  transform=axes.transAxes)  # fmt: skip
        x += 0.0105 * len(text) + 0.012


def _ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4)
