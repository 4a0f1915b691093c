"""What is made of a corpus: names, the folder's record, and a worker by itself; no Ray."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from sound_files import wave

from posetalk.app.settings.model import ModelSettings
from posetalk.corpus.jobs import RECORD, Corpus, jobs_of, prepare_folder
from posetalk.corpus.run import Summary, write_failures
from posetalk.corpus.worker import Expected, Outcome, Worker, bundle_hash
from posetalk.deploy.cluster import ClusterError, check_address, explain, plain
from posetalk.formats.motion_file import Motion
from posetalk.terminal.console import UsageError

FAKE = Corpus(ModelSettings(backend="fake"))


def sound(path: Path, seconds: float = 1.0) -> Path:
    """A hum in a WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hum = 0.3 * np.sin(np.arange(int(16000 * seconds)) / 12)
    wave(path, hum.astype(np.float32), 16000)
    return path


def test_every_sound_below_a_folder_keeps_its_place(tmp_path: Path) -> None:
    for name in ("one.wav", "deep/er/two.FLAC", "deep/notes.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    alone = tmp_path / "three.raw-sound"
    alone.touch()
    jobs = jobs_of([str(tmp_path / "in"), str(alone)], tmp_path / "out", "glb")
    made = [str(Path(job.output).relative_to(tmp_path / "out")) for job in jobs]
    assert made == [os.path.join("deep", "er", "two.glb"), "one.glb", "three.glb"]


def test_two_sounds_of_one_name_are_named(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"a\.npz would be made of .*a\.flac and of .*a\.wav"):
        jobs_of([str(tmp_path)], tmp_path / "out", "npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no sound files"):
        jobs_of([str(tmp_path / "empty")], tmp_path / "out", "npz")


def test_a_folder_holds_files_of_one_kind_of_work(tmp_path: Path) -> None:
    """What was made with another style must not be taken for done."""
    calm = Corpus(ModelSettings(style="calm")).record("weights")
    lively = Corpus(ModelSettings(style="lively")).record("weights")
    prepare_folder(tmp_path, [], calm, force=False)
    prepare_folder(tmp_path, [], calm, force=False)
    with pytest.raises(UsageError, match="made with another style: name another folder"):
        prepare_folder(tmp_path, [], lively, force=False)
    with pytest.raises(UsageError, match="another bundle"):
        prepare_folder(tmp_path, [], calm | {"bundle": "others"}, force=False)
    prepare_folder(tmp_path, [], lively, force=True)
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(UsageError, match="another record"):
        prepare_folder(tmp_path, [], lively, force=False)


def test_a_worker_animates_once_and_fails_alone(tmp_path: Path) -> None:
    worker = Worker(FAKE, Expected(bundle_hash("starter")))
    good, out = sound(tmp_path / "a.wav"), tmp_path / "a.npz"
    first = worker.animate(str(good), str(out))
    assert (first.error, first.there) == ("", False) and first.seconds == pytest.approx(1.0)
    assert len(Motion.load(out)) == 25
    stamp = out.stat().st_mtime_ns
    assert worker.animate(str(good), str(out)).there and out.stat().st_mtime_ns == stamp
    # A longer sound under that name: the file was made of another one, and is made anew.
    sound(good, 2.0)
    assert not worker.animate(str(good), str(out)).there and len(Motion.load(out)) == 50
    (tmp_path / "b.wav").write_text("no sound")
    bad = worker.animate(str(tmp_path / "b.wav"), str(tmp_path / "b.npz"))
    assert "b.wav" in bad.error and not bad.fatal and not (tmp_path / "b.npz").exists()
    gone = worker.animate(str(tmp_path / "c.wav"), str(tmp_path / "c.npz"))
    assert gone.error and not gone.fatal


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (Expected("another"), "the bundle starter is another one there"),
        (Expected("any", posetalk="0.0.1"), r"posetalk \S+ is installed there, 0\.0\.1 here"),
    ],
)
def test_a_node_that_is_not_alike_ends_the_work(
    tmp_path: Path, expected: Expected, line: str
) -> None:
    outcome = Worker(FAKE, expected).animate(str(sound(tmp_path / "a.wav")), "a.npz")
    assert outcome.fatal and re.search(line, outcome.error)


def test_a_node_without_the_bundle_says_so(tmp_path: Path) -> None:
    nowhere = Corpus(ModelSettings(bundle=str(tmp_path / "none")))
    outcome = Worker(nowhere, Expected("any")).animate("a.wav", "a.npz")
    assert outcome.fatal and "none" in outcome.error and outcome.error.startswith("node ")


def test_what_ray_says_in_many_lines_is_one() -> None:
    mismatch = RuntimeError(
        "Version mismatch: The cluster was started with:\n    Ray: 2.55.0\n    Python: 3.12.1\n"
        "This process on node 10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    told = explain(mismatch, "10.0.0.1:6379")
    assert told.startswith("the cluster runs Ray 2.55.0 Python 3.12.1, this program Ray 2.60.0")
    nobody = explain(ConnectionError("Could not\nconnect"), "10.0.0.1:6379")
    assert "no cluster answers at 10.0.0.1:6379" in nobody and "\n" not in nobody

    def breaks():  # type: ignore[no-untyped-def]
        yield 1
        raise RuntimeError("ray::Map()\n  deep inside\nOutOfMemory: node a ran out of memory\n")

    rows = plain(breaks())
    assert next(rows) == 1
    with pytest.raises(ClusterError, match="ran out of memory"):
        next(rows)


def test_a_cluster_that_is_not_there_is_told_at_once() -> None:
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(ClusterError, match="no cluster answers at"):
            check_address(address)
    check_address(None)
    check_address("auto")


def test_failures_are_listed_and_go_when_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "failures.txt"
    write_failures(path, [Outcome("a.wav", error="no sound")])
    assert path.read_text() == "a.wav\tno sound\n"
    write_failures(path, [])
    assert not path.exists()
    done = Summary(made=2, there=1, failed=[Outcome("x", error="y")], seconds=7200, spent=60)
    assert done.line() == (
        "2 files of 2.00 h in 60 s (120 times real time), 1 were there, 1 failed"
    )
