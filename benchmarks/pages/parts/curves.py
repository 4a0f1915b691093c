"""The part of the results page on curves: figures along each setting, and what is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness.environment import describe
from benchmarks.pages.curve_plots import PLOTS
from benchmarks.pages.tables import table
from benchmarks.quality.curve_settings import ALL_STEPS
from training.evaluation.live_figures import FIGURES

NEAR = 0.02
"""Share by which a setting's LVE may be above the lowest and still count as no worse."""
WITHIN = 0.05
"""Share by which the live defaults' LVE may be above that of all trained steps."""


def section(result: Mapping[str, Any]) -> list[str]:
    """Every curve as plot and table, then the choice of live defaults."""
    live = result["live"]
    about = "\n".join(f"- {line}" for line in describe(dict(result)))
    names = "\n".join(f"- `{name}`: {meaning}." for name, meaning in FIGURES.items())
    spent = sum(row["cpu_seconds"] for row in result["figures"].values())
    text = [
        "## Curves\n",
        f"Bundle {result['bundle']} ({result['bundle_hash'][:12]}), clips: "
        f"{len(result['clips'])} of {result['frames']} frames from voices or sentences held out of "
        "training, each in a style of its own, 10 seeds; mean ± "
        "half of the 95 % interval over seeds. Along a curve everything else is as in the live "
        "defaults: hop "
        f"{live['hop']}, lookahead {live['lookahead']}, steps {live['steps']}, "
        f"{live['window_rule']} windows, guidance {live['audio_guidance']:g} (audio) and "
        f"{live['style_guidance']:g} (style), context {result['T_p']}; their points are ringed.\n",
        f"{about}\n- {spent / 60:.0f} minutes of one core\n- {result['closures']} closures and "
        f"{result['vowels']} vowel middles in the clips\n",
        names + "\n",
    ]
    titles = {
        "steps": "Sampling steps",
        "lookahead": "Lookahead",
        "hop": "Hop",
        "context": "Context",
        "rule": "Window rule",
        "guidance": "Guidance",
        "modes": "Live defaults and paper mode",
    }
    notes = {
        "context": "Slots before the context that is used hold the learned start features.",
        "rule": "`sliding` re-predicts nothing that was committed, but sees T_w frames each call.",
        "modes": "Paper mode (`posetalk animate --mode paper`): T_w frames at once with no "
        "overlap, white initial noise as in training; a clip is one window, so it has no hops. "
        "Ancestral sampling takes all trained steps: it is the diffusion itself. A bundle that saw "
        "few windows of T_w frames in training, as the starter, does worse in them than live.",
    }
    for name, title in titles.items():
        points = [(x, key) for x, key in result["curves"][name] if key in result["figures"]]
        if not points:
            continue
        text.append(f"### {title}\n")
        if name in notes:
            text.append(notes[name] + "\n")
        if name in PLOTS and len(points) > 1:
            text.append(f"![{title}](results/{name}.png)\n")
        text.append(curve_table(result, points, PLOTS.get(name, "")))
        text.append("")
    return [*text, *_choice(result)]


def curve_table(result: Mapping[str, Any], points: Sequence[tuple[str, str]], axis: str) -> str:
    """Points of a curve as a Markdown table, with the label's own figures below."""
    lines = []
    for x, key in points:
        row = result["figures"][key]
        told = f"**{x}**" if key == result["base"] else x
        lines.append([told, str(row["seeds"]), *(_cell(row["values"][n]) for n in FIGURES)])
    lines.append(["*label*", "", *(_cell([result["label"][n][0], None]) for n in FIGURES)])
    return table([axis.split(",")[0], "seeds", *FIGURES], lines)


def _cell(pair: Sequence[float | None]) -> str:
    mean, half = pair
    if mean is None:
        return "-"
    digits = 1 if abs(mean) >= 10 else 2
    return f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if half else "")


def _choice(result: Mapping[str, Any]) -> list[str]:
    """What the curves say is best along each axis, beside what the bundle does."""
    text = [
        "### Choosing the live defaults\n",
        f"*Enough* is the smallest value whose LVE is within {NEAR:.0%} of the curve's lowest. "
        "LVE rewards the mean, so closures and signs of life stand beside it; hop and lookahead "
        "cost latency, steps cost time.\n",
    ]
    lines: list[list[str]] = []
    for name in ("steps", "lookahead", "hop", "context"):
        points = [(x, key) for x, key in result["curves"][name] if key in result["figures"]]
        if not any(key == result["base"] for _, key in points):
            continue
        value = {x: result["figures"][key]["values"] for x, key in points}
        used = next(x for x, key in points if key == result["base"])
        best = min(value, key=lambda x: float(value[x]["lve"][0]))
        limit = (1 + NEAR) * float(value[best]["lve"][0])
        enough = min((x for x in value if value[x]["lve"][0] <= limit), key=float)
        beside = ("lve", "closures", "head_range")
        lines.append(
            [
                name,
                used,
                *(_mean(value[used], figure) for figure in beside),
                best,
                _mean(value[best], "lve"),
                enough,
                *(_mean(value[enough], figure) for figure in beside),
            ]
        )
    some = ("LVE", "closures", "head range")
    text.append(table(["", "in use", *some, "lowest LVE at", "LVE", "enough", *some], lines))
    modes = dict(map(tuple, result["curves"]["modes"]))
    slow = result["figures"].get(modes[ALL_STEPS])
    live = result["figures"].get(result["base"])
    if slow and live:
        here, there = (float(row["values"]["lve"][0]) for row in (live, slow))
        verdict = "reached" if here <= (1 + WITHIN) * there else "missed"
        text.append(
            f"\nLVE at the live defaults is {here:.2f} mm, in paper mode with "
            f"{slow['setting']['steps']} steps {there:.2f} mm "
            f"({100 * (here / there - 1):+.0f} %): the goal of at most "
            f"{WITHIN:.0%} above it is {verdict}.\n"
        )
    return text


def _mean(values: Mapping[str, Any], name: str) -> str:
    return _cell([values[name][0], None])
