"""What runs noted becomes figures, goals, pictures and the page."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
from noted_runs import (
    FPS,
    HOP,
    STAGE_SECONDS,
    many_sessions_run,
    noted,
    noted_many_sessions,
    result,
    run_of,
)

from benchmarks.__main__ import main as run_benchmark
from benchmarks.harness.probes import COLUMNS
from benchmarks.harness.setting import Setting
from benchmarks.latency import bench, many_sessions, percentiles
from benchmarks.latency.percentiles import (
    STAGES,
    capture_shift,
    count,
    distribution,
    is_steady,
    playout,
    stages,
    summarise,
)
from benchmarks.latency.roofline import count_weights, hop_work, roofline_ms
from benchmarks.latency.terminal_report import overview
from benchmarks.pages import performance
from benchmarks.pages.goals import goals
from benchmarks.pages.plots import plots
from benchmarks.pages.svg import Limit, Series, bars, chart
from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.spec import ModelSpec
from training.evaluation.spoken_figures import FIGURES

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = load_bundle("starter").hash


# --- arithmetic --------------------------------------------------------------------------------
def test_percentiles_are_those_of_the_seconds_in_milliseconds() -> None:
    assert distribution(np.arange(101) / 1000) == {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert distribution(np.zeros(0))["max"] == 0.0


def test_stages_add_up_to_the_latency_exactly() -> None:
    server, client = noted()
    rows = np.array(server["rows"])
    moments = {name: rows[:, k] for k, name in enumerate(COLUMNS)}
    arrivals = np.array(client["arrivals"])
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
    server, client = noted()
    whole = summarise(server, client, FPS)
    del client["sequences"][50], client["arrivals"][50]
    client["sequences"].append(60)
    client["arrivals"].append(2000.0)
    server["rows"][70] = [float("nan")] * len(COLUMNS)
    run = summarise(server, client, FPS)
    assert run["frames"]["lost"] == 1 and run["frames"]["repeated"] == 1
    assert run["frames"]["measured"] == whole["frames"]["measured"] - 2
    assert run["end_to_end_ms"]["max"] == whole["end_to_end_ms"]["max"]
    assert count([0, 2, 1], 4) == {
        "expected": 4,
        "received": 3,
        "lost": 1,
        "repeated": 0,
        "out_of_order": 1,
    }


def test_capture_is_judged_by_the_least_delayed_block_of_the_whole_run() -> None:
    captured = 5.0 + (np.arange(10) + 0.5) / FPS
    captured[:4] += 0.03  # the first blocks all came 30 ms late
    captured[7] = np.nan
    shift = capture_shift(captured, FPS)
    np.testing.assert_allclose(shift, [0.03] * 4 + [0] * 3 + [np.nan] + [0] * 2, atol=1e-12)
    server, client = noted()
    for row in server["rows"][40:50]:
        row[0] -= 0.01
        row[1] -= 0.01
    later = summarise(server, client, FPS)
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


def test_many_sessions_are_summarised_as_one_is() -> None:
    run = many_sessions.summarise(noted_many_sessions())
    assert run["end_to_end_ms"]["p50"] == pytest.approx(127, abs=0.01)
    assert run["end_to_end_ms"]["max"] == pytest.approx(147, abs=0.01)
    assert run["worst_session_p99_ms"] == pytest.approx(147, abs=0.01)
    assert run["stages_ms"]["queue"]["p99"] == pytest.approx(2, abs=0.01)
    assert run["stages_ms"]["batch"]["p99"] == pytest.approx(5, abs=0.01)
    assert run["real_time_factor"] == 0.25 and run["batch"]["mean"] == 2.0
    assert run["in_real_time"] and run["frames"]["lost"] == 0
    assert not many_sessions.summarise(noted_many_sessions(late=2))["in_real_time"]
    lost = noted_many_sessions()
    lost["rows"][1][50] = [float("nan")] * 4
    summary = many_sessions.summarise(lost)
    assert summary["frames"]["lost"] == 1 and not summary["in_real_time"]


def test_the_floor_counts_products_and_bytes() -> None:
    spec = ModelSpec()
    live = {
        "hop": 10,
        "lookahead": 2,
        "steps": 4,
        "window_rule": "sliding",
        "precision": "bf16",
        "audio_guidance": 1.15,
        "style_guidance": 3.0,
    }
    weights = {"denoiser": 25e6, "speech": 95e6}
    work = hop_work(spec, live, weights)
    rows, d = 1 + 10 + 100, 512
    sampler = 2 * 4 * 3 * 8 * rows * (12 * d * d + 2 * rows * d)  # steps, branches, layers
    assert work["bytes"] == 2 * (4 * 25e6 + 95e6)
    assert sampler < work["operations"] < 2.5 * sampler
    one_branch = {**live, "audio_guidance": 1.0, "style_guidance": 1.0}
    saved = work["operations"] - hop_work(spec, one_branch, weights)["operations"]
    assert saved == pytest.approx(sampler * 2 / 3)
    roofline = roofline_ms(
        {"operations": 3e9, "bytes": 1e8}, {"gflops": 100.0, "gb_per_second": 20.0}
    )
    assert roofline == {"arithmetic": 30.0, "memory": 5.0, "roofline": 30.0}
    names = {"denoising_net.a": 3, "denoising_net.multihead_attn.b": 5, "audio_encoder.c": 7}
    assert count_weights(names) == {"denoiser": 3.0, "speech": 12.0}


# --- the page ----------------------------------------------------------------------------------
def test_the_page_shows_what_the_results_say_and_nothing_else(tmp_path: Path) -> None:
    results = result(runs=[run_of(), run_of(viewer=True)])
    path = tmp_path / "latency.json"
    path.write_text(json.dumps(results))
    out = tmp_path / "page.md"
    assert performance.main([str(path), "-o", str(out)]) == 0
    text = out.read_text()
    assert text == performance.page([results], SHIPPED)
    end = results["runs"][0]["end_to_end_ms"]
    row = f"| **end to end** | {end['p50']:.1f} | {end['p90']:.1f} | {end['p99']:.1f} |"
    assert text.count(row) == 2
    assert text.count("with viewer") == 4  # three goals and a heading
    changed = copy.deepcopy(results)
    changed["runs"][1]["end_to_end_ms"]["p99"] = 321.0
    other = performance.page([changed], SHIPPED)
    assert "321.0" in other and other.count("**missed**") == text.count("**missed**") + 1 == 3
    assert set(re.findall(r"\d+\.\d+", other)) - set(re.findall(r"\d+\.\d+", text)) == {"321.0"}
    pictures = {path.name: path.read_text() for path in (tmp_path / "performance").iterdir()}
    assert pictures == plots([results]) and list(pictures) == ["stages.svg"]
    assert f"]({performance.PICTURES}/stages.svg)" in text


def test_a_grid_is_one_table_after_the_live_defaults(tmp_path: Path) -> None:
    points = [run_of(steps=k) for k in (1, 2, 4)]
    for run, k in zip(points, (1, 2, 4), strict=True):
        run["live"] = {**run["live"], "steps": k}
    (tmp_path / "a_grid.json").write_text(json.dumps(result(runs=points)))
    (tmp_path / "b_single.json").write_text(json.dumps(result(runs=[run_of()])))
    results = performance.read_results(list(tmp_path.iterdir()))
    assert [len(result["runs"]) for result in results] == [1, 3]
    text = performance.page(results)
    assert text.index("**end to end**") < text.index("Side by side")
    assert [f"| 2 | 2 | {k} | no |" in text for k in (1, 2, 4)] == [True] * 3
    assert len(goals(results)) == 4  # of the live defaults alone


def test_quality_stands_beside_the_speed_of_its_own_point() -> None:
    points = [run_of(steps=k) for k in (1, 2)]
    for run, k in zip(points, (1, 2), strict=True):
        run["live"] = {**run["live"], "steps": k}
    of = {"clips": 6, "frames": 120, "seeds": 10}
    figures = {name: [81.5 if name == "closures" else 1.25, 0.1] for name in FIGURES}
    spoken = {"figures": {**figures, "rounded": [None, None]}, "of": {**of, "voices": ["a"]}}
    measured = result(
        "quality",
        points=[{"live": points[1]["live"], "lve_mm": 1.2345, "of": of, "spoken": spoken}],
        reference={"reference": {"1": 2.0, "500": 1.6}, "live": {"hop": 96}, "of": of},
    )
    text = performance.page([result(runs=points), measured])
    one, two = (
        next(line for line in text.splitlines() if f"| 2 | 2 | {k} | no |" in line) for k in (1, 2)
    )
    assert two.endswith("| 81.50 | 1.25 |  | 1.25 | 1.25 | 1.25 | 1.25 |") and one.endswith("|  |")
    assert "| 1.234 |" in text and "Synthetic speech: 6 clips" in text
    assert "| 1 | 2.000 | 1.250 |" in text and "500 ancestral steps" in text
    pictures = plots([result(runs=points), measured])
    assert "H2 R2 K2" in pictures["quality.svg"] and "H2 R2 K1" not in pictures["quality.svg"]


def test_a_terminal_shows_all_runs_side_by_side() -> None:
    few, many = run_of(), run_of()
    many["live"] = {**many["live"], "steps": 8}
    head, *rows = overview([few, many]).splitlines()
    assert "P/B/M" not in head and [row.split()[4] for row in rows] == ["2", "8"]
    figures = {"closures": 71.5, "vowels_open": 90.0, "rounded": 60.0, "lve": 3.25}
    spoken = {"figures": {name: [value, 0.1] for name, value in figures.items()}}
    head, first, second = overview([few, many | {"quality": {"spoken": spoken}}]).splitlines()
    assert head.endswith("LVE mm")
    assert second.split()[-4:] == ["71.50", "90.00", "60.00", "3.25"]
    assert f"{few['end_to_end_ms']['p99']:.1f}" in first.split() and first.split()[-1] == "0"


def test_the_goal_of_many_sessions_is_the_most_that_ran_in_real_time() -> None:
    runs = [many_sessions_run(4), many_sessions_run(12), many_sessions_run(16, in_real_time=False)]
    results = [result(runs=runs)]
    (goal,) = goals(results)
    assert (goal.measured, goal.reached) == ("12", True) and "of 16 tried" in goal.name
    text = performance.page(results)
    assert "| torch fp32 | 12 | yes |" in text and "| torch fp32 | 16 | **no** |" in text
    assert list(plots(results)) == ["sessions.svg"]
    assert [g.reached for g in goals([result(runs=runs[:1])])] == [False]


def test_pictures_are_valid_and_small() -> None:
    import xml.etree.ElementTree as ElementTree

    lines = chart("A < B", "x", "y", [Series("one", [(1, 2), (3, 4)], ["p"])], Limit(3, "here"))
    stacked = bars("T", "ms", [("a & b", {"p": 1.0, "q": 2.0}), ("c", {"p": 3.5})])
    for text in (lines, stacked):
        root = ElementTree.fromstring(text)
        assert root.tag.endswith("svg") and len(text) < 30_000
        assert "here" in text or "a &amp; b" in text
    assert lines == chart(
        "A < B", "x", "y", [Series("one", [(1, 2), (3, 4)], ["p"])], Limit(3, "here")
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not JSON"), ("[]", "not written by"), ('{"kind": "latency"}', "another version")],
)
def test_files_that_are_no_results_are_one_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert run_benchmark(["page", str(path), "-o", str(tmp_path / "page.md")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


def test_figures_of_an_earlier_starter_are_named() -> None:
    own = result(runs=[run_of()])
    [hash_] = {run["live"]["bundle_hash"] for run in own["runs"]}
    assert "earlier" not in performance.page([own], hash_)
    text = performance.page([own], "fedcba9876543210")
    assert "ships is bundle fedcba987654." in text
    assert f"latency and many sessions (bundle {hash_[:12]})" in text


def test_the_committed_page_is_the_one_of_the_committed_results() -> None:
    committed = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    written = (ROOT / "docs" / "performance.md").read_text("utf-8")
    results = performance.read_results(committed)
    assert written == performance.page(results, SHIPPED), "run `posetalk bench page`"
    pictures = (ROOT / "docs" / performance.PICTURES).glob("*.svg")
    assert {path.name: path.read_text("utf-8") for path in pictures} == plots(results)
    assert sum(len(text) for text in plots(results).values()) < 300_000


def test_an_interval_says_how_little_ten_seconds_know_of_a_99th_percentile() -> None:
    few, many = np.arange(223) / 1000.0, np.arange(20_000) / 1000.0
    low, high = percentiles.interval(few, 0.99)
    assert low <= 220.0 and high is None
    low, high = percentiles.interval(many, 0.99)
    assert high is not None and low < 19_800 < high and high - low < 80
    low, high = percentiles.interval(few, 0.5)
    assert low < 111 < (high or 0) and 25 < (high or 0) - low < 35


def test_repeats_show_the_middle_run_and_the_spread_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    p99 = iter((130.0, 110.0, 120.0))
    monkeypatch.setattr(
        bench, "measure", lambda *_: {"end_to_end_ms": {"p50": 100.0, "p99": next(p99)}}
    )
    run = bench.measured_often(Setting(), None, "", 3)
    assert run["end_to_end_ms"]["p99"] == 120.0
    assert run["repeats"] == {
        "count": 3,
        "p50": (100.0, 0.0),
        "p99": (pytest.approx(120.0), pytest.approx(4.303 * 10 / 3**0.5, rel=1e-3)),
    }
