"""`live` and `serve` end to end, with the fake model: real sockets, microphones and signals."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli import call, finish, start, wait_for_line, wait_for_recording, watch_video
from patience import PATIENCE
from virtual_microphone import missing, virtual_microphone
from websockets.sync.client import connect

import posetalk
from posetalk.app.opening import open_source
from posetalk.app.settings.stream import StreamSettings
from stream.wire import codec, messages
from viewer.play import app
from viewer.play.watch import Status

FAKE = ["--backend", "fake"]


def ws_url(line: str) -> str:
    """The websocket's address in what a server says when it is up."""
    return next(word.rstrip(",;") for word in line.split() if word.startswith("ws://"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# live


def test_live_without_microphone_and_display_records_the_demo(tmp_path: Path) -> None:
    code, _, said = finish(start("live", *FAKE, "--seconds", "2", "--port", "0", cwd=tmp_path))
    assert code == 0, said
    assert "playing the demo speech" in said
    recording = next(tmp_path.glob("posetalk-*.mp4"))
    assert f"recorded {recording.name}" in said
    assert "50 frames of 2.0 s" in said and "dropped 0" in said
    pictures, sound, metadata = watch_video(recording)
    assert len(pictures) == 50
    assert abs(len(sound) - 32000) < 3000 and np.abs(sound).max() > 0.1
    assert "synthetic" in metadata["title"]


@pytest.mark.parametrize(("recorded", "said"), [(0.0, "nothing was recorded"), (2.0, "(2.0 s)")])
def test_view_says_recorded_of_what_is_there(
    recorded: float,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a.mp4"
    status = Status("offscreen", 0.0, 0, 0, 0, 0, 1, None, path, recorded)
    monkeypatch.setattr(app, "view", lambda *_, **__: status)
    code, _, messages = call(["view", "--view", "offscreen", "--record", str(path)], capsys)
    assert (
        code == 0 and said in messages and ("recorded " + str(path) in messages) == (recorded > 0)
    )


def test_ctrl_c_ends_a_view_that_waits_in_one_line(tmp_path: Path) -> None:
    process = start("view", f"ws://127.0.0.1:{free_port()}", "--view", "offscreen", cwd=tmp_path)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    code, _, said = finish(process)
    assert (code, said) == (130, "posetalk: interrupted\n") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0.0, 0.7, 1.4])
def test_ctrl_c_while_the_viewer_starts_is_no_failure(seconds: float, tmp_path: Path) -> None:
    arguments = ["live", *FAKE, "--port", "0", "--view", "offscreen", "--record", "cut.mp4"]
    process = start(*arguments, cwd=tmp_path)
    wait_for_line(process, "serving at")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    code, _, said = finish(process)
    assert code == 130 and "Traceback" not in said and "failed" not in said


def test_ctrl_c_ends_live_and_the_recording_plays(tmp_path: Path) -> None:
    arguments = ["--source", "demo", "--view", "none", "--record", "cut.mp4", "--port", "0"]
    process = start("live", *FAKE, *arguments, cwd=tmp_path)
    recording = tmp_path / "cut.mp4"
    wait_for_recording(process, recording)
    process.send_signal(signal.SIGINT)
    code, _, said = finish(process)
    assert code == 130
    assert "recorded cut.mp4" in said
    pictures, sound, _ = watch_video(recording)
    assert len(pictures) >= 10
    assert abs(len(pictures) / 25 - len(sound) / 16000) < 0.2


@pytest.mark.slow
def test_a_recording_survives_the_death_of_live(tmp_path: Path) -> None:
    arguments = ["--source", "demo", "--view", "none", "--record", "cut.mp4", "--port", "0"]
    process = start("live", *FAKE, *arguments, cwd=tmp_path)
    recording = tmp_path / "cut.mp4"
    wait_for_recording(process, recording)
    process.kill()
    process.communicate()
    time.sleep(3)  # the viewer notices, and finishes the file
    assert len(watch_video(recording)[0]) >= 10


def test_live_goes_on_without_a_picture_where_nothing_can_draw(tmp_path: Path) -> None:
    broken = start(
        "live", *FAKE, "--seconds", "0.4", "--port", "0", cwd=tmp_path, PYOPENGL_PLATFORM="bogus"
    )
    code, _, said = finish(broken)
    assert code == 0, said
    assert "no OpenGL" in said and "going on without it" in said
    assert "10 frames of 0.4 s" in said
    assert not list(tmp_path.iterdir())


def test_a_recording_of_another_day_is_not_called_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.mp4"
    old.write_bytes(b"of yesterday")
    arguments = [
        "live",
        *FAKE,
        "--source",
        "nowhere.wav",
        "--view",
        "none",
        "--record",
        str(old),
        "--force",
    ]
    code, _, said = call(arguments, capsys)
    assert code == 1 and "no such file" in said
    arguments = ["live", "--source", "demo", "--bundle", "nowhere", "--view", "none"]
    code, _, said = call([*arguments, "--record", str(old), "--force"], capsys)
    assert code == 1 and "nowhere" in said
    assert "recorded" not in said and old.read_bytes() == b"of yesterday"


def test_what_is_wrong_with_a_microphone_is_said_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALSA's device names hold colons themselves."""
    from stream.sources import microphone

    def fail(device: object, **_: object) -> None:
        raise microphone.MicrophoneError("the microphone 'hw: 0,0' is held", "close the other one")

    monkeypatch.setattr(microphone, "Microphone", fail)
    source = open_source(StreamSettings())
    source.close()
    assert "the microphone 'hw: 0,0' is held; playing the demo speech" in capsys.readouterr().err
    with pytest.raises(microphone.MicrophoneError, match="'hw: 0,0' is held: close the other one"):
        open_source(StreamSettings(device="hw"))


def test_no_portaudio_means_demo_speech(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    arguments = ["live", *FAKE, "--view", "none", "--port", "0", "--seconds", "0.2"]
    code, _, said = call(arguments, capsys)
    assert code == 0
    assert "playing the demo speech" in said
    code, _, said = call(["devices"], capsys)
    assert code == 1 and "libportaudio2" in said


# serve


def test_serve_speaks_the_protocol_and_keeps_its_port(tmp_path: Path) -> None:
    port = free_port()
    soundfile.write(tmp_path / "long.wav", np.zeros(8000 * 900, np.int16), 8000)
    process = start("serve", *FAKE, "--source", "long.wav", "--port", str(port), cwd=tmp_path)
    url = ws_url(wait_for_line(process, "serving at"))
    with connect(url) as socket_:
        hello = codec.parse_text(str(socket_.recv(timeout=PATIENCE)))
        assert isinstance(hello, messages.Hello) and hello.synthetic
        socket_.send(codec.serialise_text(messages.Subscribe()))
        frames = []
        while len(frames) < 10:
            data = socket_.recv(timeout=PATIENCE)
            if isinstance(data, bytes):
                frames.append(codec.parse(data))
        assert [b.sample - a.sample for a, b in itertools.pairwise(frames)] == [640] * 9
        assert frames[0].payload.shape == (56,)
        second = start("serve", *FAKE, "--source", "long.wav", "--port", str(port), cwd=tmp_path)
        code, _, said = finish(second)
        assert code == 1 and f"port {port}" in said and "in use" in said
    process.send_signal(signal.SIGINT)
    code, _, said = finish(process)
    assert code == 130 and "frames" in said


def test_raw_sound_on_standard_input_is_animated(tmp_path: Path) -> None:
    samples, _ = soundfile.read(posetalk.demo_speech(), frames=16000, dtype="int16")
    process = start("serve", *FAKE, "--source", "-", "--port", "0", cwd=tmp_path)
    assert process.stdin is not None
    process.stdin.buffer.write(samples.tobytes())
    code, _, said = finish(process)
    assert code == 0, said
    assert "25 frames of 1.0 s" in said


def test_the_microphone_reaches_a_client(tmp_path: Path) -> None:
    """Speak into a real capture device; the jaw of a client's face opens."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    speech, _ = soundfile.read(posetalk.demo_speech(), start=8000, frames=48000, dtype="float32")
    with virtual_microphone() as microphone:
        environment = {key: os.environ[key] for key in ("XDG_RUNTIME_DIR", "PULSE_SERVER")}
        arguments = ["serve", *FAKE, "--port", "0", "--seconds", "4"]
        process = start(*arguments, cwd=tmp_path, **environment)
        url = ws_url(wait_for_line(process, "serving at"))
        speaking = microphone.speak(speech)
        frames = []
        with connect(url) as socket_:
            socket_.send(codec.serialise_text(messages.Subscribe()))
            for data in socket_:
                if isinstance(data, bytes):
                    frames.append(codec.parse(data))
        code, _, said = finish(process)
        assert speaking.wait(PATIENCE) == 0
    assert code == 0, said
    assert "100 frames of 4.0 s" in said and "dropped 0" in said
    assert "demo speech" not in said
    samples = [frame.sample for frame in frames]
    assert len(samples) > 80 and samples == list(range(samples[0], samples[-1] + 1, 640))
    assert max(float(frame.payload[53]) for frame in frames) > 0.05, "the jaw opens"


@pytest.mark.slow
def test_a_microphone_that_is_unplugged_ends_live_and_loses_nothing(tmp_path: Path) -> None:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with virtual_microphone() as microphone:
        environment = {key: os.environ[key] for key in ("XDG_RUNTIME_DIR", "PULSE_SERVER")}
        arguments = ["live", *FAKE, "--port", "0", "--view", "none", "--record", "cut.mp4"]
        process = start(*arguments, cwd=tmp_path, **environment)
        recording = tmp_path / "cut.mp4"
        wait_for_recording(process, recording)
        microphone.unplug()
        code, _, said = finish(process)
    assert code == 1
    assert "is gone" in said.splitlines()[-1]
    assert len(watch_video(recording)[0]) >= 10
