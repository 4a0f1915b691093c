"""`posetalk bench gpu` at toy size: every part runs, is kept, and says what breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import run
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
    assert all(part["floor_ms"] > 0 for part in figures["sessions"].values())
    capsys.readouterr()
    assert run.main(["--output", str(output)]) == 0
    assert "fp32" not in capsys.readouterr().out
    assert json.loads(output.read_text()) == found


def test_what_breaks_or_is_stopped_is_noted_and_done_the_next_time(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    def breaks(card):
        """Breaks."""
        yield "first", 1.0
        raise RuntimeError("CUDA error:\nout of memory")

    def whole(card):
        """Is whole."""
        yield "all", [1, 2]

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
