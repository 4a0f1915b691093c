"""Readers of the speech folder and the hold-out of whole voices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.corpora import utterances
from training.corpora.utterances import CorpusError, choose_groups, cluster_voices
from training.labels.prosody import extract_prosody

RATE = 16000


def tone(pitch: float, seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    noise = 0.002 * np.random.default_rng(seed).standard_normal(t.size)
    return (0.2 * np.sign(np.sin(2 * np.pi * pitch * t)) + noise).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three tiny sets; the two many-speaker sets share their voices (three pitches)."""
    monkeypatch.setattr(utterances, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("POSETALK_DATA", str(tmp_path))
    for name, count in (("kathleen_cc0", 70), ("picovoice_s2i", 30), ("picovoice_wake", 30)):
        home = tmp_path / "speech" / name
        (home / "audio").mkdir(parents=True)
        entries = []
        for i in range(count):
            sound = tone((90.0, 160.0, 280.0)[i % 3], 0.5, seed=i)
            soundfile.write(
                home / "audio" / f"{name}{i}.opus", sound, RATE, format="OGG", subtype="OPUS"
            )
            phones = [["SIL", 0, 5], ["AA", 5, 40]]
            extra = {"hyp": "ah", "all_slots": i != 4} if name == "picovoice_s2i" else {}
            entries.append({"id": f"{name}{i}", "dur": 0.5, "phones": phones, **extra})
        (home / "alignments.json").write_text(json.dumps(entries))
    return tmp_path


def test_reads_utterances_and_audio(folder: Path) -> None:
    found = utterances.read_corpus("picovoice_s2i", repair=False)
    assert len(found) == 30 and found[0].phones[1] == ("AA", 0.05, 0.4)
    assert [u.id for u in found if not u.trusted] == ["picovoice_s2i4"]
    samples = utterances.load_audio(found[0])
    assert samples.dtype == np.float32 and abs(samples.size - 0.5 * RATE) < 400
    repaired = utterances.read_corpus("picovoice_s2i")
    assert sum(p.length for p in repaired[0].phones) == pytest.approx(0.5, abs=0.03)


def test_holds_out_whole_voices_the_same_way_every_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utterances, "HELD_OUT_SHARE", 0.34)
    monkeypatch.setattr(utterances, "_CLUSTERS", 3)
    monkeypatch.setattr(utterances.cluster_voices, "__defaults__", (3, 7))
    train, held = utterances.held_out_voices()
    assert utterances.held_out_voices() == (train, held)
    ids = {u.id for u in train}, {u.id for u in held}
    assert not ids[0] & ids[1] and len(ids[0] | ids[1]) == 129  # the doubtful one is in neither
    single = [u.id for u in held if u.speaker_set == "kathleen_cc0"]
    assert single == [f"kathleen_cc0{i}" for i in range(10, 70)]
    pitch = {
        group: {int(u.id.removeprefix(u.speaker_set)) % 3 for u in many}
        for group, many in (
            ("train", [u for u in train if "picovoice" in u.id]),
            ("held", [u for u in held if "picovoice" in u.id]),
        )
    }
    assert len(pitch["held"]) == 1 and not pitch["held"] & pitch["train"]
    assert json.loads((folder / "cache" / "split.json").read_text())["held_out"]


def test_clusters_find_separated_voices() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 26)) * 4.0
    truth = np.repeat(np.arange(6), 20)
    groups = cluster_voices(centres[truth] + 0.3 * rng.normal(size=(120, 26)), clusters=6)
    assert len(set(groups.tolist())) == 6
    assert all(len(set(groups[truth == k].tolist())) == 1 for k in range(6))


def test_chosen_groups_hold_the_share_of_each_set() -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 40, size=1000)
    sets = np.where(rng.random(1000) < 0.3, "a", "b")
    held = np.isin(groups, list(choose_groups(groups, sets, 0.15)))
    for name in ("a", "b"):
        assert 0.09 < held[sets == name].mean() < 0.21


def test_voice_features_tell_pitch() -> None:
    low, high = (
        utterances.voice_features(s, extract_prosody(s)) for s in (tone(100.0), tone(200.0))
    )
    assert low.shape == (26,)
    assert high[-2] - low[-2] == pytest.approx(1.0, abs=0.1)  # one octave


def test_errors_name_the_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CorpusError, match="no speech set 'nobody'"):
        utterances.read_corpus("nobody")
    (folder / "speech" / "kathleen_cc0" / "alignments.json").write_text("{")
    with pytest.raises(CorpusError, match=r"alignments\.json"):
        utterances.read_corpus("kathleen_cc0")
    with pytest.raises(CorpusError, match=r"missing\.opus"):
        utterances.load_audio(folder / "missing.opus")
    soundfile.write(tmp_path / "slow.wav", np.zeros(100), 8000)
    with pytest.raises(CorpusError, match="8000 Hz"):
        utterances.load_audio(tmp_path / "slow.wav")
    monkeypatch.setenv("POSETALK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match=r"no speech data in .*nowhere: set POSETALK_DATA"):
        utterances.data_folder()
    monkeypatch.delenv("POSETALK_DATA")
    with pytest.raises(CorpusError, match=r"^set POSETALK_DATA"):
        utterances.data_folder()


@pytest.mark.slow
def test_split_of_the_real_data() -> None:
    try:
        train, held = utterances.held_out_voices()
    except CorpusError as error:
        pytest.skip(f"not run: {error}")
    assert not {u.id for u in train} & {u.id for u in held}
    for name in utterances.MANY_VOICES:
        out, total = (sum(u.speaker_set == name for u in part) for part in (held, train + held))
        assert 0.11 < out / total < 0.21, name
    assert sum(u.speaker_set == "kathleen_cc0" for u in held) == utterances.SAME_VOICE_HELD_OUT
    assert all(abs(sum(p.length for p in u.phones) - u.duration) < 0.1 for u in held)
