"""The benchmarks: their arithmetic, real runs between processes, and the page they fill."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import crowd, latency, page, quality, throughput, virtual_microphone
from benchmarks.figures import (
    STAGES,
    capture_shift,
    count,
    distribution,
    is_steady,
    playout,
    stages,
    summarise,
)
from benchmarks.floor import count_weights, floor_ms, hop_work
from benchmarks.goals import goals
from benchmarks.grid_file import read_grid
from benchmarks.plots import plots
from benchmarks.processes import BenchmarkError, Helper
from benchmarks.setting import Setting, grid
from benchmarks.svg import Limit, Series, bars, chart, ticks
from benchmarks.timing import COLUMNS
from diffposetalk.spec import ModelSpec
from stream.backends.fake import FakeBackend
from training.clips import Clip

ROOT = Path(__file__).resolve().parent.parent
FPS, HOP, LOOKAHEAD = 25, 2, 2
STAGE_SECONDS = {
    "capture": 0.004, "queue": 0.001, "window": 0.0015, "speech": 0.003, "sampler": 0.02,
    "post": 0.0005, "send": 0.0005, "receive": 0.0015,
}  # fmt: skip


def noted(frames: int = 100) -> tuple[dict[str, Any], dict[str, Any]]:
    """What process and client note of a run in which every stage takes `STAGE_SECONDS`."""
    t0, s = 1000.0, STAGE_SECONDS
    rows, arrivals = [], []
    for k in range(frames):
        end = (k // HOP + 1) * HOP + LOOKAHEAD
        captured, complete = t0 + (k + 0.5) / FPS, t0 + end / FPS
        arrived = complete + s["capture"]
        began = arrived + s["queue"]
        sampled = began + s["window"] + s["speech"] + s["sampler"]
        computed = sampled + s["post"]
        taken = computed + s["send"]
        rows.append(
            [captured, complete, arrived, began, computed, s["speech"], s["sampler"], sampled,
             taken]
        )  # fmt: skip
        arrivals.append(taken + s["receive"])
    subject = {
        "columns": COLUMNS, "rows": rows, "source": "speech.flac", "device_latency": 0.0,
        "audio_seconds": frames / FPS, "late": 0, "merges": [], "samples_dropped": 0,
        "frames_dropped": 0, "memory_mb": [80.0, 81.5], "cpu_share": 0.2, "load_seconds": 1.25,
        "warm_up_seconds": 0.5,
        "live": {
            "hop": HOP, "lookahead": LOOKAHEAD, "steps": 2, "window_rule": "adjacent",
            "audio_guidance": 1.5, "style_guidance": 1.0, "lip_noise": 1.0, "style": "neutral",
            "backend": "torch", "precision": "fp32", "device": "cpu",
            "bundle_hash": "0123456789abcdef",
        },
    }  # fmt: skip
    listener = {
        "sequences": list(range(frames)), "samples": [640 * k for k in range(frames)],
        "arrivals": arrivals, "dropped": 0, "cpu_seconds": 0.04, "memory_mb": 39.0,
    }  # fmt: skip
    return subject, listener


def result(kind: str = "latency", **values: Any) -> dict[str, Any]:
    """A results file without figures."""
    return {
        "kind": kind, "format": 2, "time": "2026-01-01 00:00:00 UTC", "revision": "abc",
        "machine": {"cpu": "a CPU", "cores": 2, "memory_gb": 4.0, "system": "an OS",
                    "load_average": [0.5, 0.25, 0.125]},
        "versions": {"python": "3.11.7"}, **values,
    }  # fmt: skip


def run_of(viewer: bool = False, **asked: Any) -> dict[str, Any]:
    """One run's figures, as `bench-latency` writes them."""
    run = summarise(*noted(), FPS)
    wish = {"steps": None, "hop": None, "lookahead": None, "source": "mic", "sessions": 1,
            "backend": "auto", "precision": None, **asked}  # fmt: skip
    drawn = {"said": "recorded 4.0 s", "memory_mb": 260.0, "cores": 0.5} if viewer else None
    return run | {"viewer": drawn, "asked": wish, "load_average": [0.1, 0.1, 0.1]}


# --- arithmetic --------------------------------------------------------------------------------
def test_percentiles_are_those_of_the_seconds_in_milliseconds() -> None:
    assert distribution(np.arange(101) / 1000) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert distribution(np.zeros(0))["max"] == 0.0


def test_stages_add_up_to_the_latency_exactly() -> None:
    subject, listener = noted()
    rows = np.array(subject["rows"])
    moments = {name: rows[:, k] for k, name in enumerate(COLUMNS)}
    arrivals = np.array(listener["arrivals"])
    parts = stages(moments, arrivals)
    assert parts.shape == (100, len(STAGES))
    np.testing.assert_allclose(parts.sum(axis=1), arrivals - rows[:, 0], atol=1e-9)
    for name, seconds in STAGE_SECONDS.items():
        np.testing.assert_allclose(parts[:, list(STAGES).index(name)], seconds, atol=1e-9)


def test_a_run_is_summarised_with_whole_calls_after_the_first_second() -> None:
    run = summarise(*noted(), FPS)
    rest = sum(STAGE_SECONDS.values()) * 1e3
    assert run["stages_ms"]["algorithm"] == {"p50": 120, "p90": 140, "p99": 140, "max": 140}
    assert run["end_to_end_ms"]["p50"] == pytest.approx(120 + rest, abs=0.01)
    assert run["end_to_end_ms"]["max"] == pytest.approx(140 + rest, abs=0.01)
    assert run["stages_ms"]["sampler"]["p99"] == pytest.approx(20, abs=0.01)
    assert run["call_ms"]["p50"] == pytest.approx(25, abs=0.01)
    assert run["real_time_factor"] == pytest.approx(25 / 80, abs=0.001)
    play = run["playout_ms"]
    assert play["after_capture"] == pytest.approx(140 + rest, abs=0.01)
    assert play["hold"] == pytest.approx(40, abs=0.01) == play["held"]["max"]
    assert run["frames"]["lost"] == 0
    # Calls end after frames 1, 3, 5, ...: frame 25 belongs to a call of the first second.
    assert run["frames"]["measured"] == 100 - 26 - HOP


def test_lost_and_repeated_frames_are_counted_and_disturb_nothing() -> None:
    subject, listener = noted()
    whole = summarise(subject, listener, FPS)
    del listener["sequences"][50], listener["arrivals"][50]
    listener["sequences"].append(60)
    listener["arrivals"].append(2000.0)
    subject["rows"][70] = [float("nan")] * len(COLUMNS)
    run = summarise(subject, listener, FPS)
    assert run["frames"]["lost"] == 1 and run["frames"]["repeated"] == 1
    assert run["frames"]["measured"] == whole["frames"]["measured"] - 2
    assert run["end_to_end_ms"]["max"] == whole["end_to_end_ms"]["max"]
    assert count([0, 2, 1], 4) == {
        "expected": 4, "received": 3, "lost": 1, "repeated": 0, "out_of_order": 1,
    }  # fmt: skip


def test_capture_is_judged_by_the_least_delayed_block_of_the_whole_run() -> None:
    captured = 5.0 + (np.arange(10) + 0.5) / FPS
    captured[:4] += 0.03  # the first blocks all came 30 ms late
    captured[7] = np.nan
    shift = capture_shift(captured, FPS)
    np.testing.assert_allclose(shift, [0.03] * 4 + [0] * 3 + [np.nan] + [0] * 2, atol=1e-12)
    subject, listener = noted()
    for row in subject["rows"][40:50]:
        row[0] -= 0.01
        row[1] -= 0.01
    later = summarise(subject, listener, FPS)
    assert later["end_to_end_ms"]["p50"] == pytest.approx(
        summarise(*noted(), FPS)["end_to_end_ms"]["p50"] + 10, abs=0.01
    )
    assert later["capture"]["live_estimate_off_ms"] == pytest.approx(10, abs=0.01)


def test_a_run_too_short_to_measure_has_no_steady_frames() -> None:
    assert not is_steady(np.arange(10.0)).any()
    assert not is_steady(np.full(3, np.nan)).any()
    run = summarise(*noted(20), FPS)
    assert run["frames"]["measured"] == 0 and run["real_time_factor"] is None


def test_playout_delay_is_met_by_99_of_100_frames() -> None:
    latencies = np.linspace(0.1, 0.199, 100)
    delay = playout(latencies)
    assert np.mean(latencies <= delay["after_capture"] / 1e3 + 1e-9) == 0.99
    assert delay["hold"] == pytest.approx(98)


def test_the_grid_is_every_combination() -> None:
    points = grid(Setting(), steps=(1, 2), hop=(2, 4), viewer=(False, True))
    assert len(points) == 8 == len(set(points))
    assert {(p.steps, p.hop, p.lookahead) for p in points} == {
        (k, h, None) for k in (1, 2) for h in (2, 4)
    }
    assert grid(Setting()) == [Setting()]
    many = grid(Setting(), backend=("torch", "fake"), sessions=(1, 3), viewer=(False, True))
    assert [(p.backend, p.sessions, p.viewer) for p in many] == [
        ("torch", 1, False), ("torch", 1, True), ("torch", 3, False),
        ("fake", 1, False), ("fake", 1, True), ("fake", 3, False),
    ]  # fmt: skip


# --- real runs ---------------------------------------------------------------------------------
def bench(tmp_path: Path, *options: str) -> dict[str, Any]:
    """`bench-latency` with the fake backend: what it wrote."""
    out = tmp_path / "out.json"
    assert latency.main(["--quick", "--backend", "fake", "--json", str(out), *options]) == 0
    results: dict[str, Any] = json.loads(out.read_text())
    return results


def test_a_quick_run_measures_every_frame_at_a_client_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--source", "file", "--viewer", "off", "--seconds", "3", "--hop", "1")
    results = bench(tmp_path, *options)
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
    results = bench(tmp_path, *options)
    (run,) = results["runs"]
    assert run["asked"]["source"] == "mic" and run["capture"]["device_ms"] > 0
    assert run["frames"]["expected"] == 60 and run["frames"]["lost"] == 0
    assert run["frames"]["dropped_samples"] == 0


@pytest.mark.slow
def test_the_viewer_draws_beside_the_run(tmp_path: Path) -> None:
    options = ("--source", "file", "--viewer", "on", "--seconds", "4", "--sessions", "1")
    (run,) = bench(tmp_path, *options)["runs"]
    assert run["frames"]["lost"] == 0
    assert "4.0 s" in run["viewer"]["said"]
    assert run["viewer"]["cores"] is None or run["viewer"]["cores"] > 0.02


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hop", "99", "--lookahead", "9"], "must fit a window"),
        (["--bundle", "no/such/bundle", "--backend", "auto"], "no/such/bundle"),
        (["--seconds", "1"], "2 or more"),
        (["--json", "no/such/folder/out.json"], "no such folder"),
        (["--precision", "bf16"], "fake has one precision"),
        (["--backend", "torch", "--precision", "int8"], "choose fp32 or bf16"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--backend", "fake", "--source", "file", "--viewer", "off", "--seconds", "2"]
    assert latency.main([*common, *options]) == 1
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
    assert f"{results['animate']['median']:.1f} times" in page.page([results])


# --- the page ----------------------------------------------------------------------------------
def test_the_page_shows_what_the_results_say_and_nothing_else(tmp_path: Path) -> None:
    results = result(runs=[run_of(), run_of(viewer=True)])
    path = tmp_path / "latency.json"
    path.write_text(json.dumps(results))
    out = tmp_path / "page.md"
    assert page.main([str(path), "-o", str(out)]) == 0
    text = out.read_text()
    assert text == page.page([results])
    end = results["runs"][0]["end_to_end_ms"]
    row = f"| **end to end** | {end['p50']:.1f} | {end['p90']:.1f} | {end['p99']:.1f} |"
    assert text.count(row) == 2
    assert text.count("with viewer") == 4  # three goals and a heading
    changed = copy.deepcopy(results)
    changed["runs"][1]["end_to_end_ms"]["p99"] = 321.0
    other = page.page([changed])
    assert "321.0" in other and other.count("**missed**") == text.count("**missed**") + 1 == 3
    assert set(re.findall(r"\d+\.\d+", other)) - set(re.findall(r"\d+\.\d+", text)) == {"321.0"}
    pictures = {path.name: path.read_text() for path in (tmp_path / "performance").iterdir()}
    assert pictures == plots([results]) and list(pictures) == ["stages.svg"]
    assert f"]({page.PICTURES}/stages.svg)" in text


def test_a_grid_is_one_table_after_the_live_defaults(tmp_path: Path) -> None:
    points = [run_of(steps=k) for k in (1, 2, 4)]
    for run, k in zip(points, (1, 2, 4), strict=True):
        run["live"] = {**run["live"], "steps": k}
    (tmp_path / "a_grid.json").write_text(json.dumps(result(runs=points)))
    (tmp_path / "b_single.json").write_text(json.dumps(result(runs=[run_of()])))
    results = page.read_results(list(tmp_path.iterdir()))
    assert [len(result["runs"]) for result in results] == [1, 3]
    text = page.page(results)
    assert text.index("**end to end**") < text.index("Side by side")
    assert [f"| 2 | 2 | {k} | no |" in text for k in (1, 2, 4)] == [True] * 3
    assert len(goals(results)) == 4  # of the live defaults alone


def test_quality_stands_beside_the_speed_of_its_own_point() -> None:
    points = [run_of(steps=k) for k in (1, 2)]
    for run, k in zip(points, (1, 2), strict=True):
        run["live"] = {**run["live"], "steps": k}
    of = {"clips": 6, "frames": 120, "seeds": 10}
    measured = result(
        "quality",
        points=[{"live": points[1]["live"], "lve_mm": 1.2345, "of": of}],
        reference={"reference": {"1": 2.0, "500": 1.6}, "live": {"hop": 96}, "of": of},
    )
    text = page.page([result(runs=points), measured])
    one, two = (
        next(line for line in text.splitlines() if f"| 2 | 2 | {k} | no |" in line) for k in (1, 2)
    )
    assert two.endswith("| 1.234 |") and one.endswith("|  |")
    assert "| 1 | 2.000 | 1.250 |" in text and "500 ancestral steps" in text
    pictures = plots([result(runs=points), measured])
    assert "H2 R2 K2" in pictures["quality.svg"] and "H2 R2 K1" not in pictures["quality.svg"]


# --- many sessions -----------------------------------------------------------------------------
def noted_crowd(sessions: int = 3, frames: int = 100, late: int = 0) -> dict[str, Any]:
    """What is noted of sessions whose frames are delivered 7 ms after their audio was due."""
    rows = np.empty((sessions, frames, 4))
    for number in range(sessions):
        for k in range(frames):
            complete = 10.0 + number + ((k // HOP + 1) * HOP + LOOKAHEAD) / FPS
            captured = 10.0 + number + (k + 0.5) / FPS
            rows[number, k] = captured, complete, complete + 0.002, complete + 0.007
    return {
        "live": noted()[0]["live"], "source": "speech", "seconds": frames / FPS,
        "rows": rows.tolist(), "late": late, "calls": 150, "merged": late, "refused": 0,
        "busy_seconds": 1.0, "rounds": 50, "workers": 2,
        "batches": [1, 2, 3] * 50, "speech_seconds": 0.25,
        "sampler_seconds": 0.5, "memory_mb": [80.0, 90.0], "cpu_share": 0.3, "load_seconds": 1.0,
        "warm_up_seconds": 0.5,
    }  # fmt: skip


def crowd_run(sessions: int, **values: Any) -> dict[str, Any]:
    asked = {"steps": None, "hop": None, "lookahead": None, "source": "file", "backend": "auto",
             "precision": None, "sessions": sessions}  # fmt: skip
    return crowd.summarise(noted_crowd(sessions)) | {
        "asked": asked, "load_average": [0.1] * 3, **values,
    }  # fmt: skip


def test_many_sessions_are_summarised_as_one_is() -> None:
    run = crowd.summarise(noted_crowd())
    assert run["end_to_end_ms"]["p50"] == pytest.approx(127, abs=0.01)
    assert run["end_to_end_ms"]["max"] == pytest.approx(147, abs=0.01)
    assert run["worst_session_p99_ms"] == pytest.approx(147, abs=0.01)
    assert run["stages_ms"]["queue"]["p99"] == pytest.approx(2, abs=0.01)
    assert run["stages_ms"]["batch"]["p99"] == pytest.approx(5, abs=0.01)
    assert run["real_time_factor"] == 0.25 and run["batch"]["mean"] == 2.0
    assert run["in_real_time"] and run["frames"]["lost"] == 0
    assert not crowd.summarise(noted_crowd(late=2))["in_real_time"]
    lost = noted_crowd()
    lost["rows"][1][50] = [float("nan")] * 4
    summary = crowd.summarise(lost)
    assert summary["frames"]["lost"] == 1 and not summary["in_real_time"]


def test_the_goal_of_many_sessions_is_the_most_that_ran_in_real_time() -> None:
    runs = [crowd_run(4), crowd_run(12), crowd_run(16, in_real_time=False)]
    results = [result(runs=runs)]
    (goal,) = goals(results)
    assert (goal.measured, goal.reached) == ("12", True) and "of 16 tried" in goal.name
    text = page.page(results)
    assert "| torch fp32 | 12 | yes |" in text and "| torch fp32 | 16 | **no** |" in text
    assert list(plots(results)) == ["sessions.svg"]
    assert [g.reached for g in goals([result(runs=runs[:1])])] == [False]


def test_sessions_run_on_the_products_own_scheduler(tmp_path: Path) -> None:
    results = bench(tmp_path, "--sessions", "5", "--seconds", "3")
    (run,) = results["runs"]
    assert run["asked"]["sessions"] == 5
    assert run["frames"]["expected"] == run["frames"]["received"] == 5 * 75
    assert run["stages_ms"]["algorithm"]["p50"] >= 119.9  # more, where late hops were merged
    assert run["end_to_end_ms"]["p50"] > 119.9 and run["batch"]["rounds"] > 0


# --- grid files, comparison, floor -------------------------------------------------------------
def test_a_grid_file_names_its_points(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(
        'seconds = 5\n[[points]]\nbackend = ["torch", "fake"]\nsteps = 2\n'
        "[[points]]\nsessions = [1, 4]\nhop = [2]\n[[points]]\nsessions = 4\nhop = 2\n"
    )
    points = read_grid(path, Setting(bundle="mine"))
    assert [(p.backend, p.steps, p.hop, p.sessions) for p in points] == [
        ("torch", 2, None, 1), ("fake", 2, None, 1), ("auto", None, 2, 1), ("auto", None, 2, 4),
    ]  # fmt: skip
    assert {(p.bundle, p.seconds) for p in points} == {("mine", 5.0)}
    assert read_grid(ROOT / "benchmarks" / "grid.toml", Setting())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no [[points]]"), ("colour = 1\n[[points]]", "colour"), ("[[points", "grid.toml"),
        ("[[points]]\nsize = 3", "'size' is none of"), ("points = [3]", "begin with"),
        ('[[points]]\nsteps = "2"', "is no int"), ("[[points]]\nsteps = true", "is no int"),
        ("[[points]]\nsessions = [0]", "1 or more"), ("seconds = 1\n[[points]]", "from 2 up"),
    ],
)  # fmt: skip
def test_a_wrong_grid_file_is_one_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    assert latency.main(["--backend", "fake", "--grid", str(path)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"bench-latency: --grid {path}: ") and words in line


def test_two_files_are_compared_point_by_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = run_of(), run_of()
    after["end_to_end_ms"] = {**after["end_to_end_ms"], "p99": 2 * before["end_to_end_ms"]["p99"]}
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    paths[0].write_text(json.dumps(result(runs=[before, crowd_run(4)])))
    paths[1].write_text(json.dumps(result(runs=[after])))
    assert latency.main(["--compare", *map(str, paths)]) == 0
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "p99 ms" in line]
    assert line.endswith("2.000") and "1 points are in one of the files only" in printed
    paths[1].write_text(json.dumps(result(runs=[crowd_run(8)])))
    assert latency.main(["--compare", *map(str, paths)]) == 1
    assert "no point in common" in capsys.readouterr().err


def test_the_floor_counts_products_and_bytes() -> None:
    spec = ModelSpec()
    live = {"hop": 10, "lookahead": 2, "steps": 4, "window_rule": "sliding", "precision": "bf16",
            "audio_guidance": 1.15, "style_guidance": 3.0}  # fmt: skip
    weights = {"denoiser": 25e6, "speech": 95e6}
    work = hop_work(spec, live, weights)
    rows, d = 1 + 10 + 100, 512
    sampler = 2 * 4 * 3 * 8 * rows * (12 * d * d + 2 * rows * d)  # steps, branches, layers
    assert work["bytes"] == 2 * (4 * 25e6 + 95e6)
    assert sampler < work["operations"] < 2.5 * sampler
    one_branch = {**live, "audio_guidance": 1.0, "style_guidance": 1.0}
    saved = work["operations"] - hop_work(spec, one_branch, weights)["operations"]
    assert saved == pytest.approx(sampler * 2 / 3)
    floor = floor_ms({"operations": 3e9, "bytes": 1e8}, {"gflops": 100.0, "gb_per_second": 20.0})
    assert floor == {"arithmetic": 30.0, "memory": 5.0, "floor": 30.0}
    names = {"denoising_net.a": 3, "denoising_net.multihead_attn.b": 5, "audio_encoder.c": 7}
    assert count_weights(names) == {"denoiser": 3.0, "speech": 12.0}


def test_pictures_are_valid_and_small() -> None:
    import xml.etree.ElementTree as ElementTree

    lines = chart("A < B", "x", "y", [Series("one", [(1, 2), (3, 4)], ["p"])], Limit(3, "here"))
    stacked = bars("T", "ms", [("a & b", {"p": 1.0, "q": 2.0}), ("c", {"p": 3.5})])
    for text in (lines, stacked):
        root = ElementTree.fromstring(text)
        assert root.tag.endswith("svg") and len(text) < 10_000
    assert ticks(0, 170) == [0, 50, 100, 150, 200] and ticks(2.0, 2.4) == [2.0, 2.1, 2.2, 2.3, 2.4]
    assert ticks(5, 5)[0] <= 5 < ticks(5, 5)[-1]


def test_quality_needs_clips_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POSETALK_DATA", raising=False)
    assert latency.main(["--quality", "only"]) == 1
    assert "POSETALK_DATA" in capsys.readouterr().err


def test_the_lip_error_is_of_every_clip_and_seed() -> None:
    shut = np.zeros((20, 54), np.float32)
    clips = [
        Clip(name, "sentences", "neutral", np.zeros(640 * 20, np.float32), label, ())
        for name, label in (("a", shut), ("b", shut + np.eye(54, dtype=np.float32)[-1] * 0.1))
    ]
    takes = quality.takes_of(clips, 2)
    assert [(take.samples is clips[0].samples, take.seed) for take in takes] == [
        (True, 0), (True, 1), (False, 0), (False, 1),
    ]  # fmt: skip
    errors = quality.lip_errors(FakeBackend().head_id, np.stack([shut] * 4), clips)
    assert errors[:2] == [0.0, 0.0] and min(errors[2:]) > 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not JSON"), ("[]", "not written by"), ('{"kind": "latency"}', "another version")],
)
def test_files_that_are_no_results_are_one_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert page.main([str(path), "-o", str(tmp_path / "page.md")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


def test_the_committed_page_is_the_one_of_the_committed_results() -> None:
    committed = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    written = (ROOT / "docs" / "performance.md").read_text("utf-8")
    results = page.read_results(committed)
    assert written == page.page(results), "run `python -m benchmarks.page`"
    pictures = (ROOT / "docs" / page.PICTURES).glob("*.svg")
    assert {path.name: path.read_text("utf-8") for path in pictures} == plots(results)
    assert sum(len(text) for text in plots(results).values()) < 300_000
