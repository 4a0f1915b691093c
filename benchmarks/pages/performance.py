"""`posetalk bench page RESULT.json ... -o docs/performance.md`: the page, from results alone.

Every number on it is read from a file that `bench-latency` or `posetalk bench throughput` wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.harness.environment import FORMAT
from benchmarks.latency.points import Results, side_by_side
from benchmarks.pages.goals import goals
from benchmarks.pages.parts import a2f, attacks, latency, official, soak, throughput
from benchmarks.pages.plots import plots
from benchmarks.pages.tables import table
from benchmarks.peers import table as peers_table
from diffposetalk.bundle.bundle import load_bundle
from head.errors import PosetalkError
from head.new_file import new_file

KINDS = ("latency", "quality", "throughput", "official", "soak", "a2f", "attacks", "peers")
ELSEWHERE = ("curves", "ray", "pipecat")
"""Results with a page of their own."""
PICTURES = "performance"
"""Folder beside the page."""

_HEAD = """\
# Performance

<!-- Written by `posetalk bench page`: change the results or benchmarks/pages/performance.py. -->

Every number here was written by a command and can be had again (`.venv/bin/` in front, where
`run.py` has set posetalk up; leave the machine alone meanwhile):

    bench-latency --seconds 30 --repeats 3 --json benchmarks/results/latency.json
    bench-latency --grid benchmarks/grid.toml --json benchmarks/results/grid.json
    posetalk bench throughput --minutes 10 --json benchmarks/results/throughput.json
    bench-latency --grid benchmarks/grid.toml --quality only --json benchmarks/results/voices.json
    posetalk bench official --json benchmarks/results/official.json
    posetalk bench a2f --json benchmarks/results/a2f.json
    posetalk bench attacks --json benchmarks/results/attacks.json
    posetalk bench peers --json benchmarks/results/peers.json
    posetalk bench page benchmarks/results/*.json -o docs/performance.md

The first three take about ten minutes; a busy machine does not disturb the fourth, which measures
held-out clips as well if there are any (`POSETALK_DATA`); `a2f` takes two minutes and the extra
of that name, `peers` some minutes more, with node, npm and `POSETALK_DATA`. `bench-latency
--quick` alone takes under a minute, and `bench-latency --compare A.json B.json` says what changed
between two files. Hop H, lookahead R, network calls K, window rule and guidance are one set: a
figure means nothing without its set, so it stands beside each.
"""


class PerformancePageError(PosetalkError, ValueError):
    """A results file that cannot be used; one line."""


_NAMES = {
    "latency": "latency and many sessions",
    "quality": "quality on held-out clips",
    "throughput": "speed, memory, start",
    "a2f": "Audio2Face-3D clients",
    "soak": "hours at speed",
    "attacks": "under attack",
}
"""What the parts of the page are called."""
SECTIONS: tuple[Callable[[Results], Iterable[str]], ...] = (
    latency.section,
    throughput.section,
    official.section,
    soak.section,
    a2f.section,
    attacks.section,
    peers_table.section,
)
"""Each yields its paragraphs, and nothing where the results have nothing for it."""


def page(results: Sequence[Mapping[str, Any]], shipped: str = "") -> str:
    """The whole page as Markdown; the same results give the same page.

    Args:
        results: the files.
        shipped: hash of the starter that ships; what is of an earlier one is then named.
    """
    parts = [_HEAD]
    if earlier := _earlier(results, shipped):
        parts.append(
            f"The starter that ships is bundle {shipped[:12]}. Not measured anew since an earlier "
            f"one: {'; '.join(earlier)}.\n"
        )
    if not results:
        parts.append("Nothing has been measured yet.\n")
        return "\n".join(parts)
    parts.append(_goals(results))
    parts += [f"![{name.removesuffix('.svg')}]({PICTURES}/{name})\n" for name in plots(results)]
    for section in SECTIONS:
        parts += section(results)
    return "\n".join(parts)


def _earlier(results: Sequence[Mapping[str, Any]], shipped: str) -> list[str]:
    """Parts of the page whose figures are all of a starter that is not the one that ships."""
    found = []
    for result in results:
        hashes = set(_hashes(result)) - {"fake"}
        if shipped and hashes and shipped not in hashes and result["kind"] != "official":
            names = ", ".join(sorted(hash_[:12] for hash_ in hashes))
            found.append(f"{_NAMES.get(result['kind'], result['kind'])} (bundle {names})")
    return list(dict.fromkeys(found))


def _hashes(value: Any) -> Iterator[str]:
    """Every `bundle_hash` in a file of figures."""
    if isinstance(value, Mapping):
        if "bundle_hash" in value:
            yield str(value["bundle_hash"])
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _hashes(inner)


def _goals(results: Sequence[Mapping[str, Any]]) -> str:
    found = goals(results)
    if not found:
        return ""
    rows = [(g.name, g.wanted, g.measured, "reached" if g.reached else "**missed**") for g in found]
    return "\n".join(
        [
            "## What was to be reached\n",
            table(("figure, at the bundle's live defaults", "wanted", "measured", ""), rows, 1),
        ]
    )


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The results in files: latency first, grids after single points, by name.

    Raises:
        PerformancePageError: a file that cannot be read, or is something else.
    """
    results = []
    for path in sorted(paths, key=lambda path: path.name):
        try:
            result = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise PerformancePageError(f"{path}: {error.strerror}") from None
        except ValueError:
            raise PerformancePageError(f"{path}: not JSON") from None
        if isinstance(result, dict) and result.get("kind") in ELSEWHERE:
            continue
        if not isinstance(result, dict) or result.get("kind") not in KINDS:
            raise PerformancePageError(
                f"{path}: not written by bench-latency or a benchmark beside it"
            )
        if result.get("format") != FORMAT:
            raise PerformancePageError(f"{path}: written by another version, measure again")
        results.append(result)
    if not results:
        raise PerformancePageError("no figures to write of: name benchmarks/results/*.json")
    return sorted(results, key=lambda r: (KINDS.index(r["kind"]), bool(side_by_side(r))))


@dataclass(frozen=True)
class WritePage:
    """Write the performance page from results files."""

    results: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RESULT.json ...")
    ]
    """Written by `bench-latency --json` and `posetalk bench throughput --json`."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT.md")] = Path(
        "docs/performance.md"
    )
    """The page."""


def write(results: Results, output: Path) -> None:
    """Write the page, and its pictures into the folder beside it."""
    with new_file(output) as part:
        part.write_text(page(results, load_bundle("starter").hash), "utf-8")
    folder, pictures = output.parent / PICTURES, plots(results)
    if folder.is_dir():
        for old in folder.glob("*.svg"):
            old.unlink()
    if pictures:
        folder.mkdir(exist_ok=True)
    for name, text in pictures.items():
        (folder / name).write_text(text, "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written, 2 wrong usage; raises what `benchmarks.__main__` explains."""
    command = tyro.cli(WritePage, prog="posetalk bench page", args=arguments)
    write(read_results(command.results), command.output)
    print(f"wrote {command.output}")
    return 0
