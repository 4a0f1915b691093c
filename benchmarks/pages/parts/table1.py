"""The part of the results page on the paper's table 1: ours, the paper's, and ablations in both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.pages.tables import table
from training.evaluation.paper_table.table import COLUMNS, OTHER_CONVENTIONS, markdown

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

METRICS = """\
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


def section(found: Mapping[str, Any]) -> list[str]:
    """Ours, other conventions, the paper's, and what each ablation costs here and there."""
    text = [
        "## The paper's table 1, on this data\n",
        f"{found['environment']}. {len(found['clips'])} clips of {found['frames']} frames "
        f"({', '.join(found['sets'])}), each labelled in a style of its own; {found['runs']} runs, "
        "means ± half of the 95 % interval over runs. Bundles are measured at their live defaults.",
    ]
    budget = found.get("budget")
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
    text += [markdown(found, COLUMNS), "\nOther conventions:\n", markdown(found, OTHER_CONVENTIONS)]
    live = "\n".join(f"- {row['told']}: {row['live']}" for row in found["rows"] if row["live"])
    text.append(f"\nLive settings (hop, lookahead, calls, windows, guidance):\n\n{live}\n")
    text.append("### The paper's own numbers\n")
    text.append(
        "Table 1 of Sun et al. 2024, for orientation: real faces (TFHP), FLAME, 4 s windows, 500 "
        "steps; BA and diversity in units that the paper does not define.\n"
    )
    header = ("", *(title for title, _, _ in COLUMNS.values()))
    return [*text, table(header, PAPER), *_ablations(found)]


def _ablations(found: Mapping[str, Any]) -> list[str]:
    """What leaving out each part does to LVE, FDD and MOD, here and in the paper."""
    rows = {row["name"]: row for row in found["rows"]}
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
        table(header, lines),
    ]
