"""Small pictures as SVG text: points with or without lines, and stacked bars.

The same numbers give the same bytes, so that a test can tell whether a picture is the one of the
committed results.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = (
    "#3267a8",
    "#d9772b",
    "#3b8f5a",
    "#a3436f",
    "#7a64b8",
    "#8a8a34",
    "#4d9fae",
    "#b3514b",
    "#6b6b6b",
)
WIDTH, HEIGHT, BAR, MARGIN = 7.2, 3.6, 0.26, 1.1
"""Inches; of a picture, of a bar, and what stands above and below the bars."""
LOOK: dict[Any, Any] = {
    "svg.hashsalt": "posetalk",
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
}


@dataclass(frozen=True)
class Series:
    """Points of one name: (x, y), each with its own small text where `texts` has one."""

    name: str
    points: Sequence[tuple[float, float]]
    texts: Sequence[str] = ()
    joined: bool = True


@dataclass(frozen=True)
class Limit:
    """A horizontal line with its meaning."""

    value: float
    text: str


def chart(
    title: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    limit: Limit | None = None,
    from_zero: bool = True,
) -> str:
    """A chart of series over two number axes; the y axis begins at 0 if `from_zero`."""

    def draw(axes: Any) -> None:
        for one, colour in zip(series, COLOURS, strict=False):
            style = "o-" if one.joined else "o"
            axes.plot(*zip(*one.points, strict=True), style, color=colour, label=one.name)
            for point, text in zip(one.points, one.texts, strict=False):
                axes.annotate(text, point, (5, 4), textcoords="offset points", color=colour)
        if limit is not None:
            axes.axhline(limit.value, color="#c03030", linestyle="--", label=limit.text)
        if from_zero:
            axes.set_ylim(bottom=0)
        axes.set_ylabel(y_label)
        axes.grid(axis="y")

    return _picture(title, x_label, HEIGHT, draw)


def bars(title: str, x_label: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Horizontal bars, one a row, stacked of parts that all rows share."""

    def draw(axes: Any) -> None:
        names = list(dict.fromkeys(name for _, parts in rows for name in parts))
        places, ends = range(len(rows)), [0.0] * len(rows)
        for name, colour in zip(names, COLOURS, strict=False):
            widths = [parts.get(name, 0.0) for _, parts in rows]
            axes.barh(places, widths, 0.7, ends, color=colour, label=name)
            ends = [end + width for end, width in zip(ends, widths, strict=True)]
        axes.set_yticks(places, [name for name, _ in rows])
        axes.invert_yaxis()
        axes.grid(axis="x")

    return _picture(title, x_label, BAR * len(rows) + MARGIN, draw)


def _picture(title: str, x_label: str, height: float, draw: Callable[[Any], None]) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        figure.suptitle(title, x=0.01, ha="left")
        axes.set_xlabel(x_label)
        figure.legend(loc="outside right upper", frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
