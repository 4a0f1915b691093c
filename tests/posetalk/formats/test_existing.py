"""What stands under an output's name: it is replaced where it can be had again, else kept."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from cli import call

import posetalk
from posetalk.formats.existing import OURS, TRACKED, check_existing, seconds_of
from posetalk.terminal.console import UsageError
from viewer.play.video import VideoWriter

MADE = ("npz", "csv", "glb", "usda", "bvh")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of each file that holds motion."""
    folder = tmp_path_factory.mktemp("clips")
    sound = 0.1 * np.random.default_rng(0).normal(size=3 * 16000)
    paths = [folder / f"a.{ending}" for ending in MADE]
    posetalk.animate(sound, paths, backend="fake")
    return folder


def film(path: Path, frames: int, *, ours: bool) -> Path:
    """A small film, of posetalk or of somebody."""
    with VideoWriter(path, 64, 64, sound=False) as writer:
        for _ in range(frames):
            writer.add_frame(np.zeros((64, 64, 3), np.uint8))
    if not ours:
        mark = path.with_suffix(".marked.mp4")
        path.rename(mark)
        with av.open(str(mark)) as old, av.open(str(path), "w") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
        mark.unlink()
    return path


@pytest.mark.parametrize("ending", MADE)
def test_every_file_that_is_made_says_how_long_it_is(clips: Path, ending: str) -> None:
    assert abs(seconds_of(clips / f"a.{ending}") - 3) <= 1


@pytest.mark.parametrize("ending", [*MADE, "mp4", "webm", "png", "wav"])
def test_what_was_not_made_here_is_not_for_us_to_replace(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"of somebody else")
    assert seconds_of(path) == math.inf
    with pytest.raises(UsageError, match=r"a\.\w+ is there already, and was not made so"):
        check_existing([path], 1e9)
    assert check_existing([path], 0.0, force=True) == [path]
    path.write_bytes(b"")
    assert check_existing([path], 0.0) == [path], "an empty file holds nothing to lose"


def test_somebodys_film_is_not_ours(tmp_path: Path) -> None:
    assert abs(seconds_of(film(tmp_path / "ours.mp4", 50, ours=True)) - 2) < 0.1
    assert seconds_of(film(tmp_path / "theirs.mp4", 50, ours=False)) == math.inf


def test_a_phones_table_is_not_ours(clips: Path, tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    text = (clips / "a.csv").read_text().replace("\n00:00:", "\n17:05:")
    path.write_text(text)
    assert seconds_of(path) == math.inf


def test_motion_that_was_tracked_is_not_motion_that_was_made(tmp_path: Path) -> None:
    arrays = {name: np.zeros(1) for name in TRACKED} | {"exp": np.zeros((50, 50)), "fps": 25}
    np.savez(tmp_path / "tracked.npz", **arrays)  # type: ignore[arg-type]
    assert seconds_of(tmp_path / "tracked.npz", OURS) == math.inf
    assert seconds_of(tmp_path / "tracked.npz", TRACKED) == 2


def test_a_longer_clip_and_the_file_that_is_read_stay(clips: Path) -> None:
    path = clips / "a.npz"
    assert check_existing([path], 3.0) == [path]
    with pytest.raises(UsageError, match="3 s long, the new one 1 s: give another name"):
        check_existing([path], 1.0)
    with pytest.raises(UsageError, match="3 s long: give"):
        check_existing([path], 0.0)
    with pytest.raises(UsageError, match="is the file that is read"):
        check_existing([path], 3.0, inputs=[clips / "." / "a.npz"])
    assert check_existing([clips / "no.npz"], 0.0) == []


def test_animate_says_what_it_replaces_and_keeps_a_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = ["animate", "demo", "--backend", "fake", "-o", "a.npz"]
    assert "replaced" not in call(demo, capsys)[2]
    code, _, said = call(demo, capsys)
    assert code == 0 and "replaced what was there as a.npz" in said
    theirs = film(tmp_path / "me.mp4", 25, ours=False)
    before = theirs.read_bytes()
    soundfile.write("me.wav", np.zeros(16000), 16000)
    for command in (
        ["animate", "demo", "--backend", "fake", "-o", "me.mp4"],
        ["animate", "me.wav", "--backend", "fake"],  # the name that it takes by itself
        ["live", "--record", "me.mp4", "--view", "none"],
        ["view", "--record", "me.mp4"],
        ["track", "me.mp4", "-o", "b.npz", "--compare", "me.mp4"],
        ["style", "extract", "motion_calm", "-o", "a.npz"],
        ["head", "show", "builtin", "-o", "picture.png"],
    ):
        (tmp_path / "picture.png").write_bytes(b"a photograph")
        code, _, said = call(command, capsys)
        assert code == 2 and said.endswith("or --force\n") and said.count("\n") == 1, command
    assert theirs.read_bytes() == before


def test_a_sound_beside_new_motion_is_not_ours_to_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "me.mp4", 25, ours=False)
    (tmp_path / "me.wav").write_bytes(b"what a good microphone heard")
    code, _, said = call(["track", "me.mp4", "-o", "me.npz"], capsys)
    assert code == 2 and "me.wav is there already" in said


@pytest.mark.parametrize("ending", [*MADE, "mp4", "png"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, ending: str) -> None:
    script = f"""
        import resource
        from posetalk.__main__ import main
        import numpy, av, viewer.render.renderer, posetalk.app.animate
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        raise SystemExit(main(["animate", "demo", "--backend", "fake", "-o", "a.{ending}"]))
    """
    if sys.platform == "win32":
        pytest.skip("needs limits of a process")
    (tmp_path / f"b.{ending}").write_bytes(b"another")
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and f"a.{ending}" in done.stderr.replace("a-00000", "a")
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"b.{ending}"]
