"""Peers: the same phones judge everybody; what cannot be had says why."""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.processes import BenchmarkError
from benchmarks.peers import packages, python_peers
from benchmarks.peers.clips import PeerClip, write
from benchmarks.peers.packages import PEERS, Peer, install
from benchmarks.peers.scores import FIGURES, OPENINGS, auc, best_lag, expected, score
from benchmarks.peers.table import section
from training.labels.phones import INVENTORY, Phone

WORDS = ("SIL", "B", "AA", "M", "UW", "P", "IY", "T", "AE", "SIL")


def clip(name: str, seed: int) -> PeerClip:
    rng = np.random.default_rng(seed)
    at, phones = 0.0, []
    for _ in range(3):
        for word in WORDS:
            length = 0.5 if word == "SIL" else float(rng.uniform(0.08, 0.16))
            phones.append(Phone(word, at, length))
            at += length
    samples = 0.1 * rng.standard_normal(int((at + 1.0) * 16_000))
    return PeerClip(name, samples.astype(np.float32), tuple(phones))


CLIPS = [clip(f"c{seed}", seed) for seed in range(6)]


def curves(late: int = 0, flat: bool = False) -> dict[str, dict[str, list[float]]]:
    """A mouth that does what the phones do, `late` cells later."""
    found = {}
    for one in CLIPS:
        cells = len(one.samples) // 160 + 1
        opening = np.zeros(cells)
        rounding = np.zeros(cells)
        for phone in one.phones:
            part = slice(int(phone.start * 100), int(phone.end * 100))
            opening[part] = OPENINGS[phone.name]
            rounding[part] = float(phone.name == "UW")
        if flat:
            opening[:] = 0.5
        opening = np.concatenate([np.zeros(late), opening])[:cells]
        rounding = np.concatenate([np.zeros(late), rounding])[:cells]
        found[one.id] = {"open": opening.tolist(), "round": rounding.tolist()}
    return found


@pytest.mark.parametrize("late", [0, 7, 20])
def test_a_mouth_that_does_what_the_phones_do_is_perfect_at_its_own_lag(late: int) -> None:
    told = score(CLIPS, curves(late))
    assert told["lag_ms"] == pytest.approx(10 * late, abs=10)
    assert told["n_closures"] == 6 * 3 * 3 and told["clips"] == 6
    assert told["closures"][0] == 100.0 and told["vowels_shut"][0] == 0.0
    assert told["silence_open"][0] == 0.0
    assert told["auc"][0] == 1.0 and told["rounding"][0] == 1.0
    assert all(told[name][1] <= told[name][0] <= told[name][2] for name in FIGURES)


def test_a_mouth_that_stands_open_closes_nothing() -> None:
    told = score(CLIPS, curves(flat=True))
    assert told["closures"][0] == 0.0 and told["silence_open"][0] == 100.0
    assert told["auc"][0] == 0.5


def test_only_what_was_heard_is_judged() -> None:
    some = dict(list(curves().items())[:2])
    assert score(CLIPS, some)["clips"] == 2


def test_openings_are_of_phones() -> None:
    assert set(OPENINGS) == INVENTORY
    assert auc(np.array([1.0, 2.0]), np.array([0.0, 2.0])) == 0.625
    assert best_lag([expected(CLIPS[0].phones, 900)], CLIPS[:1]) == 0


def test_the_sound_is_written_at_both_rates(tmp_path: Path) -> None:
    files = write(CLIPS[0], tmp_path)
    for name, rate in (("wav16", 16_000), ("wav48", 48_000)):
        with wave.open(files[name]) as file:
            assert file.getframerate() == rate and file.getnchannels() == 1
            seconds = file.getnframes() / rate
        assert seconds == pytest.approx(len(CLIPS[0].samples) / 16_000, abs=0.01)


def test_a_package_that_cannot_be_had_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchmarkError, match="npm is not installed"):
        install(PEERS[0], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("node") is None, reason="not run: no node here")
def test_a_peer_that_fails_says_its_own_words(tmp_path: Path) -> None:
    peer = next(each for each in PEERS if each.name == "headaudio")
    job = {"clips": [], "cpu_limit": 1.0, "examples": [], "out": str(tmp_path / "out.json")}
    with pytest.raises(BenchmarkError, match=r"node: .*(Cannot find|headaudio)"):
        packages.hear(peer, tmp_path, job, 60.0)


@pytest.mark.skipif(shutil.which("node") is None, reason="not run: no node here")
def test_the_node_script_feeds_quanta_and_stops_at_its_limit(tmp_path: Path) -> None:
    """With a stand-in of the simplest package: how loud the last quantum is."""
    module = tmp_path / "node_modules" / "wawa-lipsync" / "dist"
    module.mkdir(parents=True)
    (module / "wawa-lipsync.es.js").write_text(
        """export class Lipsync {
             constructor() { this.analyser = new window.AudioContext().createAnalyser(); }
             processAudio() {
               const bins = new Uint8Array(this.analyser.frequencyBinCount);
               this.analyser.getByteFrequencyData(bins);
               const loud = bins.reduce((a, b) => a + b) / bins.length;
               this.viseme = loud > 20 ? "viseme_aa" : "viseme_sil";
             } }""",
        "utf-8",
    )
    (module.parent / "package.json").write_text('{"type": "module"}', "utf-8")
    files = [write(each, tmp_path) for each in CLIPS[:2]]
    job = {"clips": files, "cpu_limit": 0.0, "examples": [], "out": str(tmp_path / "out.json")}
    peer = Peer("wawa", "wawa-lipsync", "0", "npm", True, "MIT")
    made = packages.hear(peer, tmp_path, job, 300.0)
    assert list(made["clips"]) == ["c0"], "the limit is over after one"
    opening = made["clips"]["c0"]["open"]
    assert len(opening) == len(CLIPS[0].samples) // 160 + 1
    assert opening[0] == 0.0 and max(opening) > 0.9, "it is loud all along"


def test_held_values_stay_until_the_next() -> None:
    held = python_peers.held([(0.02, 0.5, 0.0), (0.05, 1.0, 1.0)], 8)
    assert held["open"] == [0.0, 0.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0]
    assert held["round"][-1] == 1.0
    assert set(python_peers.VISEMES) <= set(python_peers.OPEN)


def test_python_peers_stand_alone(tmp_path: Path) -> None:
    """They run in an environment that has no posetalk."""
    source = Path(python_peers.__file__).read_text("utf-8")
    for house in ("benchmarks", "training", "stream", "head", "posetalk"):
        assert f"import {house}" not in source and f"from {house}" not in source
    done = subprocess.run(["node", "--version"], capture_output=True, check=False)
    assert done.returncode == 0 or shutil.which("node") is None


def test_the_page_shows_rows_and_reasons() -> None:
    row = {"system": "posetalk, lookahead 2", "live": True, "condition": "clean"}
    done = {**row, **score(CLIPS, curves(3)), "cpu_share": 0.07}
    missing = {**row, "system": "wawa 0.0.2", "not_run": "npm is not installed"}
    result = {
        "kind": "peers",
        "format": 2,
        "time": "2026-11-29 00:00:00 UTC",
        "machine": {"cpu": "a CPU", "cores": 2, "memory_gb": 1, "system": "", "load_average": None},
        "versions": {},
        "revision": "abc",
        "peers": {
            "bundle_hash": "0" * 64,
            "corpus": "test_other",
            "speech_dbfs": -24.0,
            "cpu_limit_s": 100.0,
            "seconds": 200.0,
            "rows": [done, missing],
        },
    }
    text = "\n".join(section([json.loads(json.dumps(result))]))
    assert "100 (100 to 100)" in text and "not run: npm is not installed" in text
    assert "does not judge" in text
