"""WAV on standard input."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sound_files import wave, without_lengths, words

from stream.sources import SourceError
from stream.sources.raw import RawSource

RATE = 16000


def piped(data: bytes, *, at_once: int = 4096, **options: object) -> NDArray[np.float32]:
    """What is heard of `data` out of a pipe, written in pieces of `at_once` bytes."""
    read, write = os.pipe()

    def writer() -> None:
        with os.fdopen(write, "wb", buffering=0) as out:
            for start in range(0, len(data), at_once):
                try:
                    out.write(data[start : start + at_once])
                except BrokenPipeError:
                    return

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        with os.fdopen(read, "rb") as stream:
            blocks = [block.samples for block in RawSource(stream, pace="fast", **options)]
    finally:
        thread.join()
    return np.concatenate(blocks)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_wav_stream_is_known(tmp_path: Path, subtype: str, kind: str, rate: int) -> None:
    sound = np.stack([words(1.0, rate), 0.5 * words(1.0, rate)], axis=1)
    path = wave(tmp_path / "a.wav", sound, rate, subtype=subtype, format=kind)
    found = piped(path.read_bytes())
    assert len(found) == RATE
    assert found[0] == pytest.approx(0.0, abs=0.01)
    expected = 0.75 * words(1.0)
    if rate == RATE:
        assert np.abs(found - expected).max() < (0.01 if subtype == "PCM_U8" else 1e-4)


def test_its_form_for_more_than_four_gigabytes_has_two_names(tmp_path: Path) -> None:
    data = wave(tmp_path / "a.wav", words(1.0), RATE, subtype="FLOAT", format="RF64").read_bytes()
    assert np.array_equal(piped(b"BW64" + data[4:]), words(1.0))


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF024])
def test_a_program_that_does_not_know_how_much_will_come(tmp_path: Path, length: int) -> None:
    data = bytearray(without_lengths(wave(tmp_path / "a.wav", words(1.0), RATE)))
    at = data.find(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", length)
    assert np.abs(piped(bytes(data)) - words(1.0)).max() < 1e-4


@pytest.mark.parametrize("at_once", [1, 7, 100_000])
def test_pieces_of_any_size_and_files_one_after_the_other(tmp_path: Path, at_once: int) -> None:
    """With titles before and after the sound, an odd number of bytes long."""
    title = b"LIST" + struct.pack("<I", 5) + b"title" + b"\0"
    plain = wave(tmp_path / "a.wav", words(0.4), RATE).read_bytes()
    other = wave(tmp_path / "b.wav", words(0.4, 8000, seed=2), 8000, subtype="PCM_24").read_bytes()
    data = plain[:12] + title + plain[12:] + title + other
    found = piped(data, at_once=at_once)
    assert len(found) == 2 * 6400
    assert np.abs(found[:6400] - words(0.4)).max() < 1e-4
    later, said = found[6400:], words(0.4, seed=2)
    assert np.linalg.norm(later) == pytest.approx(np.linalg.norm(said), rel=0.2)


def test_one_of_its_channels(tmp_path: Path) -> None:
    sound = np.stack([words(1.0), words(1.0, seed=5)], axis=1)
    data = wave(tmp_path / "a.wav", sound, RATE, subtype="FLOAT").read_bytes()
    assert np.array_equal(piped(data, channel=2), sound[:, 1])
    with pytest.raises(SourceError, match="standard input has 2 channels, no channel 3"):
        piped(data, channel=3)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"OggS\0\2", "an Ogg file"),
        (b"fLaC\0\0\0\x22", "a FLAC file"),
        (b"ID3\4\0\0", "an MP3 file"),
        (b"\0\0\0\x20ftypM4A ", "an MP4 or M4A file"),
        (b"RIFX\0\0\0\0WAVEfmt ", "a WAV file of big-endian numbers"),
        (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", "a Wave64 file"),
    ],
)
def test_other_files_are_not_played_as_samples(start: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as raised:
        piped(start + bytes(5000))
    assert "ffmpeg" in str(raised.value) and "\n" not in str(raised.value)


def test_wav_that_is_not_read() -> None:
    form = struct.pack("<HHIIHH", 0x11, 1, 16000, 8000, 256, 4)
    data = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + form + b"data\0\0\0\0" + bytes(500)
    with pytest.raises(SourceError, match="format 17, 4 bits"):
        piped(data)
    with pytest.raises(SourceError, match="no `fmt ` before it"):
        piped(b"RIFF\0\0\0\0WAVEdata" + struct.pack("<I", 100) + bytes(500))
    with pytest.raises(SourceError, match="without any audio"):
        piped(b"RIFF\0\0\0\0WAVE")


def test_raw_samples_stay_raw() -> None:
    sound = np.rint(words(0.5) * 32767).astype("<i2")
    assert np.abs(piped(sound.tobytes()) - words(0.5)).max() < 1e-4
    assert len(piped(b"\1\0")) == 1
