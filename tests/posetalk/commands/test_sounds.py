"""Sound as users hand it to the commands: films, channels, files with odd names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli import COMMAND, call, finish, start
from patience import PATIENCE
from sound_files import encode, wave, words

import posetalk

FAKE = ["--backend", "fake"]
RATE = 16000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["film.mp4", "memo.m4a", "page.webm"])
def test_films_and_phone_recordings_are_animated(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    codec = "libopus" if name == "page.webm" else "aac"
    film = 2.0 if name == "film.mp4" else 0.0
    encode(folder / name, codec, words(2.0, 48000), 48000, picture_seconds=film)
    code, _, messages = call(["animate", name, *FAKE, "-o", "face.npz"], capsys)
    assert code == 0, messages
    motion = posetalk.Motion.load("face.npz")
    assert len(motion) in (50, 51) and motion.pose[:, 3].max() > 0.05


def test_the_channel_that_is_heard_is_told_and_can_be_chosen(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = np.zeros((2 * RATE, 16), np.float32)
    sound[:, 4] = words(2.0)
    wave(folder / "a.wav", sound, RATE)
    command = ["animate", "a.wav", *FAKE, "-o"]
    code, _, messages = call([*command, "auto.npz"], capsys)
    assert code == 0 and "a.wav: hearing channel 5 of 16" in messages
    assert "--channel N or mix" in messages
    for channel in ("5", "mix", "1"):
        code, _, messages = call([*command, f"{channel}.npz", "--channel", channel], capsys)
        assert code == 0 and "hearing" not in messages.replace("hearing channel", "")
    jaws = {
        channel: posetalk.Motion.load(f"{channel}.npz").pose[:, 3].max()
        for channel in ("auto", "5", "mix", "1")
    }
    assert jaws["auto"] == jaws["5"] > jaws["mix"] > jaws["1"]
    code, _, messages = call([*command, "b.npz", "--channel", "17"], capsys)
    assert code == 1 and "a.wav has 16 channels, no channel 17" in messages
    code, _, messages = call([*command, "b.npz", "--channel", "left"], capsys)
    assert code == 2 and "--channel left: give a channel's number" in messages


def test_a_wav_stream_on_standard_input_is_played_as_what_it_is(folder: Path) -> None:
    sound = np.stack([words(2.0, 44100), 0 * words(2.0, 44100)], axis=1)
    wave(folder / "a.wav", sound, 44100)
    command = ["live", "--source", "-", "--channel", "1", *FAKE, "--view", "none", "--port", "0"]
    done = subprocess.run(
        [*COMMAND, *command],
        input=(folder / "a.wav").read_bytes(),
        capture_output=True,
        cwd=folder,
        timeout=PATIENCE,
    )
    assert done.returncode == 0 and b"50 frames of 2.0 s" in done.stderr, done.stderr


def test_a_file_named_demo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`demo` is the demo speech, `./demo` the file."""
    soundfile.write("demo", words(1.0), RATE, format="WAV")
    for name, frames in (("./demo", 25), ("demo", 577)):
        assert call(["animate", name, *FAKE, "-o", "a.npz"], capsys)[0] == 0
        assert len(posetalk.Motion.load("a.npz")) == pytest.approx(frames, abs=10)


def test_a_motion_file_named_as_a_sample(folder: Path) -> None:
    from posetalk.app.style_extraction import open_clip, samples

    name = next(iter(samples()))
    generator = np.random.default_rng(0)
    np.savez(name, exp=generator.random((7, 50)), pose=np.zeros((7, 6)))
    Path(f"{name}.npz").rename(name)
    assert len(open_clip(f"./{name}").motion) == 7
    assert len(open_clip(name).motion) > 100


@pytest.mark.skipif(sys.platform != "linux", reason="not run: is for Linux file names")
def test_names_that_are_no_utf_8(folder: Path) -> None:
    name, other = os.fsdecode(b"gr\xfc\xdfe.wav"), os.fsdecode(b"\xfc.m4a")
    wave(folder / "a.wav", words(1.0), RATE).rename(name)
    process = start("animate", name, *FAKE, "-o", os.fsdecode(b"\xfc.npz"), cwd=folder)
    code, _, messages = finish(process)
    assert code == 0, messages
    assert len(posetalk.Motion.load(os.fsdecode(b"\xfc.npz"))) == 25
    Path(other).write_bytes(b"no sound" * 100)
    for arguments in (
        ["animate", other, *FAKE, "-o", "b.npz"],
        ["live", "--source", other, *FAKE, "--view", "none", "--port", "0"],
        ["animate", os.fsdecode(b"\xfd.wav"), *FAKE, "-o", "b.npz"],
    ):
        code, _, messages = finish(start(*arguments, cwd=folder))
        assert code == 1 and messages.count("\n") == 1, messages
        assert "not readable as audio" in messages or "no such file" in messages
    assert not (folder / "b.npz").exists()
