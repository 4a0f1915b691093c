"""Watching a real server: off-screen recording, a real window under Xvfb, and whole clips."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from patience import PATIENCE
from virtual_display import virtual_display

from head.model import Head
from head.rig import builtin_head
from head.skinning import skin
from posetalk.app.film.output import PictureOutput
from stream.frames import Frame
from stream.serve.server import Server
from stream.wire import messages
from stream.wire.channels import make_hello
from viewer.client.errors import ClientError
from viewer.client.watching import ReceivedMotion, Sound
from viewer.play.app import Status, choose_mode, view
from viewer.play.film import Film
from viewer.play.player import PlayerError, head_for, shape_for, vertices_of
from viewer.play.recorder import Recorder
from viewer.play.video import VideoError
from viewer.render.renderer import Renderer
from viewer.scene.background import Background

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def head() -> Head:
    return builtin_head()


def talk(k: int) -> np.ndarray:
    """Motion vector (54,) of frame k: a jaw that opens and closes twice a second."""
    motion = np.zeros(54, np.float32)
    motion[53] = 0.15 - 0.15 * np.cos(2 * np.pi * k / 12.5)
    return motion


@contextlib.contextmanager
def speaking(head: Head, frames: int | None = None, first: int = 0) -> Iterator[Server]:
    """A server that talks in real time with a beep every second, for ever or for some frames."""
    stop = threading.Event()

    def speak(server: Server) -> None:
        begin, k = time.monotonic(), 0
        while not stop.is_set() and k != frames:
            sample = 640 * (first + k)
            tone = 0.5 * np.cos(np.arange(640)) * ((first + k) % 25 == 0)
            server.on_audio(sample, tone.astype(np.float32))
            server.on_frame(Frame(k, sample, talk(k)))
            k += 1
            stop.wait(max(begin + k / 25 - time.monotonic(), 0))
        if frames is not None:
            server.close()

    with Server(head, make_hello(head), port=0) as server:
        thread = threading.Thread(target=speak, args=(server,))
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            thread.join()


def look(path: Path) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Picture times, pictures (L, h, w), sound (n,) of a video."""
    with av.open(str(path)) as video:
        frames = [(float(f.time), f.to_ndarray(format="gray")) for f in video.decode(video=0)]
    with av.open(str(path)) as video:
        sound = np.concatenate([f.to_ndarray()[0] for f in video.decode(audio=0)])
    return [t for t, _ in frames], np.array([p for _, p in frames]), sound


# --- live --------------------------------------------------------------------------------------
def test_off_screen_records_what_the_server_says(head: Head, tmp_path: Path) -> None:
    path, seen = tmp_path / "a.mp4", []
    with speaking(head, first=10**6) as server:
        status = view(
            server.url, "offscreen", path, seconds=2.5, film=Film(128, 128), on_status=seen.append
        )
    times, pictures, sound = look(path)
    assert status.mode == "offscreen" and status.recording == path
    assert status.frames >= 40 and status.shown >= 0.9 * status.frames
    assert status.recorded == pytest.approx(times[-1] + 0.04, abs=0.01)
    assert times[0] == 0 and status.recorded > 1.5
    assert len(sound) / 16000 == pytest.approx(status.recorded, abs=0.3)
    assert np.abs(sound).max() > 0.3
    mouth = pictures[:, 80:112, 48:80].astype(float)
    assert mouth.std(axis=0).max() > 10  # it talks
    assert seen and all(isinstance(s, Status) for s in seen)


def test_off_screen_without_a_name_says_where_the_video_is(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    said: list[str] = []
    with speaking(head, frames=25) as server:
        status = view(server.url, film=Film(64, 64), say=said.append)
    (video,) = tmp_path.glob("posetalk-*.mp4")
    assert status.mode == "offscreen"
    assert len(said) == 1 and str(video) in said[0]
    assert len(look(video)[0]) >= 15


def test_stop_and_the_servers_end_both_end_it(head: Head, tmp_path: Path) -> None:
    stop = threading.Event()
    with speaking(head) as server:
        begin = time.monotonic()
        view(
            server.url,
            "offscreen",
            tmp_path / "a.mp4",
            film=Film(64, 64),
            stop=stop,
            on_status=lambda status: stop.set() if status.recorded > 0 else None,
        )
        assert time.monotonic() - begin < PATIENCE
    assert look(tmp_path / "a.mp4")[0]
    with speaking(head, frames=10) as server:
        view(server.url, "offscreen", tmp_path / "b.mp4", film=Film(64, 64))


def test_failures_are_one_line(head: Head, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="no connection") as caught:
        view("ws://127.0.0.1:9", "offscreen", tmp_path / "a.mp4", start_timeout=0.3)
    assert "\n" not in str(caught.value) and not (tmp_path / "a.mp4").exists()
    other = replace(make_hello(head), head="somebody-else")
    with Server(head, other, port=0) as server:
        with pytest.raises(PlayerError, match="--head") as unknown:
            view(server.url, "offscreen", tmp_path / "a.mp4")
        assert "\n" not in str(unknown.value)
        with pytest.raises(PlayerError, match="the file given holds 'posetalk-head-1'") as wrong:
            view(server.url, "offscreen", tmp_path / "a.mp4", head=head)
        assert "somebody-else" in str(wrong.value) and "\n" not in str(wrong.value)
        assert not (tmp_path / "a.mp4").exists()
    with speaking(head) as server, pytest.raises(VideoError, match="cannot write the video"):
        view(server.url, "offscreen", Path("/proc/nowhere/a.mp4"))


def test_auto_is_a_window_only_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        monkeypatch.setenv("DISPLAY", ":4711")  # nothing answers there
        assert choose_mode("auto") == "offscreen"
        monkeypatch.setattr("viewer.render.gl.x_answers", bool)
        assert choose_mode("auto") == "window"
        monkeypatch.delenv("DISPLAY")
        assert choose_mode("auto") == "offscreen"
    assert choose_mode("window") == "window"


def window_script(url: str, record: Path, shot: Path, ending: str) -> str:
    return textwrap.dedent(f"""
        import faulthandler, os, signal, sys, threading, time
        from PIL import ImageGrab
        from viewer.play.app import view
        from viewer.play.film import Film

        faulthandler.dump_traceback_later({3 * PATIENCE}, exit=True)  # says where it stands

        def drawn():
            if "viewer.render.window" not in sys.modules:
                return 0
            import pyglet
            return max([getattr(w, "pictures", 0) for w in list(pyglet.app.windows)], default=0)

        def watch():
            while drawn() < 6:
                time.sleep(0.05)
            ImageGrab.grab(xdisplay="").save({str(shot)!r})
            import pyglet
            print("TITLE", next(w for w in pyglet.app.windows if w.visible).caption)
            {ending}

        def click_close():
            import pyglet
            window = next(w for w in pyglet.app.windows if w.visible)
            pyglet.clock.schedule_once(lambda _: window.dispatch_event("on_close"), 0)

        threading.Thread(target=watch, daemon=True).start()
        status = view({url!r}, record={str(record)!r}, film=Film(256, 256), seconds={2 * PATIENCE})
        print(status.mode, status.shown, status.frames, status.seconds)
    """)


@pytest.mark.timeout(900)  # a busy machine takes minutes to import what draws
@pytest.mark.skipif(sys.platform != "linux", reason="not run: Xvfb is for Linux")
@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), signal.SIGINT)", "click_close()"])
def test_a_window_shows_the_face_and_closes_cleanly(
    head: Head, tmp_path: Path, ending: str
) -> None:
    video, shot = tmp_path / "a.mp4", tmp_path / "shot.png"
    with virtual_display() as screen, speaking(head) as server:
        script = window_script(server.url, video, shot, ending)
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**screen, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    title, numbers = done.stdout.splitlines()
    assert title.startswith("TITLE") and "synthetic" in title
    mode, shown, frames, seconds = numbers.split()
    assert mode == "window" and int(shown) > 3
    assert float(seconds) < 2 * PATIENCE, "it was closed, and did not run to its end"
    with av.open(str(shot)) as picture:
        screen = next(picture.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert screen[:256, :256].std() > 15
    assert screen[110:150, 110:150].mean() > 70  # the face
    times, pictures, _ = look(video)
    # A busy machine draws fewer of them, in the same time.
    assert len(times) > 3 and times[0] == 0 and int(frames) >= len(times) - 1
    assert pictures[:, 160:224, 96:160].astype(float).std(axis=0).max() > 10


def test_a_window_without_a_display_is_one_line() -> None:
    code = (
        "from viewer.play.app import view\n"
        "try:\n    view('ws://127.0.0.1:9', 'window')\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("PYOPENGL_PLATFORM", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if sys.platform == "linux":
        assert done.stdout.startswith("GLError no display"), done.stdout + done.stderr


# --- clips -------------------------------------------------------------------------------------
def test_a_clip_becomes_a_video_with_its_sound(head: Head, tmp_path: Path) -> None:
    motion = np.array([talk(k) for k in range(30)])
    sound = np.zeros(30 * 640, np.float32)
    sound[10 * 640 : 11 * 640] = 0.5
    path = tmp_path / "a.mp4"
    output = PictureOutput(path, None, head, Film(128, 128))
    for k, row in enumerate(motion):
        output.write_audio(sound[640 * k : 640 * (k + 1)])
        output.show([Frame(k, 640 * k, row)])
    output.close()
    times, pictures, heard = look(path)
    assert len(times) == 30 and pictures.shape[1:] == (128, 128)
    assert np.flatnonzero(np.abs(heard) > 0.2)[0] == pytest.approx(6400, abs=40)
    with Renderer(head, 128, 128) as renderer:
        wanted = renderer.render(
            skin(
                head,
                motion[6, :50],
                global_rotation=motion[6, 50:53],
                jaw_pose=np.array([motion[6, 53], 0, 0], np.float32),
            )
        )
    grey = wanted @ [0.299, 0.587, 0.114]
    assert np.abs(grey - pictures[6]).mean() < 12  # the same picture, limited range


def test_shape_changes_the_face(head: Head) -> None:
    hello = replace(make_hello(head), shape=[2.0] + [0.0] * 200)
    shape = shape_for(hello, head)
    assert shape is not None and len(shape) <= head.shape_count
    still = np.zeros(56, np.float32)
    plain, shaped = vertices_of(head, None, still), vertices_of(head, shape, still)
    np.testing.assert_allclose(plain, head.template, atol=1e-6)
    assert np.abs(shaped - plain).max() > 1e-4
    assert shape_for(make_hello(head), head) is None


def test_vertices_on_the_wire_are_shown_as_they_are(head: Head) -> None:
    given = head.template.reshape(-1) + np.float32(0.01)
    np.testing.assert_array_equal(vertices_of(head, None, given), head.template + np.float32(0.01))
    with pytest.raises(PlayerError, match="does not fit"):
        vertices_of(head, None, np.zeros(7, np.float32))
    assert head_for(messages.Hello(head=head.id, channels={})) is head


# --- the recorder ------------------------------------------------------------------------------
def test_a_new_timeline_continues_the_recording(head: Head, tmp_path: Path) -> None:
    """A server that starts again at sample 0, or far ahead, neither rewinds nor freezes it."""
    recorder = Recorder(tmp_path / "a.mp4", head, Film(64, 64))
    recorder.hear(Sound(640_000 - 320, np.full(640, 0.5, np.float32), 0.0))  # before any frame
    for first in (640_000, 0, 64_000_000):
        for k in range(10):
            recorder.show(ReceivedMotion(k, first + 640 * k, np.zeros(56, np.float32), 0.0))
    recorder.close()
    times, _, sound = look(tmp_path / "a.mp4")
    np.testing.assert_allclose(times, np.arange(30) / 25, atol=1e-4)
    assert np.abs(sound[:300]).max() > 0.3 and np.abs(sound[700:]).max() < 0.05


def test_a_recording_has_the_rate_and_look_that_are_asked_for(head: Head, tmp_path: Path) -> None:
    """At 60 pictures a second none comes twice but in a gap; transparent, and at rest first."""
    film = Film(64, 64, fps=60, background=Background("transparent"), neutral=True)
    path = tmp_path / "a.mov"
    recorder = Recorder(path, head, film)
    for k in (*range(10), *range(20, 30)):  # ten frames never come
        motion = np.zeros(56, np.float32)
        motion[53] = 0.1 + 0.01 * k
        recorder.show(ReceivedMotion(k, 640 * k, motion, 0.0))
        recorder.hear(Sound(640 * k, np.full(640, 0.25, np.float32), 0.0))
    recorder.close()
    with av.open(str(path)) as video:
        frames = [f for f in video.decode(video=0)]
        times = np.array([f.time for f in frames])
        pictures = np.array([f.to_ndarray(format="rgba") for f in frames]).astype(int)
    with av.open(str(path)) as video:
        sound = np.concatenate([f.to_ndarray()[0] for f in video.decode(audio=0)])
    np.testing.assert_allclose(times * 60, np.round(times * 60), atol=0.01)
    assert (pictures[:, 1, 1, 3] == 0).all() and (pictures[:, 40, 32, 3] > 250).all()
    last = times[-1] + 1 / 60
    assert last == pytest.approx(31 / 25, abs=1 / 60) and len(sound) / 16000 >= 31 / 25 - 0.05
    # One frame at rest, then ten, then a picture that stays for ten frames' time.
    gap = (times > 10 / 25 + 1e-6) & (times <= 20 / 25 + 1e-6)
    assert not gap.any() and len(times) > 0.6 * 60 * 31 / 25
    moved = np.abs(np.diff(pictures[..., :3], axis=0)).max(axis=(1, 2, 3))
    assert (moved[times[1:] < 10 / 25] > 0).all(), "interpolated, not repeated"
    assert not sound[:600].any() and np.abs(sound[700:1200]).max() > 0.2


def test_a_recorder_that_cannot_draw_leaves_no_file(head: Head, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 to 8192"):
        Recorder(tmp_path / "a.mp4", head, Film(10_000, 10_000))
    assert not (tmp_path / "a.mp4").exists()


def test_a_slow_recording_is_thinned_evenly_and_finished(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawing that takes longer than a frame lasts: nothing stops, no long gap, sound complete."""
    monkeypatch.setattr("viewer.play.watch.BACKLOG_FRAMES", 20)
    show = Recorder.show

    def slow(self: Recorder, motion: ReceivedMotion) -> None:
        time.sleep(0.08)
        show(self, motion)

    monkeypatch.setattr(Recorder, "show", slow)
    with speaking(head, frames=75) as server:
        status = view(server.url, "offscreen", tmp_path / "a.mp4", film=Film(64, 64))
    times, _, sound = look(tmp_path / "a.mp4")
    assert status.dropped == status.frames - status.shown > 10
    assert len(times) == status.shown
    assert np.diff(times).max() < 0.4
    assert len(sound) / 16000 == pytest.approx(status.frames / 25, abs=0.3)
