"""Every attack in its short form: nobody who keeps to the protocol misses a frame."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.__main__ import main as run_benchmark
from benchmarks.attacks import run
from benchmarks.attacks.attack import ATTACKS
from benchmarks.attacks.verdict import MEMORY_BAR, Result, summary, unreadable

SHORT = ("style-inf", "ping", "fragments", "tokens")


def test_there_are_forty_kinds_and_each_says_what_it_aims_at() -> None:
    assert len(ATTACKS) >= 40 and set(SHORT) < set(ATTACKS)
    assert all(": " in kind.aims_at or ", " in kind.aims_at for kind in ATTACKS.values())


@pytest.mark.timeout(280)
def test_a_viewer_misses_nothing_whatever_is_thrown_at_the_server(tmp_path: Path) -> None:
    _judge(run.run_all([ATTACKS[name] for name in SHORT], "fake", 0.8, tmp_path), len(SHORT))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_kind_is_lived_through(tmp_path: Path) -> None:
    _judge(run.run_all(list(ATTACKS.values()), "fake", 3.0, tmp_path), len(ATTACKS))


def _judge(results: object, count: int) -> None:
    """How long anything takes is the machine's affair, here; the command has the bars."""
    seen = 0
    for result in results:  # type: ignore[attr-defined]
        seen += 1
        assert (result.lost, result.finite, result.failure) == (0, True, ""), result
        assert not result.lines and result.height - result.before < MEMORY_BAR, result
        assert math.isfinite(result.newcomer), result
    assert seen == count


def test_what_should_not_be_is_said() -> None:
    good = Result("x", 0.29, 0.05, 0, True, 100, 150, 101, 1.0)
    assert good.faults == [] and "held" in good.row()
    assert Result("x", 0.6, 0.5, 0, True, 100, 150, 101, 1.0).faults == []
    late = Result("x", 0.4, 0.1, 0, True, 100, 150, 101, 1.0)
    assert late.missed_the_gap_only and "400 ms without a frame" in late.row()
    bad = Result("x", 2.0, 0.1, 3, False, 100, 300, 180, math.inf, 4, ["Traceback"], "it ended")
    assert len(bad.faults) == 8 and not bad.missed_the_gap_only
    assert bad.megabytes_a_client == 50
    assert "1 of 2 attacks held" in summary([good, bad])


def test_lines_that_no_person_can_read() -> None:
    lines = [
        "serving at ws://127.0.0.1:1",
        "Traceback (most recent call last):",
        "x" * 400,
        "\x1b[",
    ]
    assert unreadable(lines) == lines[1:]


def test_an_attack_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_benchmark(["attacks", "--only", "no-such"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("posetalk bench attacks: no attack 'no-such'") and said.count("\n") == 1


def test_the_figures_are_written_as_json() -> None:
    row = json.loads(json.dumps(Result("x", 0.1, 0.1, 0, True, 1, 2, 1, 0.5).__dict__))
    assert row["name"] == "x" and row["tries"] == 1
