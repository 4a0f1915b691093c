"""The capture path through a real sound server (`virtual_microphone.py`), one daemon for all."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import virtual_microphone
from numpy.typing import NDArray
from patience import PATIENCE
from virtual_microphone import VirtualMicrophone

from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.run.live_loop import LiveLoop
from stream.run.sinks import Collected
from stream.sources import Block
from stream.sources.microphone import Microphone
from stream.sources.native.messages import quiet_native_code
from stream.sources.native.portaudio import MicrophoneError, list_microphones
from stream.sources.returning import ReturningSource

ROOT = Path(__file__).resolve().parents[3]
Floats = NDArray[np.float32]
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype("f4")


@pytest.fixture(scope="module")
def virtual() -> Iterator[VirtualMicrophone]:
    if reason := virtual_microphone.missing():
        pytest.skip(reason)
    with virtual_microphone.virtual_microphone() as microphone:
        yield microphone


def listen(
    microphone: Microphone,
    seconds: float,
    virtual: VirtualMicrophone | None = None,
    said: NDArray[np.float32] = NOISE,
) -> list[Block]:
    """What the microphone hears; `said` begins once it listens."""
    blocks, speaker = [], None
    for block in microphone:
        blocks.append(block)
        if virtual is not None and speaker is None:
            speaker = virtual.speak(said)
        if block.end >= seconds * 16000:
            microphone.close()
    if speaker is not None:
        speaker.wait(PATIENCE)
    return blocks


def find(heard: NDArray[np.float32], said: NDArray[np.float32]) -> int:
    """Where `said` begins in `heard`."""
    size = 1 << (len(heard) + len(said)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    return int(np.argmax(np.fft.irfft(spectrum)))


def test_devices_are_listed_as_of_now(virtual: VirtualMicrophone) -> None:
    devices = list_microphones()
    assert {"pulse", "default"} <= {device.name for device in devices}
    assert sum(device.is_default for device in devices) == 1


def hear(
    virtual: VirtualMicrophone, said: NDArray[np.float32], is_good: Callable[[Floats], bool]
) -> tuple[Microphone, list[Block]]:
    """Listen until what is heard is good: on a busy machine the player itself may stutter."""
    for _attempt in range(4):
        microphone = Microphone("pulse")
        blocks = listen(microphone, 2.0, virtual, said)
        heard = np.concatenate([block.samples for block in blocks])
        at = find(heard, said)
        if at + len(said) <= len(heard) and is_good(heard[at : at + len(said)]):
            return microphone, blocks
    pytest.fail("four times what was heard was not what was said")


def test_speech_is_heard_bit_for_bit_with_even_blocks(virtual: VirtualMicrophone) -> None:
    microphone, blocks = hear(virtual, NOISE, lambda part: bool(np.abs(part - NOISE).max() < 1e-4))
    assert microphone.realtime and 0 < microphone.device_latency < 0.5
    assert [b.start for b in blocks] == [0, *(b.end for b in blocks[:-1])]
    assert {len(block.samples) for block in blocks} == {320}
    assert microphone.dropped == 0
    waits = np.array([block.arrival - block.captured for block in blocks[10:]])
    assert waits.min() >= 0
    assert np.median(waits) < 0.04


def test_a_device_with_another_rate_is_resampled(
    virtual: VirtualMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stream.sources.microphone.settings_for", lambda sd, info, channel: (44100, 2)
    )
    sweep = np.sin(2 * np.pi * np.cumsum(np.linspace(200, 3000, 16000)) / 16000) * 0.5
    said = sweep.astype("f4")
    microphone, blocks = hear(
        virtual, said, lambda part: bool(np.corrcoef(part, said)[0, 1] > 0.99)
    )
    assert (microphone.rate, microphone.channels, microphone.dropped) == (44100, 2, 0)
    assert [b.start for b in blocks] == [0, *(b.end for b in blocks[:-1])]
    assert all(block.captured <= block.arrival for block in blocks)


def test_an_unknown_device_is_one_line(virtual: VirtualMicrophone) -> None:
    for device in ("Theremin", 999):
        with pytest.raises(MicrophoneError, match="posetalk devices") as raised:
            Microphone(device)
        assert "\n" not in str(raised.value)


def test_a_muted_microphone_is_pointed_out_once(
    virtual: VirtualMicrophone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stream.sources.microphone.SILENCE_SECONDS", 0.3)
    microphone = Microphone()
    listen(microphone, 0.8)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1 and "perfectly silent" in warnings[0]
    assert microphone.silent_seconds == pytest.approx(0.8, abs=0.05)


def test_closing_from_another_thread_ends_it_and_opening_again_works(
    virtual: VirtualMicrophone,
) -> None:
    for _ in range(3):
        microphone = Microphone()
        threading.Timer(0.2, microphone.close).start()
        before = time.monotonic()
        list(microphone)
        assert time.monotonic() - before < 1.5
    Microphone().close()  # never started


def test_live_from_the_microphone(virtual: VirtualMicrophone) -> None:
    class Speaker(Collected):
        process: subprocess.Popen[bytes] | None = None

        def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
            self.process = self.process or virtual.speak(NOISE)

    sink = Speaker()
    statistics = LiveLoop(Microphone(), Session(load_backend("fake")), [sink]).run(seconds=2.0)
    assert sink.process is not None and sink.process.wait(PATIENCE) == 0
    assert statistics.frames == len(sink.frames) == 50
    assert statistics.dropped == 0
    open_frames = np.flatnonzero(sink.motion[:, 53] > 0.05)
    assert 24 <= len(open_frames) <= 28  # one second of noise
    assert statistics.latency().p50 < 220


def test_unplugging_is_one_line_and_loses_nothing(
    virtual: VirtualMicrophone, capfd: pytest.CaptureFixture[str]
) -> None:
    with virtual_microphone.virtual_microphone() as other:
        microphone = Microphone()
        blocks = []
        with pytest.raises(MicrophoneError, match="is gone") as raised:
            for block in microphone:
                blocks.append(block)
                if len(blocks) == 25:
                    other.unplug()
                    pulled = time.monotonic()
        assert time.monotonic() - pulled < 2.0
        assert "\n" not in str(raised.value)
        assert len(blocks) >= 25
        with pytest.raises(MicrophoneError):
            Microphone()
    assert list_microphones()  # the first sound server is back
    assert capfd.readouterr() == ("", "")  # nor do ALSA and PortAudio talk


def test_a_sound_server_that_hangs_is_silence_until_it_goes_on(virtual: VirtualMicrophone) -> None:
    """What it does not let go of meanwhile is waited for beside the stream."""
    with virtual_microphone.virtual_microphone() as other:
        told: list[str] = []
        source = ReturningSource(
            lambda: Microphone(silence_timeout=0.5), on_change=told.append, retry=0.1
        )
        goes_on = threading.Timer(30.0, other.daemon.send_signal, [signal.SIGCONT])
        silent, ends, heard = 0, [0], iter(source)
        try:
            for count, block in enumerate(heard, 1):
                assert block.start == ends[-1], "no sample is missing"
                ends.append(block.end)
                if count == 25:
                    other.daemon.send_signal(signal.SIGSTOP)
                    goes_on.start()
                if told == [] or goes_on.finished.is_set():
                    continue
                silent += 1
                if silent == 50:
                    break
        finally:
            goes_on.cancel()
            other.daemon.send_signal(signal.SIGCONT)
        assert silent == 50, "there was no silence until the sound server went on"
        for block in heard:
            assert block.start == ends[-1]
            ends.append(block.end)
            if told[1:] == [""]:
                break
        source.close()
    assert "no sound" in told[0]


def test_a_sound_server_that_does_not_answer_is_one_line(
    virtual: VirtualMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_microphone.virtual_microphone() as other:
        other.daemon.send_signal(signal.SIGSTOP)
        goes_on = threading.Timer(60.0, other.daemon.send_signal, [signal.SIGCONT])
        goes_on.start()
        monkeypatch.setattr("stream.sources.native.calls.ANSWER_SECONDS", 0.5)
        try:
            for _ in range(2):
                with pytest.raises(MicrophoneError, match="does not answer"):
                    Microphone()
            with pytest.raises(MicrophoneError, match="does not answer"):
                list_microphones()
            assert not goes_on.finished.is_set(), "it waited until the sound server went on"
        finally:
            goes_on.cancel()
            other.daemon.send_signal(signal.SIGCONT)
        monkeypatch.setattr("stream.sources.native.calls.ANSWER_SECONDS", 60.0)
        blocks = listen(Microphone(), 0.2)
        assert blocks[-1].end >= 0.2 * 16000
    assert list_microphones()  # of the first sound server: what came late was closed


def test_a_command_says_so_and_ends(virtual: VirtualMicrophone) -> None:
    with virtual_microphone.virtual_microphone() as other:
        other.daemon.send_signal(signal.SIGSTOP)
        goes_on = threading.Timer(120.0, other.daemon.send_signal, [signal.SIGCONT])
        goes_on.start()
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "posetalk", "devices"], capture_output=True, text=True
            )
            assert not goes_on.finished.is_set(), "it waited until the sound server went on"
        finally:
            goes_on.cancel()
            other.daemon.send_signal(signal.SIGCONT)
    assert done.returncode == 1
    assert done.stderr.startswith("posetalk: the sound server does not answer"), done.stderr
    assert done.stderr.count("\n") == 1


def test_only_c_code_is_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    import ctypes

    libc = ctypes.CDLL(None)

    def perror(text: bytes) -> None:
        libc.perror(text)
        libc.fflush(None)

    perror(b"before")
    with quiet_native_code(), quiet_native_code():
        perror(b"meanwhile")
        print("python", file=sys.stderr)
    perror(b"after")
    words = [line.split(":")[0] for line in capfd.readouterr().err.splitlines()]
    assert words == ["before", "python", "after"]


def run_without(setup: str) -> str:
    """What `Microphone()` says in a process of its own, after `setup`."""
    program = (
        f"import os, sys\n{setup}\n"
        "from stream.sources.native.portaudio import MicrophoneError\n"
        "from stream.sources.microphone import Microphone\n"
        "try:\n    Microphone()\nexcept MicrophoneError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_microphone_is_one_line() -> None:
    said = run_without("os.environ['PULSE_SERVER'] = 'unix:/nonexistent'")
    if "no microphone found" not in said:
        pytest.skip("not run: this machine has a microphone of its own")
    assert said.count("\n") == 1 and "--source demo" in said


def test_no_portaudio_is_one_line() -> None:
    said = run_without("sys.modules['sounddevice'] = None")
    assert said.count("\n") == 1 and "libportaudio2" in said


class _Interface:
    """What PortAudio says of a sound interface with many inputs."""

    PortAudioError = RuntimeError

    def __init__(self, accepts: set[int]) -> None:
        self._accepts = accepts

    def check_input_settings(self, *, channels: int, **_: object) -> None:
        if channels not in self._accepts:
            raise self.PortAudioError("no such format")


def test_as_few_channels_are_opened_as_hold_the_one_that_is_wanted() -> None:
    from stream.sources.native.portaudio import settings_for

    info = {"index": 0, "name": "desk", "default_samplerate": 48000.0, "max_input_channels": 8}
    for channel, accepts, opened in (
        ("auto", {1, 2, 8}, 1),
        ("auto", {2, 8}, 2),
        ("mix", {1, 8}, 8),
        (3, {1, 3, 8}, 3),
        (3, {1, 8}, 8),
    ):
        assert settings_for(_Interface(accepts), info, channel) == (16000, opened)
    with pytest.raises(MicrophoneError, match="'desk' has 8 channels, no channel 9"):
        settings_for(_Interface({8}), info, 9)
