"""How many are carried, and the page: from figures alone; no Ray here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.environment import FORMAT
from benchmarks.harness.processes import BenchmarkError
from benchmarks.scaling.climb import climb
from benchmarks.scaling.kills import summary
from benchmarks.scaling.page import fill
from benchmarks.scaling.run import GRID, PARTS, RESULTS, measured
from benchmarks.scaling.speakers import SpeakingClient
from head.files.json_file import write_json

ROOT = Path(__file__).resolve().parents[3]


def spoke(count: int) -> list[SpeakingClient]:
    return [SpeakingClient(number, ages=[0.1] * 100) for number in range(count)]


@pytest.mark.parametrize("most", [3, 8, 11, 15, 16, 40])
def test_the_most_that_are_carried_is_found(most: int) -> None:
    tried: list[int] = []

    def fits(speakers: Sequence[SpeakingClient]) -> bool:
        tried.append(len(speakers))
        return len(speakers) <= most

    found = climb((4, 8, 16, 24), spoke, fits)
    assert found["sessions"] == min(most, 24)
    assert found["too_many"] == (None if most > 24 else most + 1)
    assert {*found["age_ms"]} == {str(each) for each in tried}
    assert found["age_ms"][str(tried[0])]["p50"] == pytest.approx(100.0)


def test_one_hiccup_decides_nothing() -> None:
    answers = iter([True, False, True, False, False])
    assert climb((1, 2, 3), spoke, lambda _: next(answers))["sessions"] == 2


def figures() -> dict[str, Any]:
    """As three parts would be."""
    outcome = {
        "moved": 8,
        "gap_seconds": 1.6,
        "lip_step_mm": 0.4,
        "repeated": 0,
        "missing_of_moved": 0,
        "missing_of_others": 0,
        "others_longest_gap_seconds": 0.3,
        "errors": [],
    }
    ages = {"p50": 100.0, "p90": 110.0, "p99": 150.0, "max": 200.0}
    ways = {
        way: {"sessions": best, "too_many": best + 1, "age_ms": {str(best): ages}}
        for way, best in (("serve", 20), ("direct", 18), ("proxy", 14))
    }
    head = {
        "machine": {
            "cpu": "one",
            "cores": 2,
            "memory_gb": 8.0,
            "system": "Linux",
            "load_average": [0.1, 0.1, 0.1],
        },
        "versions": {"python": "3.11"},
        "revision": "0123456789abcdef",
        "time": "now",
    }
    return {
        "sessions": head | {"in_time_seconds": 0.3, "seconds": 10.0} | ways,
        "kills": {
            "16": head | {"clients": 16} | summary([outcome, outcome | {"gap_seconds": 1.0}])
        },
        "corpus": head | {"files": 200, "seconds": {"1": 30.0, "2": 16.0}, "times": 30 / 16},
    }


def test_the_page_says_what_was_reached_and_what_was_not() -> None:
    empty = "".join(f"<!-- ray: {part} -->\n<!-- end -->\n" for part in PARTS)
    text = fill(empty, figures())
    assert "| `posetalk serve` | 20 | 100 | 150 | 21 |" in text
    assert "10 % fewer than by `serve` (asked: at most 15 %, reached)" in text
    assert "| <= 1.5 s | 1.60 s (median of the kills 1.60 s) | **missed**: 1 of 2 within |" in text
    assert "1.88 times as fast (asked: 1.5, reached)" in text
    assert fill(empty, {}).count("Not measured yet.") == len(PARTS)


def test_the_page_has_the_figures_of_the_file() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    assert text.count("<!-- ray: ") == len(PARTS) + 1
    found = measured(ROOT / RESULTS) | {"sizes": json.loads((ROOT / GRID).read_text("utf-8"))}
    assert fill(text, found) == text, "run `posetalk bench ray page`"


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ray.json"
    write_json(path, {"kind": "ray", "format": FORMAT, "corpus": {"times": 2.0}})
    assert measured(path) == {"corpus": {"times": 2.0}}
    for other in ({"kind": "latency", "format": FORMAT}, [], {"kind": "ray", "format": -1}):
        write_json(path, other)
        with pytest.raises(BenchmarkError, match="measure again"):
            measured(path)


def test_no_kill_is_no_figure() -> None:
    with pytest.raises(BenchmarkError):
        summary([])
    assert np.isfinite(figures()["corpus"]["times"])
