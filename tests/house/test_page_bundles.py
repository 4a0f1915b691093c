"""Every figure on a page belongs to the bundle that ships, or says to which other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diffposetalk.bundle.bundle import load_bundle

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = load_bundle("starter").hash
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
RESULTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("benchmarks/results", "docs/results")
    for path in (ROOT / folder).glob("*.json")
)
OFFICIAL = {"ff96ce78f881": "the released size, random weights"}
BEFORE = {"bd83d7b4f186": "the starter before this one, whose speech encoder was half as wide"}
OTHERS: dict[str, dict[str, str]] = {
    "docs/heads.md": BEFORE,
    "docs/performance.md": OFFICIAL | BEFORE,
    "docs/pipecat.md": BEFORE,
    "docs/results.md": {"31f8fc297bfc": "an earlier starter"} | BEFORE,
    "docs/scaling.md": BEFORE,
    "docs/styles.md": {
        "5afe44637352": "the starter of revision 66f35c7",
        "d64231f27b84": "two starters before this one",
    },
    "docs/video.md": BEFORE,
    "docs/results/curves.json": BEFORE,
    "docs/results/likeness.json": BEFORE,
    "benchmarks/results/a2f.json": BEFORE,
    "benchmarks/results/attacks.json": BEFORE,
    "benchmarks/results/grid.json": BEFORE,
    "benchmarks/results/latency.json": BEFORE,
    "benchmarks/results/official.json": OFFICIAL,
    "benchmarks/results/peers.json": BEFORE,
    "benchmarks/results/pipecat.json": BEFORE,
    "benchmarks/results/ray.json": BEFORE,
    "benchmarks/results/soak_attacked.json": BEFORE,
    "benchmarks/results/throughput.json": BEFORE,
    "benchmarks/results/voices.json": BEFORE,
}
"""Pages with figures of bundles that are not the shipped starter: hashes, and what they are.  A
page that is measured anew leaves this table; one that is not, after a new starter, fails."""


def others_of(page: str, found: set[str]) -> set[str]:
    """Those hashes that are neither the shipped bundle's nor accounted for."""
    known = {SHIPPED[:12], *OTHERS.get(page, {})}
    return {hash_[:12] for hash_ in found} - known


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_the_bundle_of_its_figures(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    found = set(re.findall(r"(?:bundle|[Bb]undle starter \() ?`?([0-9a-f]{12})", text))
    assert not others_of(page, found), "measure it anew, or say in OTHERS what it is"


@pytest.mark.parametrize("file", RESULTS)
def test_results_are_of_the_bundle_that_ships(file: str) -> None:
    found = set(hashes(json.loads((ROOT / file).read_text("utf-8"))))
    assert not others_of(file, found), "measure it anew, or say in OTHERS what it is"


def test_what_is_accounted_for_is_there() -> None:
    for page, others in OTHERS.items():
        for hash_ in others:
            assert hash_ in (ROOT / page).read_text("utf-8"), f"{page} has left OTHERS behind"


def hashes(value: Any) -> Iterator[str]:
    """Every `bundle_hash` in a file of figures."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "bundle_hash" and inner != "fake":
                yield str(inner)
            else:
                yield from hashes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from hashes(inner)
