"""Files as people have them: films, phone recordings, joined files, headers without lengths."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from sound_files import encode, wave, without_lengths, words

from posetalk import demo_speech
from stream.sources.file import AudioFileError, FileSource

RATE = 16000


def heard(path: Path, **options: object) -> NDArray[np.float32]:
    blocks = [block.samples for block in FileSource(path, pace="fast", **options)]
    return np.concatenate(blocks)


def alike(found: NDArray[np.float32], said: NDArray[np.float32], most_shift: int = 40) -> float:
    """Correlation of what was heard with what was said, at its best within a few samples."""
    n = min(len(found), len(said)) - most_shift
    best = 0.0
    for shift in range(-most_shift, most_shift + 1):
        a = found[max(0, shift) : max(0, shift) + n - most_shift]
        b = said[max(0, -shift) : max(0, -shift) + n - most_shift]
        best = max(best, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9)))
    return best


@pytest.mark.parametrize(
    ("name", "codec", "muxer", "film"),
    [
        ("a.m4a", "aac", None, False),
        ("a.aac", "aac", "adts", False),
        ("a.webm", "libopus", None, False),
        ("a.mka", "flac", "matroska", False),
        ("a.mp4", "aac", None, True),
        ("a.mov", "aac", None, True),
        ("a.mkv", "libopus", None, True),
    ],
)
def test_phone_recordings_and_films(
    tmp_path: Path, name: str, codec: str, muxer: str | None, film: bool
) -> None:
    said = words(2.0, 48000)
    encode(tmp_path / name, codec, said, 48000, muxer=muxer, picture_seconds=2.0 if film else 0.0)
    source = FileSource(tmp_path / name, pace="fast")
    found = np.concatenate([block.samples for block in source])
    assert len(found) == pytest.approx(2 * RATE, abs=900)
    assert source.samples == pytest.approx(2 * RATE, abs=900)
    if name == "a.aac":  # a bare stream cannot say how long its encoder took to begin
        found = found[round(1024 / 3) :]
    assert alike(found, words(2.0)) > 0.9


def test_a_film_s_sound_keeps_its_place_beside_the_picture(tmp_path: Path) -> None:
    path = encode(
        tmp_path / "late.mkv",
        "libopus",
        words(2.0, 48000),
        48000,
        first_pts=24000,
        picture_seconds=3.0,
        gap=(48000, 12000),
    )
    found = heard(path)
    assert len(found) == pytest.approx(2.75 * RATE, abs=900)
    assert np.abs(found[: round(0.45 * RATE)]).max() < 1e-3
    assert alike(found[RATE // 2 : RATE // 2 + RATE], words(2.0)[:RATE]) > 0.9
    assert np.abs(found[round(1.55 * RATE) : round(1.7 * RATE)]).max() < 1e-3
    assert alike(found[round(1.75 * RATE) :], words(2.0)[RATE:]) > 0.9


@pytest.mark.parametrize("second", [48000, 24000])
@pytest.mark.parametrize(
    ("ending", "subtype"), [("ogg", "VORBIS"), ("opus", "OPUS"), ("mp3", None), ("flac", None)]
)
def test_joined_files_are_read_to_the_end(
    tmp_path: Path, ending: str, subtype: str | None, second: int
) -> None:
    if ending == "flac" and second != 48000:
        second = 48000  # no decoder changes the rate of FLAC on the way
    kind = {} if subtype is None else {"subtype": subtype, "format": "OGG"}
    first = wave(tmp_path / f"a.{ending}", words(2.0, 48000), 48000, **kind)
    other = wave(tmp_path / f"b.{ending}", words(3.0, second, seed=1), second, **kind)
    both = tmp_path / f"both.{ending}"
    both.write_bytes(first.read_bytes() + other.read_bytes())
    found = heard(both)
    assert len(found) == pytest.approx(5 * RATE, abs=2500)
    assert alike(found[:RATE], words(2.0)[:RATE]) > 0.9
    assert alike(found[-RATE:], words(3.0, seed=1)[-RATE:], 2500) > 0.9


def test_joined_wav_files_are_read_to_the_end(tmp_path: Path) -> None:
    first = wave(tmp_path / "a.wav", words(1.0), RATE)
    other = wave(tmp_path / "b.wav", words(2.0, 44100, seed=1), 44100, subtype="FLOAT")
    both = tmp_path / "both.wav"
    both.write_bytes(first.read_bytes() + other.read_bytes() + b"LIST\x04\0\0\0abcd")
    found = heard(both)
    assert len(found) == 3 * RATE
    assert np.abs(found[:RATE] - words(1.0)).max() < 1e-4
    assert alike(found[RATE:], words(2.0, seed=1)) > 0.95


@pytest.mark.parametrize("start_seconds", [0.0, 3.0])
def test_an_mp3_of_varying_bit_rate_without_a_length(tmp_path: Path, start_seconds: float) -> None:
    """As it is cut from a stream: it begins in speech, and its bit rate says nothing."""
    speech, rate = soundfile.read(demo_speech(), dtype="float32")
    assert rate == RATE
    said = np.concatenate([speech[int(start_seconds * RATE) :][: 4 * RATE], np.zeros(6 * RATE)])
    path = encode(
        tmp_path / "a.mp3",
        "libmp3lame",
        said.astype(np.float32),
        RATE,
        bit_rate=40_000,
        codec_options={"abr": "1"},
        muxer_options={"write_xing": "0", "id3v2_version": "0"},
    )
    found = heard(path)
    assert len(found) == pytest.approx(10 * RATE, abs=4000)
    assert alike(found[: 4 * RATE], said[: 4 * RATE], 1300) > 0.9


@pytest.mark.parametrize("kind", [{}, {"format": "RF64"}, {"format": "WAVEX"}])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_header_without_lengths(tmp_path: Path, kind: dict[str, str], channels: int) -> None:
    said = np.stack([words(2.0)] * channels, axis=1)
    path = wave(tmp_path / "a.wav", said, RATE, subtype="PCM_16", **kind)
    path.write_bytes(without_lengths(path))
    found = heard(path, channel="mix")
    assert len(found) == 2 * RATE
    assert np.abs(found - words(2.0)).max() < 1e-4


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("channels", [1, 6])
def test_bw64_is_rf64(tmp_path: Path, channels: int, known: bool) -> None:
    said = np.stack([words(2.0)] * channels, axis=1)
    path = wave(tmp_path / "a.wav", said, RATE, subtype="PCM_16", format="RF64")
    path.write_bytes(b"BW64" + (path.read_bytes() if known else without_lengths(path))[4:])
    assert np.abs(heard(path, channel="mix") - words(2.0)).max() < 1e-4


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_what_follows_the_sound_is_not_played(tmp_path: Path, channels: int) -> None:
    said = np.stack([words(1.0)] * channels, axis=1)
    path = wave(tmp_path / "a.wav", said, RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes() + b"LIST" + (4000).to_bytes(4, "little") + b"\x7f" * 4000)
    assert len(heard(path)) == RATE


def test_a_play_list_is_not_followed(tmp_path: Path) -> None:
    wave(tmp_path / "secret.wav", words(1.0), RATE)
    for name, text in {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "list.mp3": "ffconcat version 1.0\nfile secret.wav\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioFileError, match="not readable as audio"):
            FileSource(tmp_path / name)


def test_a_film_without_sound(tmp_path: Path) -> None:
    import av

    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(AudioFileError, match=r"silent.mp4: holds no sound$"):
        FileSource(path)


@pytest.mark.parametrize("ending", ["mp3", "m4a"])
def test_damage_inside_is_said_and_the_rest_is_heard(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    codec = {"mp3": "libmp3lame", "m4a": "aac"}[ending]
    path = encode(tmp_path / f"a.{ending}", codec, words(4.0, 48000), 48000)
    data = bytearray(path.read_bytes())
    data[20_000:20_600] = b"\xa5" * 600
    path.write_bytes(data)
    found = heard(path)
    assert len(found) > 3 * RATE
    assert "broken, and left out" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="not run: is for Linux file names")
@pytest.mark.parametrize("ending", ["wav", "mp3"])
def test_names_that_are_no_utf_8(tmp_path: Path, ending: str) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xfc\xdfe." + ending.encode()))
    plain = wave(tmp_path / f"a.{ending}", words(1.0), RATE)
    plain.rename(path)
    assert len(heard(path)) == pytest.approx(RATE, abs=2500)
    path.write_bytes(b"no sound at all" * 20)
    with pytest.raises(AudioFileError, match="not readable as audio"):
        FileSource(path)
