"""`posetalk bench results`: writes `docs/results.md` from files of figures alone.

The paper's own numbers stand in `benchmarks.pages.parts.table1`; every other number on the page is
read from `docs/results/curves.json` and `docs/results/table.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.pages.curve_plots import draw
from benchmarks.pages.parts import curves as curves_part
from benchmarks.pages.parts import table1
from head.errors import PosetalkError
from head.new_file import new_file
from training.evaluation.paper_table.table import read_result

_HEAD = """\
# Results

<!-- Written by `posetalk bench curves`: change the figures or the code, not this page. -->

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


class ResultsPageError(PosetalkError, ValueError):
    """Figures that no page can be made of; one line."""


def page(curves: Mapping[str, Any] | None, table: Mapping[str, Any] | None) -> str:
    """The whole page as Markdown; the same figures give the same page."""
    parts = [_HEAD.format(**_asked(table))]
    parts += table1.section(table) if table else ["## The paper's table 1\n\nNot measured yet.\n"]
    if curves and table and not _same_weights(curves, table):
        parts.append(
            f"The table was measured before the curves: its {curves['bundle']} is an earlier "
            "training, and its labels are those of its own revision.\n"
        )
    parts.append(table1.METRICS)
    parts += curves_part.section(curves) if curves else ["## Curves\n\nNot measured yet.\n"]
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
    curves, table = read_curves(command.folder / "curves.json"), command.folder / "table.json"
    if curves is None and not table.is_file():
        raise ResultsPageError(f"no figures to write of: {table} is missing, and curves.json")
    write_page(command.output, curves, table, plots=True)
    print(f"wrote {command.output}")
    return 0
