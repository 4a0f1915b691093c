"""`posetalk bench results`: writes `docs/results.md` from files of figures alone.

The paper's own numbers stand in `PAPER`; every other number on the page is read from
`docs/results/curves.json` and `docs/results/table.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.harness.environment import describe
from benchmarks.pages.curve_plots import PLOTS, draw
from benchmarks.quality.curves import ALL_STEPS
from head.errors import PosetalkError
from head.new_file import new_file
from training.evaluation.live_figures import FIGURES
from training.evaluation.paper_table.table import COLUMNS, OTHER_CONVENTIONS, markdown, read_result

NEAR = 0.02
"""Share by which a setting's LVE may be above the lowest and still count as no worse."""
WITHIN = 0.05
"""Share by which the live defaults' LVE may be above that of all trained steps."""

PAPER: tuple[tuple[str, str, str, str, str, str, str], ...] = (
    ("FaceFormer", "9.90 ± 0.030", "16.95 ± 0.016", "2.63 ± 0.015", "-", "0", "-"),
    ("CodeTalker", "12.71 ± 0.057", "12.44 ± 0.064", "2.87 ± 0.034", "-", "0", "-"),
    ("FaceDiffuser", "12.12 ± 0.038", "15.48 ± 0.048", "3.50 ± 0.052", "-", "5.93e-5", "-"),
    ("without head pose", "8.81 ± 0.008", "10.13 ± 0.038", "1.72 ± 0.009", "-", "2.83", "-"),
    ("Yi et al.", "9.99", "21.50", "2.42", "0.26", "0", "0"),
    ("SadTalker", "-", "-", "-", "0.24 ± 0.001", "0", "0.808"),
    ("full model", "8.94 ± 0.013", "9.60 ± 0.027", "1.62 ± 0.009", "0.29 ± 0.005", "2.19", "1.16"),
    (
        "without geometric losses",
        "11.29 ± 0.012",
        "15.11 ± 0.043",
        "2.14 ± 0.013",
        "0.28 ± 0.009",
        "-",
        "-",
    ),
    (
        "without alignment mask",
        "12.81 ± 0.011",
        "12.58 ± 0.049",
        "2.18 ± 0.007",
        "0.24 ± 0.006",
        "-",
        "-",
    ),
    ("without guidance", "9.58 ± 0.014", "9.59 ± 0.032", "1.56 ± 0.011", "0.29 ± 0.010", "-", "-"),
    ("without style", "11.33 ± 0.013", "12.97 ± 0.052", "2.03 ± 0.017", "0.28 ± 0.005", "-", "-"),
)
"""Table 1 of Sun et al. 2024: name, then LVE, FDD, MOD, BA, Div exp, Div head as printed there."""
ABLATIONS = {"no-geometric-losses": 7, "no-alignment-mask": 8, "no-guidance": 9, "no-style": 10}
"""Our networks and their rows of PAPER."""

_HEAD = """\
<!-- Written by `posetalk bench curves`: change the figures or the code, not this
# page. --> Results

Everything here was measured on held-out speech whose motion labels were **made by a coarticulation
model** from known phone times (`docs/training.md`): nobody's face was recorded. Lower errors mean
nearer to those labels. The figures say how parts and settings compare with each other on one set
of data; they cannot be compared with the paper's, which are of other data and another head.

To have them again, with the data folder in `POSETALK_DATA` (`.venv/bin/` in front where `run.py`
has set posetalk up):

    posetalk train tracks
    posetalk train ablations --tracks .training/tracks{budget}
    posetalk evaluate starter --table .training/table --clips {clips} -o docs/results/table.json
    posetalk bench curves --bundle starter

The last one draws the plots and writes this page. A run that was cut off goes on where it was.
"""

_METRICS = """\
## What is measured

The paper names its metrics and publishes no code for them.
`training/evaluation/paper_table/metrics.py` states for each one what was chosen; in short:

- **LVE** (mm): largest distance of a lip vertex (region `lips` of the head) from the label's, face
  without head rotation, mean over frames. Not squared.
- **FDD** (1e-5 m): per vertex of the upper face (region `upper_face`) the deviation over time of
  the displacement from the neutral face; label's minus prediction's, mean over vertices; its size,
  mean over clips. Not squared, not signed.
- **MOD** (mm): difference of the mouth's opening (mean distance of the middle pairs of inner-lip
  vertices), frame by frame.
- **BA**: how well beats of the head (minima of its smoothed speed) meet the label's: Gaussian of
  50 ms, mean over the label's beats. Unrelated motion reaches what the row *label of another clip*
  says.
- **Div exp** (1e-4 m), **Div head** (degrees): mean distance of two samples from one input, over
  vertices of lips and upper face, and over the head's rotation.

Some published scripts square distances, and keep the sign of FDD; users of the released code found
figures a thousand times off for this reason. Both conventions are given.
"""


class ResultsPageError(PosetalkError, ValueError):
    """Figures that no page can be made of; one line."""


def page(curves: Mapping[str, Any] | None, table: Mapping[str, Any] | None) -> str:
    """The whole page as Markdown; the same figures give the same page."""
    parts = [_HEAD.format(**_asked(table))]
    parts += _table_part(table) if table else ["## The paper's table 1\n\nNot measured yet.\n"]
    if curves and table and not _same_weights(curves, table):
        parts.append(
            f"The table was measured before the curves: its {curves['bundle']} is an earlier "
            "training, and its labels are those of its own revision.\n"
        )
    parts.append(_METRICS)
    parts += _curves_part(curves) if curves else ["## Curves\n\nNot measured yet.\n"]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _same_weights(curves: Mapping[str, Any], table: Mapping[str, Any]) -> bool:
    """Whether the curves' bundle is in the table as it was for the curves."""
    return any(str(curves["bundle_hash"]) in row["key"] for row in table["rows"])


def _asked(table: Mapping[str, Any] | None) -> dict[str, str]:
    """Options that the table was made with, as they stand in its commands."""
    if not table:
        return {"budget": "", "clips": "12"}
    budget = table.get("budget", {})
    names = {"steps": "steps", "speech_steps": "speech-steps", "style_steps": "style-steps"}
    options = "".join(f" --{to} {budget[name]}" for name, to in names.items() if name in budget)
    return {"budget": options, "clips": str(len(table["clips"]) // len(table["sets"]))}


def _table_part(table: Mapping[str, Any]) -> list[str]:
    """Ours, other conventions, the paper's, and what each ablation costs here and there."""
    text = [
        "## The paper's table 1, on this data\n",
        f"{table['environment']}. {len(table['clips'])} clips of {table['frames']} frames "
        f"({', '.join(table['sets'])}), each labelled in a style of its own; {table['runs']} runs, "
        "means ± half of the 95 % interval over runs. Bundles are measured at their live defaults.",
    ]
    budget = table.get("budget")
    if budget:
        text.append(
            f"\n**One small budget**: {budget['steps']} steps for every network (after "
            f"{budget['speech_steps']} of the speech encoder and {budget['style_steps']} of the "
            f"style encoder, which all share), {budget['n_layers']} layers of {budget['d_model']}, "
            f"{budget['track_minutes']:.0f} minutes of labelled speech, one core. So little "
            "training does not show what a network can reach, and LVE favours those that move "
            "little; read MOD and FDD beside it. The full model and its ablations are guided "
            "as the paper's (audio 1.15, style 3), sampled in 2 calls, hop 10, lookahead 2. "
            "*Without geometric losses* keeps the first term of the loss alone; *without alignment "
            "mask* attends to all speech of window and context, which carries no positions, in the "
            "paper's code as here; *without guidance* was trained without dropped conditions; "
            "*deterministic regression* is the same network, called once with x_t = 0.\n"
        )
    text += [markdown(table, COLUMNS), "\nOther conventions:\n", markdown(table, OTHER_CONVENTIONS)]
    live = "\n".join(f"- {row['told']}: {row['live']}" for row in table["rows"] if row["live"])
    text.append(f"\nLive settings (hop, lookahead, calls, windows, guidance):\n\n{live}\n")
    text.append("### The paper's own numbers\n")
    text.append(
        "Table 1 of Sun et al. 2024, for orientation: real faces (TFHP), FLAME, 4 s windows, 500 "
        "steps; BA and diversity in units that the paper does not define.\n"
    )
    header = ("", *(title for title, _, _ in COLUMNS.values()))
    return [*text, _rows(header, PAPER), *_ablations(table)]


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [header, ("---", *["---:"] * (len(header) - 1)), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _ablations(table: Mapping[str, Any]) -> list[str]:
    """What leaving out each part does to LVE, FDD and MOD, here and in the paper."""
    rows = {row["name"]: row for row in table["rows"]}
    if "full" not in rows or not any(name in rows for name in ABLATIONS):
        return []
    lines: list[list[str]] = []
    for name, number in ABLATIONS.items():
        if name not in rows:
            continue
        cells = []
        for column, figure in enumerate(("lve", "fdd", "mod"), 1):
            full, without = (rows[n]["figures"][figure][0] for n in ("full", name))
            there, here = (float(PAPER[i][column].split()[0]) for i in (6, number))
            cells += [f"{100 * (without / full - 1):+.0f} %", f"{100 * (here / there - 1):+.0f} %"]
        lines.append([rows[name]["told"], *cells])
    header = ["", *(f"{n} {where}" for n in ("LVE", "FDD", "MOD") for where in ("here", "there"))]
    return [
        "### What each part is worth, here and in the paper\n",
        "Change against the full model of the same budget.\n",
        _rows(header, lines),
    ]


def _curves_part(result: Mapping[str, Any]) -> list[str]:
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
    return _rows([axis.split(",")[0], "seeds", *FIGURES], lines)


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
    text.append(_rows(["", "in use", *some, "lowest LVE at", "LVE", "enough", *some], lines))
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


def read_curves(path: Path) -> dict[str, Any] | None:
    """Figures that `benchmarks.quality.curves` wrote; None if there are none.

    Raises:
        ResultsPageError: another kind of file.
    """
    if not path.is_file():
        return None
    try:
        result: dict[str, Any] = json.loads(path.read_text("utf-8"))
        kind = result["kind"]
    except (ValueError, KeyError, TypeError):
        kind = None
    if kind != "curves":
        raise ResultsPageError(f"{path}: not written by benchmarks.quality.curves")
    return result


def write_page(path: Path, curves: Mapping[str, Any] | None, table: Path, *, plots: bool) -> None:
    """Write the page, and the plots beside the figures.

    Raises:
        ResultsPageError, TableError: files that are something else.
        OSError: not writable.
    """
    found = read_result(table) if table.is_file() else None
    if plots and curves:
        draw(curves, table.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as part:
        part.write_text(page(curves, found), "utf-8")


@dataclass(frozen=True)
class WriteResultsPage:
    """Write the results page, and its plots, from files of figures."""

    folder: Path = Path("docs/results")
    """Where curves.json and table.json lie, and where the plots go."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT.md")] = Path(
        "docs/results.md"
    )
    """The page."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written, 2 wrong usage; raises what `benchmarks.__main__` explains."""
    command = tyro.cli(WriteResultsPage, prog="posetalk bench results", args=arguments)
    curves = read_curves(command.folder / "curves.json")
    write_page(command.output, curves, command.folder / "table.json", plots=True)
    print(f"wrote {command.output}")
    return 0
