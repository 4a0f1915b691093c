"""The commands end to end, with the fake model: `animate`, `doctor`, help, and every mistake."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from cli import call, finish, start, watch_video

import posetalk
from diffposetalk.bundle.bundle import PACKAGED
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import (
    DenoiserSpec,
    ModelSpec,
    SpeechEncoderSpec,
    Statistics,
    StyleEncoderSpec,
)
from posetalk.commands.animate import Animate

FAKE = ["--backend", "fake"]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the demo speech as somebody else would hand it in: 44.1 kHz, stereo."""
    samples, rate = soundfile.read(posetalk.demo_speech(), start=8000, frames=32000)
    stretched = np.interp(np.arange(88200) / 44100, np.arange(len(samples)) / rate, samples)
    path = tmp_path_factory.mktemp("speech") / "two seconds.wav"
    soundfile.write(path, np.stack([stretched, stretched * 0.9], axis=1), 44100)
    return path


# animate


def test_animate_writes_a_video_and_a_motion_file(speech: Path, tmp_path: Path) -> None:
    process = start("animate", str(speech), *FAKE, "-o", "face.mp4", "face.npz", cwd=tmp_path)
    code, _, messages = finish(process)
    assert code == 0, messages
    motion = posetalk.Motion.load(tmp_path / "face.npz")
    assert motion.exp.shape == (50, 50) and motion.pose.shape == (50, 6)
    assert motion.shape.shape == (100,) and motion.fps == 25 and motion.head == "posetalk-head-1"
    assert motion.pose[:, 3].max() > 0.05, "somebody speaks"
    pictures, sound, metadata = watch_video(tmp_path / "face.mp4")
    assert len(pictures) == 50 and pictures[0].shape == (512, 512, 3)
    assert "synthetic" in metadata["title"]
    widest, closed = motion.pose[:, 3].argmax(), motion.pose[:, 3].argmin()
    difference = np.abs(pictures[widest].astype(int) - pictures[closed].astype(int))
    assert difference.max() > 60, "the mouth is seen to move"
    # The sound is where the mouth is: louder where the jaw is open.
    loud = [np.abs(sound[k * 640 : (k + 1) * 640]).mean() for k in range(50)]
    assert np.corrcoef(loud, motion.pose[:, 3])[0, 1] > 0.5


def test_animate_gives_the_same_as_python(speech: Path, tmp_path: Path) -> None:
    code, _, _ = finish(start("animate", str(speech), *FAKE, "-o", "a.npz", cwd=tmp_path))
    assert code == 0
    command = posetalk.Motion.load(tmp_path / "a.npz")
    samples, rate = soundfile.read(speech, dtype="float32")
    python = posetalk.animate(samples, sample_rate=rate, backend="fake")
    np.testing.assert_array_equal(command.exp, python.exp)
    np.testing.assert_array_equal(command.pose, python.pose)


@pytest.mark.parametrize("ending", [".mp4", ".npz", ".csv", ".glb", ".usda", ".bvh"])
def test_a_refused_clip_destroys_nothing(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("short.wav", np.zeros(100), 16000)
    kept = tmp_path / f"keep{ending}"
    kept.write_bytes(b"what was made before")
    refused = ([], 2, "give another name, or --force")
    for force, code, said in (refused, (["--force"], 1, "samples of sound")):
        ended, _, message = call(["animate", "short.wav", *FAKE, *force, "-o", str(kept)], capsys)
        assert ended == code and said in message and message.count("\n") == 1
        assert kept.read_bytes() == b"what was made before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [kept.name, "short.wav"]


@pytest.mark.slow
def test_the_length_of_the_sound_costs_no_memory(tmp_path: Path) -> None:
    speech, rate = soundfile.read(posetalk.demo_speech(), dtype="float32")
    peaks = []
    for name, minutes in (("short", 1), ("long", 60)):
        with soundfile.SoundFile(tmp_path / f"{name}.flac", "w", rate, 1) as file:
            for _ in range(round(minutes * 60 * rate / len(speech))):
                file.write(speech)
        process = start("animate", f"{name}.flac", *FAKE, "-o", f"{name}.npz", cwd=tmp_path)
        watched, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, watched.memory_info().rss)
            time.sleep(0.05)
        assert finish(process)[0] == 0
        peaks.append(peak)
    assert len(posetalk.Motion.load(tmp_path / "long.npz")) > 89_000
    assert peaks[1] - peaks[0] < 20e6, "an hour takes no more memory than a minute"


def test_asking_for_a_video_where_nothing_can_draw_is_an_error(tmp_path: Path) -> None:
    arguments = ["animate", "demo", *FAKE, "-o", "face.npz", "face.mp4"]
    code, _, messages = finish(start(*arguments, cwd=tmp_path, PYOPENGL_PLATFORM="bogus"))
    assert code == 1
    assert messages.startswith("posetalk: no OpenGL") and len(messages.splitlines()) == 1


# mistakes and help


def bad_files(folder: Path) -> dict[str, str]:
    """Files that are no speech, and what is said of each."""
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is not sound\n" * 50)
    soundfile.write(folder / "blink.wav", np.zeros(100), 16000)
    soundfile.write(folder / "none.wav", np.zeros(0), 16000)
    (folder / "folder.wav").mkdir()
    return {
        "missing.wav": "no such file",
        "empty.wav": "is empty",
        "text.wav": "not readable as audio",
        "none.wav": "holds no sound",
        "blink.wav": "only 100 samples",
        "folder.wav": "is a folder",
    }


def test_bad_audio_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, reason in bad_files(tmp_path).items():
        code, _, messages = call(["animate", name, *FAKE, "-o", "out.npz"], capsys)
        assert code == 1, name
        assert messages.startswith("posetalk: ") and reason in messages, name
        assert len(messages.splitlines()) == 1, messages


def test_several_sounds_make_a_video_each_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(
        Animate, "_make", lambda _, audio, paths, film: made.append((audio.name, str(paths[0])))
    )
    (tmp_path / "out").mkdir()
    assert call(["animate", "a.wav", "b.flac", *FAKE, "-o", "out"], capsys)[0] == 0
    assert made == [("a.wav", "out/a.mp4"), ("b.flac", "out/b.mp4")]
    for wrong in (["a.wav", "b.wav", "-o", "c.mp4"], ["a.wav", "a.mp3", "-o", "out"]):
        code, _, message = call(["animate", *wrong], capsys)
        assert code == 2 and message.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["animate", "demo", "-o", "out.avi"], 2, "end the name in .mp4"),
        (["animate", "demo", "-o", "nowhere/out.mp4"], 2, "no folder nowhere"),
        (["animate", "demo", "--size", "33"], 2, "must be even"),
        (["animate"], 2, "AUDIO"),
        (["live", "--port", "70000"], 2, "ports are 0 to 65535"),
        (["live", "--seconds", "0"], 2, "a number above 0"),
        (["live", "--seconds", "nan"], 2, "a number above 0"),
        (["serve", "--seconds", "inf"], 2, "--seconds inf: must be a number above 0"),
        (["live", "--record", "out.npz"], 2, "end the name in .mp4 (video)"),
        (["live", "--source", "demo", "--device", "1"], 2, "--device goes with"),
        (["live", "--view", "sideways"], 2, "sideways"),
        (["dance"], 2, "dance"),
        (["animate", "demo", *FAKE, "--style", "opera", "-o", "o.npz"], 1, "no style 'opera'"),
        (["animate", "demo", *FAKE, "--steps", "50", "-o", "o.npz"], 2, "--steps 50"),
        (["animate", "demo", *FAKE, "--hop", "0", "-o", "o.npz"], 2, "--hop 0"),
        (["animate", "demo", "--bundle", "nowhere", "-o", "o.npz"], 1, "nowhere"),
        (["serve", "--source", "nowhere.wav"], 1, "no such file"),
        (["serve", *FAKE, "--source", "demo", "--host", "0.0.0.0"], 2, "--token"),
        (["serve", *FAKE, "--source", "demo", "--token", ""], 2, "the token is empty"),
        (["live", *FAKE, "--source", "demo", "--token", "short"], 2, "the token has 5 characters"),
        (["serve", "--origin", "example.org"], 2, "'example.org' is no web page's origin"),
        (["serve", *FAKE, "--source", "demo", "--certificate", "/dev/null"], 1, "is a device"),
        (["serve", *FAKE, "--source", "demo", "--certificate", __file__], 1, "not a PEM file"),
        (["view", "--record", "out.npz"], 2, "end the name in .mp4 (video)"),
        (["view", "--once", "ws://127.0.0.1:9"], 1, "no connection"),
        (["view", "ftp://127.0.0.1:9"], 2, "not an address"),
        (["view", "--size", "33"], 2, "--size 33: sides must be even"),
        (["view", "--background", "nothing.png"], 2, "no such picture, and no colour"),
        (["live", "--record", "a.mp4", "--background", "transparent"], 2, "no transparency"),
        (["live", "--view", "none", "--fps", "60"], 2, "--fps goes with --record"),
        (["live", "--view", "web", "--size", "64"], 2, "--size goes with a window or --record"),
        (["live", "--record", "a.webm", "--fps", "29"], 2, "24, 25, 30, 50 or 60"),
        (["view", "--seconds", "-1"], 2, "--seconds -1: must be"),
        (["head", "show", "posetalk-head-1", "-o", "x.gif"], 2, "end the name in .png"),
        (["head", "show", "posetalk-head-1", "--size", "-3"], 2, "--size -3: 16 to 8192"),
        (["evaluate", "--clips", "0"], 2, "at least a clip"),
        (["view", "--head", "nowhere.npz"], 1, "no head 'nowhere.npz'"),
        (["view", "--head", "/dev/null"], 1, "/dev/null"),
        (["live", "--view", "window", *FAKE], 1, "no display"),
    ],
)
def test_mistakes_get_one_line_and_an_exit_code(
    arguments: list[str],
    code: int,
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    got, output, messages = call(arguments, capsys)
    assert got == code, messages
    assert reason in messages + output
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize("damaged", ["model.safetensors", "styles.safetensors", "config.json"])
def test_a_damaged_bundle_gets_one_line(
    damaged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(PACKAGED / "starter", bundle)
    whole = (bundle / damaged).read_bytes()
    for content in (whole[: len(whole) // 2], b"", None):
        (bundle / damaged).unlink()
        if content is not None:
            (bundle / damaged).write_bytes(content)
        code, _, messages = call(
            ["animate", "demo", "--bundle", str(bundle), "-o", str(tmp_path / "o.npz")], capsys
        )
        assert code == 1
        assert len(messages.splitlines()) == 1 and str(bundle) in messages, messages
        (bundle / damaged).touch()


@pytest.mark.parametrize(
    "command",
    [
        ["animate", "demo", "-o", "o.npz", "o.mp4"],
        ["animate", "demo", "-o", "o.bvh", "--mode", "paper"],
        ["serve", "--source", "demo", "--port", "0"],
        ["live", "--source", "demo", "--view", "none", "--port", "0"],
    ],
)
def test_a_bundle_for_another_head_gets_one_line(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = ModelSpec(
        speech=SpeechEncoderSpec(kind="mel", d_out=16, n_mels=40, d_hidden=8),
        denoiser=DenoiserSpec(d_model=16, n_heads=2, n_layers=1),
        style=StyleEncoderSpec(d_style=8, n_heads=2, n_layers=1),
    )
    zeros, ones = np.zeros, np.ones
    statistics = Statistics(
        *(make(n, np.float32) for n in (spec.d_motion, spec.n_shape) for make in (zeros, ones))
    )
    styles = {"calm": zeros(8, np.float32)}
    save_bundle("theirs", DiffPoseTalk(spec), spec, statistics, styles, "flame2020", "", {})
    code, _, messages = call([*command, "--bundle", "theirs"], capsys)
    assert code == 1
    assert "the bundle theirs moves the head 'flame2020', which is not here" in messages
    assert len(messages.splitlines()) == 1 and not list(tmp_path.glob("*.npz"))


# doctor
