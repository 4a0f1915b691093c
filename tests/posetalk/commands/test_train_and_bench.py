"""`posetalk train` and `posetalk bench`: every part can be asked for its options, and runs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from cli import call, finish, start

from benchmarks.__main__ import MODULES
from benchmarks.__main__ import main as run_benchmark
from posetalk.commands import bench, train
from posetalk.commands.models.train import PARTS


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_training_lists_its_options(
    part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text, _ = call(["train", part, "--help"], capsys)
    assert code == 0 and f"posetalk train {part}" in text
    where = PARTS[part]  # type: ignore[index]
    module = importlib.import_module(where.module)
    assert callable(module.main) and hasattr(module, where.settings)


def test_names_that_are_no_part_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(get_args(train.PartName)) == set(PARTS)
    for wrong in (["train", "nothing"], ["train"], ["bench", "nothing"]):
        code, _, messages = call(wrong, capsys)
        assert code == 2 and messages
    code, _, _ = call(["train", "tracks", "--nothing"], capsys)
    assert code == 2


def test_what_a_part_refuses_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--tracks", str(tmp_path / "none"), "--folder", str(tmp_path / "table")]
    code, _, messages = call(["train", "ablations", *where], capsys)
    assert code == 1
    assert messages == f"posetalk: no tracks in {tmp_path / 'none'}: run posetalk train tracks\n"


def test_options_of_a_part_reach_its_settings() -> None:
    told = train.parse(["starter", "--style-steps", "3", "--no-bf16", "--debug"])
    assert told is not None and told.debug
    assert (told.settings.style_steps, told.settings.bf16) == (3, False)


def test_the_bundle_between_two_is_made_by_a_command(tmp_path: Path) -> None:
    out = tmp_path / "between"
    made = start("train", "average", "starter", "starter", "--out", str(out), cwd=tmp_path)
    code, _, messages = finish(made, 280)
    assert code == 0, messages
    from diffposetalk.bundle.bundle import load_bundle

    own, between = load_bundle("starter"), load_bundle(out)
    assert between.provenance["made_by"] == "posetalk train average"
    np.testing.assert_array_equal(between.statistics.motion_std, own.statistics.motion_std)


def test_every_benchmark_is_a_module_with_a_main() -> None:
    assert set(MODULES) == set(get_args(bench.BenchName))
    for name in MODULES.values():
        assert callable(importlib.import_module(name).main)


@pytest.mark.parametrize("name", ["throughput", "curves", "official", "page", "head-sheet"])
def test_benchmarks_list_their_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_benchmark([name, "--help"])
    assert ended.value.code == 0 and f"posetalk bench {name}" in capsys.readouterr().out


def test_bench_hands_its_options_over(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[]")
    code, _, messages = finish(start("bench", "page", "bad.json", cwd=tmp_path), 250)
    assert code == 1 and "bad.json: not written by" in messages
    code, text, _ = finish(start("bench", "soak", "--help", cwd=tmp_path), 250)
    assert code == 0 and "--minutes" in text
    assert run_benchmark(["nothing"]) == 2


def test_the_page_on_a_bundle_is_asked_of_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.reports import starter_report

    asked: list[starter_report.ReportSettings] = []
    monkeypatch.setattr(starter_report, "main", asked.append)
    page = tmp_path / "page.md"
    code, _, _ = call(["evaluate", "starter", "--page", str(page), "--minutes", "0"], capsys)
    assert code == 0
    assert asked == [starter_report.ReportSettings("starter", minutes=0, page=page)]
    for wrong in (["--steps", "2"], ["--set", "words"], ["-o", "a.md"], ["other"]):
        code, _, messages = call(["evaluate", "starter", *wrong, "--page", str(page)], capsys)
        assert code == 2 and "--page" in messages
    code, _, messages = call(["evaluate", "starter", "--reverse", str(tmp_path)], capsys)
    assert code == 2 and "--page" in messages
    assert len(asked) == 1
