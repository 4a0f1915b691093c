"""The video writer: sound in sync to the sample, playable after a kill, honest about failures."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest

from viewer.play.video import TITLE, VideoError, VideoWriter

BEEPS = [0.4, 1.4, 2.4]  # seconds: a white picture and a tone start together


def flash(k: int, size: int = 64) -> np.ndarray:
    """Picture k: white for one frame at each beep, else dark."""
    lit = any(k == round(b * 25) for b in BEEPS)
    return np.full((size, size, 3), 235 if lit else 30, np.uint8)


def beeps(seconds: float) -> np.ndarray:
    """Sound with a 40 ms tone at each beep."""
    time = np.arange(round(seconds * 16000)) / 16000
    on = np.any([(time >= b) & (time < b + 0.04) for b in BEEPS], axis=0)
    return (0.5 * on * np.cos(2 * np.pi * 800 * time)).astype(np.float32)


def read(path: Path) -> tuple[list[float], list[float], np.ndarray]:
    """Times of all pictures, times of the white ones, and the sound from time 0."""
    with av.open(str(path)) as video:
        shown = [(float(f.time), f.to_ndarray(format="gray").mean()) for f in video.decode(video=0)]
    with av.open(str(path)) as video:
        frames = list(video.decode(audio=0))
    assert frames[0].time == 0
    sound = np.concatenate([f.to_ndarray()[0] for f in frames])
    return [t for t, _ in shown], [t for t, level in shown if level > 120], sound


def onsets(sound: np.ndarray) -> list[float]:
    loud = np.flatnonzero(np.abs(sound) > 0.1)
    first = np.concatenate([[True], np.diff(loud) > 4000])
    return [float(n) / 16000 for n in loud[first]]


@pytest.mark.parametrize("block", [160, 640, 5000])
def test_pictures_and_sound_start_together(tmp_path: Path, block: int) -> None:
    path, sound = tmp_path / "a.mp4", beeps(3)
    with VideoWriter(path, 64, 64) as writer:
        for begin in range(0, len(sound), block):
            writer.add_audio(sound[begin : begin + block])
            while writer.frames * 640 < min(begin + block, len(sound)):
                writer.add_frame(flash(writer.frames))
    times, white, heard = read(path)
    assert len(times) == 75
    np.testing.assert_allclose(times, np.arange(75) / 25, atol=1e-4)
    np.testing.assert_allclose(white, BEEPS, atol=1e-3)
    np.testing.assert_allclose(onsets(heard), BEEPS, atol=1.5e-3)
    assert abs(len(heard) - len(sound)) <= 1024


def test_what_had_the_name_stays_until_the_new_film_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"an older film")
    with pytest.raises(RuntimeError), VideoWriter(path, 64, 64) as writer:
        raise RuntimeError
    assert path.read_bytes() == b"an older film" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(RuntimeError), VideoWriter(path, 64, 64) as writer:
        for k in range(30):
            writer.add_frame(flash(k))
            writer.add_audio(np.zeros(640))
        raise RuntimeError
    assert path.read_bytes() == b"an older film"
    [piece] = tmp_path.glob("a.unfinished-*.mp4")
    assert len(read(piece)[0]) == 30
    piece.unlink()
    with VideoWriter(path, 64, 64) as writer:
        writer.add_frame(flash(0))
        writer.add_audio(np.zeros(640))
        assert path.read_bytes() == b"an older film"
    assert len(read(path)[0]) == 1 and list(tmp_path.iterdir()) == [path]


def test_metadata_says_synthetic(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 64, 64) as writer:
        writer.add_frame(flash(0))
        writer.add_audio(np.zeros(640))
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert video.metadata["title"] == video.metadata["comment"] == TITLE
        assert "synthetic" in TITLE


@pytest.mark.parametrize("size", [(64, 64), (1280, 720)])
def test_colours_survive(tmp_path: Path, size: tuple[int, int]) -> None:
    colour = np.array([220, 120, 60])
    with VideoWriter(tmp_path / "a.mp4", *size, sound=False) as writer:
        for _ in range(5):
            writer.add_frame(np.tile(colour.astype(np.uint8), (size[1], size[0], 1)))
    with av.open(str(tmp_path / "a.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (6, 1)
        seen = next(video.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(seen.reshape(-1, 3).mean(axis=0) - colour).max() < 4


def test_stamps_place_pictures_and_sound(tmp_path: Path) -> None:
    """Gaps hold the last picture and fill sound with silence; what comes too late is left out."""
    path, sound = tmp_path / "a.mp4", beeps(3)
    with VideoWriter(path, 64, 64) as writer:
        for k in range(75):
            if k in (10, 35, 60) or k % 3 == 0:  # two of three pictures are missing
                assert writer.add_frame(flash(k), k)
            assert not writer.add_frame(flash(0), 0) or k == 0
            if 640 * k % 16000 >= 6400:  # the first 0.4 s of every second of sound are missing
                writer.add_audio(sound[640 * k - 100 : 640 * (k + 1)], max(640 * k - 100, 0))
    times, white, heard = read(path)
    assert len(times) < 40
    np.testing.assert_allclose(white, BEEPS, atol=1e-3)
    np.testing.assert_allclose(onsets(heard), BEEPS, atol=1.5e-3)


def test_sound_that_never_comes_does_not_hold_pictures_back(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 64, 64) as writer:
        for k in range(250):
            writer.add_frame(flash(k))
        assert writer.unfinished.stat().st_size > 5000
    times, _, heard = read(path)
    assert len(times) == 250
    assert np.abs(heard).max() < 1e-3


def test_video_without_sound(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 64, 64, sound=False) as writer:
        for k in range(25):
            writer.add_frame(flash(k))
        with pytest.raises(ValueError, match="without sound"):
            writer.add_audio(np.zeros(10))
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert not video.streams.audio
        assert sum(1 for _ in video.decode(video=0)) == 25


def test_a_killed_recording_plays(tmp_path: Path) -> None:
    path = tmp_path / "killed.mp4"
    script = f"""
        import os, signal, numpy as np
        from viewer.play.video import VideoWriter
        from test_video import beeps, flash
        writer, sound = VideoWriter({str(path)!r}, 64, 64), beeps(3)
        for k in range(75):
            writer.add_frame(flash(k))
            writer.add_audio(sound[640 * k : 640 * (k + 1)])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).resolve().parents[3]
    code = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(Path(__file__).parent)])},
        check=False,
    ).returncode
    assert code == -signal.SIGKILL
    [path] = tmp_path.glob("killed.unfinished-*.mp4")
    times, white, heard = read(path)
    assert len(times) >= 75 - 25
    np.testing.assert_allclose(white, [b for b in BEEPS if b < times[-1]], atol=1e-3)
    assert len(heard) >= 16000 * 2
    np.testing.assert_allclose(onsets(heard)[:2], BEEPS[:2], atol=1.5e-3)


def test_a_full_disk_is_one_line_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "full.mp4"
    script = f"""
        import resource, numpy as np
        from viewer.play.video import VideoError, VideoWriter
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        random = np.random.default_rng(0)
        writer = VideoWriter({str(path)!r}, 64, 64)
        try:
            for k in range(500):
                writer.add_frame(random.integers(0, 255, (64, 64, 3), np.uint8))
                writer.add_audio(random.normal(size=640))
        except VideoError as error:
            print("LINE", f"{{error}}{{writer.kept}}")
        writer.close()
    """
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(Path(__file__).parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("LINE")]
    assert len(lines) == 1
    assert "full.mp4" in lines[0] and "are kept" in lines[0]
    assert not path.exists()
    [path] = tmp_path.glob("full.unfinished-*.mp4")
    assert str(path) in lines[0]
    pictures = 0
    with contextlib.suppress(av.error.InvalidDataError), av.open(str(path)) as video:
        for _ in video.decode(video=0):  # up to the cut in the last fragment
            pictures += 1
    assert pictures > 10


def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.mp4", Path("/proc/a.mp4")):
        with pytest.raises(VideoError, match="cannot write the video") as caught:
            VideoWriter(path, 64, 64)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (8, 8)])
def test_sizes_that_no_player_shows_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="even"):
        VideoWriter(tmp_path / "a.mp4", *size)
    assert not list(tmp_path.iterdir())


def test_other_file_types_and_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"something\.mp4"):
        VideoWriter(tmp_path / "a.gif", 64, 64)
    with (
        VideoWriter(tmp_path / "a.mp4", 64, 64, sound=False) as writer,
        pytest.raises(ValueError, match="uint8"),
    ):
        writer.add_frame(np.zeros((64, 64), np.uint8))
