"""The benchmark commands: real runs between processes, the points they measure, their mistakes."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noted_runs import FPS, LOOKAHEAD, many_sessions_run, result, run_of

from benchmarks.harness import virtual_microphone
from benchmarks.harness.precision import Exports
from benchmarks.harness.processes import BenchmarkError, Helper
from benchmarks.harness.server_process import open_model, open_timed
from benchmarks.harness.setting import Setting, grid
from benchmarks.latency.__main__ import main
from benchmarks.latency.grid_file import read_grid
from benchmarks.latency.percentiles import STAGES
from benchmarks.pages import performance
from benchmarks.pages.goals import goals
from benchmarks.quality import lip_error
from benchmarks.throughput import run as throughput
from diffposetalk.bundle.bundle import load_bundle
from export.onnx_export import export_onnx
from stream.backends.fake import FakeBackend
from training.evaluation.clips import EvaluationClip

ROOT = Path(__file__).resolve().parents[2]


# --- real runs ---------------------------------------------------------------------------------


def measured(tmp_path: Path, *options: str) -> dict[str, Any]:
    """`bench-latency` with the fake backend: what it wrote."""
    out = tmp_path / "out.json"
    assert main(["--quick", "--backend", "fake", "--json", str(out), *options]) == 0
    results: dict[str, Any] = json.loads(out.read_text())
    return results


def test_a_quick_run_measures_every_frame_at_a_client_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--source", "file", "--viewer", "off", "--seconds", "3", "--hop", "1")
    results = measured(tmp_path, *options)
    printed = capsys.readouterr().out
    (run,) = results["runs"]
    assert run["frames"]["expected"] == run["frames"]["received"] == 75
    assert run["frames"]["lost"] == run["frames"]["out_of_order"] == 0
    assert 0 < run["frames"]["measured"] <= 50
    assert (run["live"]["hop"], run["live"]["lookahead"]) == (1, 2)
    parts, whole = run["stages_ms"], run["end_to_end_ms"]
    assert list(parts) == list(STAGES)
    assert parts["algorithm"]["p50"] >= 99.99  # R + H - 1/2 frames; more where hops merged
    assert 100 < whole["p50"] <= whole["p90"] <= whole["p99"] <= whole["max"]
    assert parts["speech"]["p50"] > 0 and parts["send"]["p50"] > 0 and parts["receive"]["p50"] > 0
    assert run["real_time_factor"] > 0
    assert "END TO END" in printed and f"{whole['p99']:.1f}" in printed
    assert results["machine"]["cores"] >= 1 and results["versions"]["numpy"] == np.__version__
    assert goals([results]) == []  # no model ran, so no goal was reached or missed


def test_the_microphone_path_is_measured(tmp_path: Path) -> None:
    if reason := virtual_microphone.missing():
        pytest.skip(f"not run: {reason}")
    options = ("--source", "mic", "--viewer", "off", "--seconds", "2.4", "--sessions", "1")
    results = measured(tmp_path, *options)
    (run,) = results["runs"]
    assert run["asked"]["source"] == "mic" and run["capture"]["device_ms"] > 0
    assert run["frames"]["expected"] == 60 and run["frames"]["lost"] == 0
    assert run["frames"]["dropped_samples"] == 0


@pytest.mark.slow
def test_the_viewer_draws_beside_the_run(tmp_path: Path) -> None:
    options = ("--source", "file", "--viewer", "on", "--seconds", "4", "--sessions", "1")
    (run,) = measured(tmp_path, *options)["runs"]
    assert run["frames"]["lost"] == 0
    assert "4.0 s" in run["viewer"]["said"]
    assert run["viewer"]["cores"] is None or run["viewer"]["cores"] > 0.02


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--hop", "99", "--lookahead", "9"], 1, "must fit a window"),
        (["--bundle", "no/such/bundle", "--backend", "auto"], 1, "no/such/bundle"),
        (["--seconds", "1"], 2, "2 or more"),
        (["--json", "no/such/folder/out.json"], 2, "no such folder"),
        (["--precision", "bf16"], 1, "fake has one precision"),
        (["--backend", "torch", "--precision", "int8"], 1, "choose fp32, bf16"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    options: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--backend", "fake", "--source", "file", "--viewer", "off", "--seconds", "2"]
    assert main([*common, *options]) == code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("bench-latency: ") and words in last


def test_a_helper_that_dies_says_why() -> None:
    with (
        Helper("benchmarks.no_such_module", {}) as helper,
        pytest.raises(BenchmarkError, match="No module named"),
    ):
        helper.receive(20)


def test_throughput_of_the_fake_backend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "throughput.json"
    options = ["--parts", "animate", "memory", "start", "--backend", "fake", "--minutes", "5"]
    assert throughput.main([*options, "--repeats", "1", "--json", str(out)]) == 0
    results = json.loads(out.read_text())
    assert results["animate"]["median"] > 0 and results["animate"]["audio_seconds"] > 20
    assert results["memory"]["minute"] == [1, 5]
    assert results["memory"]["frames"] == 5 * 60 * FPS - LOOKAHEAD
    assert set(results["start"]["median"]) == {"none", "offscreen"}
    assert all(seconds > 0 for seconds in results["start"]["median"].values())
    assert "times real time" in capsys.readouterr().out
    assert f"{results['animate']['median']:.1f} times" in performance.page([results])


def test_sessions_run_on_the_products_own_scheduler(tmp_path: Path) -> None:
    results = measured(tmp_path, "--sessions", "5", "--seconds", "3")
    (run,) = results["runs"]
    assert run["asked"]["sessions"] == 5
    assert run["frames"]["expected"] == run["frames"]["received"] == 5 * 75
    assert run["stages_ms"]["algorithm"]["p50"] >= 119.9  # more, where late hops were merged
    assert run["end_to_end_ms"]["p50"] > 119.9 and run["batch"]["rounds"] > 0


# --- the points of a grid ----------------------------------------------------------------------


def test_the_grid_is_every_combination() -> None:
    points = grid(Setting(), steps=(1, 2), hop=(2, 4), viewer=(False, True))
    assert len(points) == 8 == len(set(points))
    assert {(p.steps, p.hop, p.lookahead) for p in points} == {
        (k, h, None) for k in (1, 2) for h in (2, 4)
    }
    assert grid(Setting()) == [Setting()]
    many = grid(Setting(), backend=("torch", "fake"), sessions=(1, 3), viewer=(False, True))
    assert [(p.backend, p.sessions, p.viewer) for p in many] == [
        ("torch", 1, False),
        ("torch", 1, True),
        ("torch", 3, False),
        ("fake", 1, False),
        ("fake", 1, True),
        ("fake", 3, False),
    ]


def test_a_grid_file_names_its_points(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(
        'seconds = 5\n[[points]]\nbackend = ["torch", "fake"]\nsteps = 2\n'
        "[[points]]\nsessions = [1, 4]\nhop = [2]\n[[points]]\nsessions = 4\nhop = 2\n"
    )
    points = read_grid(path, Setting(bundle="mine"))
    assert [(p.backend, p.steps, p.hop, p.sessions) for p in points] == [
        ("torch", 2, None, 1),
        ("fake", 2, None, 1),
        ("auto", None, 2, 1),
        ("auto", None, 2, 4),
    ]
    assert {(p.bundle, p.seconds) for p in points} == {("mine", 5.0)}
    assert read_grid(ROOT / "benchmarks" / "grid.toml", Setting())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no [[points]]"),
        ("colour = 1\n[[points]]", "colour"),
        ("[[points", "grid.toml"),
        ("[[points]]\nsize = 3", "'size' is none of"),
        ("points = [3]", "begin with"),
        ('[[points]]\nsteps = "2"', "is no int"),
        ("[[points]]\nsteps = true", "is no int"),
        ("[[points]]\nsessions = [0]", "1 or more"),
        ("seconds = 1\n[[points]]", "from 2 up"),
    ],
)
def test_a_wrong_grid_file_is_one_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    assert main(["--backend", "fake", "--grid", str(path)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"bench-latency: --grid {path}: ") and words in line


# --- comparison and quality --------------------------------------------------------------------


def test_two_files_are_compared_point_by_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = run_of(), run_of()
    after["end_to_end_ms"] = {**after["end_to_end_ms"], "p99": 2 * before["end_to_end_ms"]["p99"]}
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    paths[0].write_text(json.dumps(result(runs=[before, many_sessions_run(4)])))
    paths[1].write_text(json.dumps(result(runs=[after])))
    assert main(["--compare", *map(str, paths)]) == 0
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "p99 ms" in line]
    assert line.endswith("2.000") and "1 points are in one of the files only" in printed
    paths[1].write_text(json.dumps(result(runs=[many_sessions_run(8)])))
    assert main(["--compare", *map(str, paths)]) == 1
    assert "no point in common" in capsys.readouterr().err


def test_the_lip_error_is_of_every_clip_and_seed() -> None:
    shut = np.zeros((20, 54), np.float32)
    clips = [
        EvaluationClip(name, "sentences", "neutral", np.zeros(640 * 20, np.float32), label, ())
        for name, label in (("a", shut), ("b", shut + np.eye(54, dtype=np.float32)[-1] * 0.1))
    ]
    rollouts = lip_error.rollouts_of(clips, 2)
    assert [(each.samples is clips[0].samples, each.seed) for each in rollouts] == [
        (True, 0),
        (True, 1),
        (False, 0),
        (False, 1),
    ]
    errors = lip_error.lip_errors(FakeBackend().head_id, np.stack([shut] * 4), clips)
    assert errors[:2] == [0.0, 0.0] and min(errors[2:]) > 1.0


def test_any_point_of_the_grid_can_be_prepared() -> None:
    """Every precision and number of steps has a bundle that a session speaks by."""
    with contextlib.ExitStack() as stack:
        exports = Exports(stack)
        for setting in grid(
            Setting(), backend=["onnxruntime"], precision=["fp32", "int8"], steps=[1, 4]
        ):
            session = open_model(exports.prepared(setting)).session
            sound = np.zeros(640 * (session.hop + session.lookahead), np.float32)
            assert session.steps == setting.steps and len(session.feed(sound)) == session.hop


def test_whole_hops_are_timed_as_the_sampler(tmp_path: Path) -> None:
    export_onnx(load_bundle("starter"), (1,), out=tmp_path / "hops", whole_hops=True)
    setting = Setting(backend="onnxruntime", bundle=str(tmp_path / "hops"))
    session, timed = open_timed(setting, time.perf_counter)
    began = time.perf_counter()
    session.feed(np.zeros(640 * 12, np.float32))
    _, sampler, sampled = timed.take()
    assert 0 < sampler < time.perf_counter() - began
    assert began < sampled < time.perf_counter()


@pytest.mark.slow
def test_a_grid_off_every_default_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "grid.json"
    options = ["--backend", "onnxruntime", "--steps", "1", "4", "--precision", "fp32", "int8"]
    options += ["--hop", "1", "5", "--seconds", "3", "--source", "file", "--viewer", "off"]
    assert main([*options, "--json", str(out)]) == 0
    runs = json.loads(out.read_text())["runs"]
    points = {
        (run["asked"]["precision"], run["asked"]["steps"], run["asked"]["hop"]) for run in runs
    }
    assert len(points) == len(runs) == 8
    for run in runs:
        assert run["frames"]["lost"] == 0 and 0 < run["end_to_end_ms"]["p50"] < 5000
