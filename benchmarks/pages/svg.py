"""Small pictures as SVG text: points with or without lines, and stacked bars.

The same numbers give the same bytes, so that a test can tell whether a picture is the one of the
committed results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

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
WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 176, 40, 52
BAR = 26


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
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points] + ([limit.value] if limit else [])
    x_ticks = ticks(min(xs), max(xs))
    y_ticks = ticks(0.0 if from_zero else min(ys), max(ys))
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / ((x_ticks[-1] - x_ticks[0]) or 1.0)
        up = (y - y_ticks[0]) / ((y_ticks[-1] - y_ticks[0]) or 1.0)
        return LEFT + across * plot_width, TOP + (1.0 - up) * plot_height

    out = []
    for tick in y_ticks:
        _, y = at(x_ticks[0], tick)
        out.append(_line(LEFT, y, LEFT + plot_width, y, "#dddddd"))
        out.append(_text(LEFT - 8, y + 4, _number(tick), "end"))
    for tick in x_ticks:
        x, _ = at(tick, y_ticks[0])
        out.append(_text(x, HEIGHT - BOTTOM + 18, _number(tick), "middle"))
    if limit is not None:
        _, y = at(x_ticks[0], limit.value)
        out += [
            _line(LEFT, y, LEFT + plot_width, y, "#c03030", "6 4"),
            _text(LEFT + plot_width + 6, y + 4, limit.text, "start", "#c03030"),
        ]
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        places = [at(x, y) for x, y in one.points]
        if one.joined and len(places) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            look = f'fill="none" stroke="{colour}" stroke-width="2"'
            out.append(f'<polyline points="{path}" {look}/>')
        for k, (x, y) in enumerate(places):
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
            if k < len(one.texts):
                out.append(_text(x + 7, y - 5, one.texts[k], "start", colour, 11))
    out += _legend([one.name for one in series])
    out += [
        _text(LEFT + plot_width / 2, HEIGHT - 12, x_label, "middle"),
        f'<text x="16" y="{TOP + plot_height / 2:.1f}" text-anchor="middle" font-size="12" '
        f'fill="#333333" transform="rotate(-90 16 {TOP + plot_height / 2:.1f})">'
        f"{escape(y_label)}</text>",
    ]
    return _picture(title, out, HEIGHT)


def bars(title: str, x_label: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Horizontal bars, one a row, stacked of parts that all rows share."""
    names = list(dict.fromkeys(name for _, parts in rows for name in parts))
    left = 24 + round(6.7 * max(len(name) for name, _ in rows))
    scale = ticks(0.0, max(sum(parts.values()) for _, parts in rows))
    plot_width, height = WIDTH - left - RIGHT, TOP + BAR * len(rows) + BOTTOM
    height = max(height, TOP + 20 * len(names) + 20)
    out = []
    for tick in scale:
        x = left + tick / scale[-1] * plot_width
        bottom = TOP + BAR * len(rows)
        out += [_line(x, TOP, x, bottom, "#dddddd"), _text(x, bottom + 16, _number(tick), "middle")]
    for row, (name, parts) in enumerate(rows):
        x, y = float(left), TOP + BAR * row + 4
        out.append(_text(left - 8, y + 13, name, "end"))
        for part, value in parts.items():
            width = value / scale[-1] * plot_width
            colour = COLOURS[names.index(part) % len(COLOURS)]
            out.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR - 8}" '
                f'fill="{colour}"/>'
            )
            x += width
    out += _legend(names)
    out.append(_text(left + plot_width / 2, TOP + BAR * len(rows) + 36, x_label, "middle"))
    return _picture(title, out, height)


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`."""
    if high <= low:
        high = low + 1.0
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _legend(names: Sequence[str]) -> list[str]:
    x = WIDTH - RIGHT + 14
    out = []
    for number, name in enumerate(names):
        y = TOP + 4 + 20 * number
        colour = COLOURS[number % len(COLOURS)]
        out += [
            f'<rect x="{x}" y="{y}" width="11" height="11" fill="{colour}"/>',
            _text(x + 17, y + 10, name, "start"),
        ]
    return out


def _picture(title: str, parts: Sequence[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    )
    background = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    heading = _text(LEFT, 22, title, "start", "#111111", 14)
    return "\n".join([head, background, heading, *parts, "</svg>", ""])


def _text(
    x: float, y: float, text: str, anchor: str, colour: str = "#333333", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{colour}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'
    )


def _number(value: float) -> str:
    return f"{value:g}"
