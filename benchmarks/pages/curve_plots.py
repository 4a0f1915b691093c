"""The curves as pictures, from a file of figures alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PLOTS = {
    "steps": "network calls per hop, K",
    "lookahead": "lookahead R, frames of 40 ms",
    "hop": "hop H, frames of 40 ms",
    "context": "context, frames",
}
"""Curves that are drawn, and the name of their axis."""
PANELS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("LVE, mm", ("lve",), ""),
    ("closures and vowels closed, %", ("closures", "vowels_closed"), ""),
    ("FDD, 1e-5 m", ("fdd",), ""),
    ("over the label's", ("head_range", "head_jitter", "seam"), "1 = as the label (seam: none)"),
)
"""Heading, figures, note of each panel."""
TOLD = {
    "lve": "LVE",
    "closures": "closures",
    "vowels_closed": "vowels closed",
    "fdd": "FDD",
    "head_range": "head range",
    "head_jitter": "head jitter",
    "seam": "seam",
}
COLOURS = ("#1f6f8b", "#d1495b", "#6a994e")


def draw(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write one PNG a curve into `folder`; the paths.  The same figures give the same picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for name, axis in PLOTS.items():
        points = [
            (float(x), result["figures"][key], key)
            for x, key in result["curves"][name]
            if key in result["figures"]
        ]
        if len(points) < 2:
            continue
        figure, panels = pyplot.subplots(1, len(PANELS), figsize=(12.5, 2.9))
        for panel, (heading, figures, note) in zip(panels, PANELS, strict=True):
            _panel(panel, points, figures, result["base"], log=name == "steps")
            panel.set_title(heading, fontsize=10)
            panel.set_xlabel(axis, fontsize=8)
            if note:
                panel.axhline(1.0, color="#999999", linewidth=0.8, linestyle=":")
            if len(figures) > 1:
                panel.legend(fontsize=7, frameon=False)
        figure.tight_layout()
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=72, metadata={"Software": None})
        pyplot.close(figure)
        out.append(path)
    return out


def _panel(
    panel: Any,
    points: Sequence[tuple[float, Any, str]],
    figures: Sequence[str],
    base: str,
    log: bool,
) -> None:
    """Means with 95 % intervals; the live default has a ring around it."""
    for name, colour in zip(figures, COLOURS, strict=False):
        rows = [(x, *point["values"][name], key) for x, point, key in points]
        rows = [row for row in rows if row[1] is not None]
        x, mean = [row[0] for row in rows], [row[1] for row in rows]
        half = [0.0 if row[2] is None or math.isnan(row[2]) else row[2] for row in rows]
        panel.errorbar(
            x,
            mean,
            yerr=half,
            marker="o",
            markersize=3.5,
            linewidth=1.2,
            capsize=2,
            color=colour,
            label=TOLD[name],
        )
        ringed = [(row[0], row[1]) for row in rows if row[3] == base]
        if ringed:
            panel.scatter(*zip(*ringed, strict=True), s=90, facecolors="none", edgecolors="black")
    if log:
        panel.set_xscale("log", base=2)
        ticks = [x for x, _, _ in points]
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.25)
