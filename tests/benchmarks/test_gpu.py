"""`posetalk bench gpu` at toy size: every part runs, is kept, and says what breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import run
from benchmarks.gpu.card import Card
from benchmarks.gpu.goals import goals, table
from benchmarks.gpu.parts import PARTS
from benchmarks.harness.processes import BenchmarkError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("not run: there is a GPU here, where the proof takes minutes")


def test_every_part_runs_without_a_card_and_is_not_run_twice(tmp_path: Path, capsys) -> None:
    output = tmp_path / "gpu.json"
    assert run.main(["--output", str(output)]) == 0
    found = json.loads(output.read_text())
    assert found["machine"]["card"] == "none: toy size on the CPU"
    assert list(found["parts"]) == list(PARTS)
    figures = {name: part["figures"] for name, part in found["parts"].items()}
    assert figures["threads"] == {"wrong answers": [0, 0]}
    exact = [gap for name, gap in figures["numerics"].items() if name.endswith("fp32")]
    assert exact and max(exact) < 1e-4
    assert all(figures["hops"][name]["p50_ms"] > 0 for name in figures["hops"])
    assert all(hop.get("captures", 0) == 0 for hop in figures["hops"].values())
    timed = [*figures["sessions"].values(), *figures["jitter"].values()]
    timed += [figures["onnxruntime"][f"starter {what}"] for what in ("hop", "N3")]
    assert all(figure["floor_ms"] > 0 for figure in timed)
    assert all(each["second_stream_captures"] == 0 for each in figures["start"].values())
    exact = [f"{name} {what}" for name in ("starter", "official") for what in ("B1", "B3", "slots")]
    assert max(figures["onnxruntime"][name] for name in exact) < 1e-3
    shown = capsys.readouterr().out.split("\njitter: ")[-1]
    assert "Without a GPU these are toys" in shown
    assert all(
        goal.found or "1,024 of" in goal.name or "4,096" in goal.name or "144" in goal.name
        for goal in goals(figures)
    )
    assert run.main(["--output", str(output)]) == 0
    again = capsys.readouterr().out
    assert not any(f"  {label}: " in again for part in figures.values() for label in part)
    assert json.loads(output.read_text()) == found


def test_the_floor_of_a_round_reads_the_weights_once(tmp_path: Path, monkeypatch) -> None:
    card = Card(tmp_path)
    speeds = {"gflops": 1e9, "gb_per_second": 1e-3}
    monkeypatch.setattr(card, "speed", lambda precision: speeds)
    one = card.floor_ms("official", "fp32")
    assert card.floor_ms("official", "fp32", sessions=64) == one > 0
    speeds.update(gflops=1e-3, gb_per_second=1e9)
    one = card.floor_ms("official", "fp32")
    assert card.floor_ms("official", "fp32", sessions=64) == pytest.approx(64 * one)


def test_what_breaks_or_is_stopped_is_noted_and_done_the_next_time(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    def fail(why: str):
        raise RuntimeError(why)

    def breaks(card):
        """Breaks."""
        yield "first", lambda: 1.0
        yield "second", partial(fail, "CUDA error:\nout of memory")

    def whole(card):
        """Is whole."""
        yield "all", lambda: [1, 2]

    monkeypatch.setattr(run, "PARTS", {"breaks": breaks, "whole": whole})
    output, both = tmp_path / "gpu.json", ["--parts", "breaks", "whole"]
    assert run.main(["--output", str(output), *both]) == 1
    parts = json.loads(output.read_text())["parts"]
    assert parts["breaks"]["state"] == "failed: RuntimeError: CUDA error: out of memory"
    assert parts["breaks"]["figures"] == {"first": 1.0} and parts["whole"]["state"] == "done"
    monkeypatch.setattr(run, "PARTS", {"breaks": whole, "whole": breaks})
    assert run.main(["--output", str(output), *both]) == 0
    assert run.main(["--output", str(tmp_path / "new.json"), "--seconds", "0", *both]) == 1
    late = json.loads((tmp_path / "new.json").read_text())["parts"]
    assert {part["state"] for part in late.values()} == {"out of time"}
    output.write_text('{"machine": {"card": "another"}, "parts": {}}')
    with pytest.raises(BenchmarkError, match="figures of another: choose another file"):
        run.main(["--output", str(output), *both])
    with pytest.raises(BenchmarkError, match="no part 'x'"):
        run.main(["--parts", "x"])


def test_a_part_that_was_stopped_goes_on_with_its_next_figure(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    """As a parent that kills it does: what was measured is in the file, and is not done again."""
    output, measured, killed = tmp_path / "gpu.json", [], [True]

    def figure(number: int) -> int:
        if number == 2 and killed.pop():
            killed.append(False)
            raise KeyboardInterrupt
        measured.append(number)
        return number

    def slow(card):
        """Three figures."""
        for number in range(3):
            yield f"figure {number}", partial(figure, number)

    monkeypatch.setattr(run, "PARTS", {"slow": slow})
    asked = ["--output", str(output), "--parts", "slow"]
    with pytest.raises(KeyboardInterrupt):
        run.main(asked)
    part = json.loads(output.read_text())["parts"]["slow"]
    assert part["state"] == "out of time" and part["figures"] == {"figure 0": 0, "figure 1": 1}
    assert run.main(asked) == 0
    assert measured == [0, 1, 2]


def test_no_figure_is_begun_after_the_time_is_over(tmp_path: Path, monkeypatch, capsys) -> None:
    now = [0.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: now[0])

    def minutes(card):
        """Each takes three minutes."""
        for number in range(4):
            yield f"figure {number}", lambda: now.__setitem__(0, now[0] + 180.0)

    monkeypatch.setattr(run, "PARTS", {"minutes": minutes, "more": minutes})
    output = tmp_path / "gpu.json"
    for expected in (["figure 0", "figure 1", "figure 2"], [f"figure {k}" for k in range(4)]):
        run.main(["--output", str(output), "--parts", "minutes", "more"])
        found = json.loads(output.read_text())["parts"]
        assert list(found["minutes"]["figures"]) == expected
        now[0] += 1.0
    assert found["minutes"]["state"] == "done" and found["more"]["state"] == "out of time"
    assert list(found["more"]["figures"]) == ["figure 0", "figure 1"]


def test_goals_say_reached_missed_and_not_measured() -> None:
    figures = {
        "numerics": {"starter B1 fp32": 2e-5, "official B1 fp32": 3e-5, "starter B1 bf16": 0.5},
        "hops": {"official K4 fp32": {"p50_ms": 4.0, "p99_ms": 4.5}},
        "eager": {"official, one window": {"ms": 900.0}},
        "sessions": {"official H10 bf16 N144": {"ms": 144.0, "times_real_time": 2.0}},
        "beside": {"fake H2 N1024": {"beside_us": 20.0}},
    }
    found = {goal.name: (goal.found, goal.reached) for goal in goals(figures)}
    assert found["fp32: largest difference of a hop from the CPU"] == ("3.0e-05", True)
    assert found["bf16: largest difference of a hop from the CPU"] == ("5.0e-01", False)
    assert found["official, K 4: p99 of a hop"] == ("4.5 ms", True)
    assert found["starter, K 1: p99 of a hop"] == (None, False)
    assert found["a hop against 500 eager steps"] == ("225 times", False)
    assert found["hops in batches against 500 eager steps, each"] == ("900 times", False)
    assert found["144 of official size, hop 10"] == ("2 times", True)
    assert found["Python of a session's hop at 1,024"] == ("20 us", False)
    text = table(figures)
    assert text.count("reached") == 3 and text.count("missed") == 4 and "not measured" in text


@pytest.mark.slow
def test_it_needs_few_packages(tmp_path: Path) -> None:
    """A machine with a card and no network has torch and its like, not what the product needs."""
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {
            "websockets", "sounddevice", "soundfile", "soxr", "av", "pythonosc",
            "prometheus_client", "rich", "pyrender", "OpenGL", "PIL",
        }:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from posetalk.__main__ import main
sys.exit(main(["bench", "gpu", "--output", sys.argv[1], "--parts", "memory", "threads"]))
"""
    output = tmp_path / "gpu.json"
    done = subprocess.run(
        [sys.executable, "-c", code, str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["parts"]["threads"]["state"] == "done"
