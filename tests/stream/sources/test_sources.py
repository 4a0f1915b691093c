from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream.clock import FakeClock
from stream.sources import Block, SourceError
from stream.sources.array import ArraySource
from stream.sources.file import AudioFileError, FileSource
from stream.sources.pcm import LiveResampler, from_int16, mono, to_int16
from stream.sources.pushed import PushedSource
from stream.sources.raw import RawSource

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000]
ROOT = Path(__file__).resolve().parents[3]


def tone(rate: int, seconds: float, hertz: float = 440.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype("f4")


def joined(blocks: list[Block]) -> NDArray[np.float32]:
    at = 0
    for block in blocks:
        assert block.start == at
        assert block.samples.dtype == np.float32 and block.samples.ndim == 1
        assert block.captured <= block.arrival
        at = block.end
    return np.concatenate([block.samples for block in blocks])


# --- resampling --------------------------------------------------------------------------------
def test_resampler_holds_no_more_than_its_filter_reads() -> None:
    resampler = LiveResampler(44100)
    for _ in range(50):
        resampler.feed(np.zeros(4410, np.float32))
        assert len(resampler._held) <= 2 * resampler._half + 3


@pytest.mark.parametrize("rate", RATES)
def test_resampler_keeps_a_tone_and_its_time(rate: int) -> None:
    resampler = LiveResampler(rate)
    heard = np.concatenate([resampler.feed(tone(rate, 0.5)), resampler.finish()])
    assert len(heard) == len(tone(rate, 0.5)) * 16000 // rate
    assert np.abs(heard - tone(16000, 0.5)[: len(heard)])[80:-80].max() < 2e-5
    assert resampler.delay < 0.004


@pytest.mark.parametrize("rate", [32000, 44100, 48000, 192000])
def test_resampler_removes_what_16_khz_cannot_hold(rate: int) -> None:
    assert np.abs(LiveResampler(rate).feed(tone(rate, 0.5, 9000.0)))[200:].max() < 1e-4


@pytest.mark.parametrize("rate", [32000, 44100, 48000])
def test_resampler_lets_little_come_back_of_what_is_just_beyond(rate: int) -> None:
    """What its docstring says: a tone at 8.4 kHz is 59 dB down, one at 7 kHz hardly at all."""

    def decibels(hertz: float) -> float:
        heard = LiveResampler(rate).feed(tone(rate, 0.5, hertz))[500:-500]
        return float(20 * np.log10(np.sqrt(2 * np.mean(heard**2)) / 0.5))

    assert decibels(8400.0) < -55 and decibels(9000.0) < -90 and decibels(7000.0) > -0.5


@settings(max_examples=40)
@given(st.sampled_from(RATES), st.lists(st.integers(0, 5000), min_size=1, max_size=12))
def test_resampler_does_not_depend_on_block_sizes(rate: int, sizes: list[int]) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, sum(sizes)).astype("f4")
    whole, parts = LiveResampler(rate), LiveResampler(rate)
    pieces = [parts.feed(piece) for piece in np.split(noise, np.cumsum(sizes)[:-1])]
    assert np.array_equal(
        np.concatenate([*pieces, parts.finish()]),
        np.concatenate([whole.feed(noise), whole.finish()]),
    )


def test_a_copied_resampler_leaves_the_first_as_it_was() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 9600).astype("f4")
    resampler = LiveResampler(48000)
    resampler.feed(noise[:4000])
    expected = copy.copy(resampler).feed(noise[4000:])
    assert np.array_equal(resampler.feed(noise[4000:]), expected)


def test_resampler_does_not_grow() -> None:
    resampler = LiveResampler(44100)
    for _ in range(50):
        resampler.feed(np.zeros(44100, np.float32))
    assert len(resampler._held) < 500


@pytest.mark.parametrize("rate", [0, 100, 1_000_000])
def test_resampler_refuses_rates_that_are_none(rate: int) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        LiveResampler(rate)


def test_pcm_is_made_harmless() -> None:
    dirty = np.float32([[np.nan, 1.0], [np.inf, np.inf], [-7, -1], [0.5, 0.25]])
    assert mono(dirty).tolist() == [0.5, 1.0, -1.0, 0.375]
    whole = np.arange(-(2**15), 2**15).astype(np.int16)
    assert np.array_equal(to_int16(from_int16(whole)), whole)


# --- files -------------------------------------------------------------------------------------
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_files_of_any_rate(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.stack([tone(rate, 1.3)] * channels, axis=1), rate, subtype="PCM_24")
    source = FileSource(path, pace="fast")
    heard = joined(list(source))
    assert len(heard) == source.samples
    assert np.abs(heard - tone(16000, 1.3)[: len(heard)])[80:-80].max() < 5e-5


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.flac", None), ("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.mp3", None), ("a.wav", "ULAW")],
)
def test_compressed_files(tmp_path: Path, name: str, subtype: str | None) -> None:
    path = tmp_path / name
    format_ = "OGG" if name.endswith(("ogg", "opus")) else None
    soundfile.write(path, tone(48000, 1.0), 48000, subtype=subtype, format=format_)
    heard = joined(list(FileSource(path, pace="fast")))
    assert len(heard) == pytest.approx(16000, abs=1200)
    for part in np.split(heard[2000:14000], 24):  # no gaps between the pieces that are read
        assert np.sqrt(np.mean(part**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_not_a_number_does_not_spread(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    samples = tone(rate, 1.0)
    samples[rate // 2] = np.nan
    samples[rate // 4] = 5.0
    soundfile.write(path, samples, rate, subtype="FLOAT")
    heard = joined(list(FileSource(path, pace="fast")))
    assert np.isfinite(heard).all() and np.abs(heard).max() <= 1.5
    assert np.abs(heard - tone(16000, 1.0))[9000:15900].max() < 1e-4


def bad_files(folder: Path) -> dict[str, str]:
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound\n" * 50)
    (folder / "folder.wav").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.wav")
    soundfile.write(folder / "nothing.wav", np.zeros(0), 16000)
    soundfile.write(folder / "slow.wav", np.zeros(100), 1000)
    return {
        "empty.wav": "is empty",
        "text.wav": "not readable as audio",
        "folder.wav": "is a folder",
        "pipe.wav": "`--source -`",
        "nothing.wav": "holds no sound",
        "slow.wav": "has a rate of 1000 Hz",
        "missing.wav": "no such file",
    }


def test_unusable_files_get_one_line(tmp_path: Path) -> None:
    for name, reason in bad_files(tmp_path).items():
        if name == "pipe.wav" and not hasattr(os, "mkfifo"):
            continue  # Windows has no named pipes in folders
        with pytest.raises(AudioFileError, match=reason) as raised:
            FileSource(tmp_path / name)
        assert str(tmp_path / name) in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.wav", tmp_path / "cut.wav"
    soundfile.write(whole, tone(16000, 2.0), 16000)
    cut.write_bytes(whole.read_bytes()[:32044])
    assert len(joined(list(FileSource(cut, pace="fast")))) == 16000


def test_a_broken_file_gives_what_comes_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.uniform(-0.5, 0.5, 16000 * 4), 16000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\0" * (len(data) - len(data) // 2)
    path.write_bytes(data)
    blocks: list[Block] = []
    try:
        blocks += FileSource(path, pace="fast")
    except AudioFileError as error:
        assert "broken after" in str(error)
    assert len(joined(blocks)) >= 16000


def test_realtime_pace_is_kept_whatever_the_reader_does(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(44100, 1.0), 44100)
    clock = FakeClock(100.0)
    blocks = []
    for block in FileSource(path, pace="realtime", clock=clock):
        blocks.append(block)
        assert block.captured == pytest.approx(100.0 + block.end / 16000)
        if len(blocks) == 20:
            clock.advance(0.3)  # the reader was away; the blocks it missed come at once
    assert {len(block.samples) for block in blocks[:-1]} == {320}
    assert clock.now() == pytest.approx(101.0, abs=0.02)
    assert blocks[20].arrival - blocks[20].captured == pytest.approx(0.28, abs=0.01)
    assert blocks[45].arrival == blocks[45].captured


def test_a_loop_goes_on_and_can_be_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16000, 0.5), 16000)
    source = FileSource(path, pace="fast", loop=True)
    blocks = []
    for block in source:
        blocks.append(block)
        if block.end > 40000:
            source.close()
    assert 40000 < len(joined(blocks)) < 60000


def test_day_long_files_are_read_in_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 48000, 2) as file:
        for _ in range(5):
            file.write(np.zeros((48000 * 30, 2), np.int16))
    source = FileSource(path, pace="fast")
    assert source.samples == 150 * 16000
    tracemalloc.start()
    total = sum(len(block.samples) for block in source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == source.samples
    assert peak < 4e6


# --- arrays ------------------------------------------------------------------------------------
@pytest.mark.parametrize("pace", ["fast", "realtime"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_arrays(pace: Literal["fast", "realtime"], rate: int) -> None:
    clock = FakeClock()
    stereo = np.stack([tone(rate, 1.0)] * 2, axis=1)
    heard = joined(list(ArraySource(stereo, rate, pace=pace, clock=clock)))
    assert len(heard) == 16000
    assert np.abs(heard - tone(16000, 1.0))[80:-80].max() < 5e-5
    assert clock.now() == pytest.approx(1.0 if pace == "realtime" else 0.0, abs=0.01)


# --- pipes -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "dtype", "scale"),
    [({}, "<i2", 32768), ({"sample_format": "f32le", "rate": 48000, "channels": 2}, "<f4", 1)],
)
def test_pipe(options: dict[str, object], dtype: str, scale: int) -> None:
    rate, channels = int(options.get("rate", 16000)), int(options.get("channels", 1))
    sent = (np.repeat(tone(rate, 1.0), channels) * scale).astype(dtype).tobytes()
    read, write = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(write, sent + b"\1"), os.close(write)))
    with os.fdopen(read, "rb") as stream:
        source = RawSource(stream, pace="fast", **options)
        os.set_blocking(write, True)
        writer.start()
        heard = joined(list(source))
        writer.join()
    assert len(heard) == 16000
    assert np.abs(heard - tone(16000, 1.0))[80:-80].max() < 1e-3


def test_a_pipe_that_is_faster_than_time_is_made_to_wait() -> None:
    read, write = os.pipe()
    os.write(write, bytes(2 * 16000))
    os.close(write)
    clock = FakeClock()
    with os.fdopen(read, "rb") as stream:
        blocks = list(RawSource(stream, clock=clock))
    assert sum(len(block.samples) for block in blocks) == 16000
    assert clock.now() == pytest.approx(0.8)


def test_an_empty_pipe_is_an_error_and_a_silent_one_can_be_closed() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stream:
        source = RawSource(stream)
        threading.Timer(0.2, source.close).start()
        assert list(source) == []
        os.close(write)
        with pytest.raises(SourceError, match="without any audio"):
            list(RawSource(stream))


def test_standard_input_of_a_process() -> None:
    program = (
        "from stream.sources.raw import RawSource\n"
        "print(sum(len(b.samples) for b in RawSource(pace='fast')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=bytes(64000), capture_output=True, cwd=ROOT
    )
    assert (done.stdout.strip(), done.stderr) == (b"32000", b"")


def test_a_terminal_is_refused() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "rb") as stream, pytest.raises(SourceError, match="terminal"):
        RawSource(stream)
    os.close(master)


# --- pushed ------------------------------------------------------------------------------------
def test_pushed_audio_comes_out_whole_with_silence_around() -> None:
    source = PushedSource(clock=FakeClock())
    speech = np.random.default_rng(0).uniform(-1, 1, 5000).astype("f4")
    blocks = []
    for block in source:
        blocks.append(block)
        if len(blocks) == 5:
            for piece in np.split(speech, [7, 1000, 4999]):
                assert source.push(piece)
        if len(blocks) == 40:
            source.close()
    heard = joined(blocks)
    begin = int(np.flatnonzero(heard)[0])
    assert begin == 5 * 320
    assert np.array_equal(heard[begin : begin + 5000], speech)
    assert not heard[begin + 5000 :].any()


def test_a_live_pusher_with_jitter_is_not_torn_apart() -> None:
    clock = FakeClock()
    source = PushedSource(clock=clock, cushion=0.04)
    speech = np.random.default_rng(0).uniform(0.1, 1, 320 * 50).astype("f4")
    arrivals = 0.2 + np.arange(50) * 0.02 + np.random.default_rng(1).uniform(0, 0.018, 50)
    pushed, blocks = 0, []
    for block in source:
        blocks.append(block)
        while pushed < 50 and arrivals[pushed] <= clock.now():
            source.push(speech[pushed * 320 : (pushed + 1) * 320])
            pushed += 1
        if block.end >= 16000 * 1.5:
            source.close()
    heard = joined(blocks)
    begin = int(np.flatnonzero(heard)[0])
    assert np.array_equal(heard[begin : begin + len(speech)], speech)


def test_a_push_that_does_not_fit_is_refused_whole() -> None:
    source = PushedSource(capacity=1.0)
    assert source.push(np.ones(10_000, np.float32))
    assert not source.push(np.ones(10_000, np.float32))
    assert source.waiting == 10_000
    assert source.dropped == 0  # the pusher still has it


def test_interrupt_forgets_what_was_pushed() -> None:
    source = PushedSource(clock=FakeClock())
    source.push(np.ones(16000, np.float32))
    for number, block in enumerate(source):
        if number == 3:
            assert block.samples.all()
            source.interrupt()
        if number > 3:
            assert not block.samples.any()
        if number == 10:
            source.close()


def test_close_ends_a_wait_at_once() -> None:
    source = PushedSource()
    threading.Timer(0.1, source.close).start()
    before = time.monotonic()
    list(source)
    assert time.monotonic() - before < 1.0
