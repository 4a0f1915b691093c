"""Which of several channels is heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sound_files import encode, wave, words

from stream.sources.array import ArraySource
from stream.sources.channel_choice import LiveMixer, Meter, parse_channel
from stream.sources.file import AudioFileError, FileSource

RATE = 16000
FloatArray = NDArray[np.float32]


def heard(path: Path, **options: object) -> FloatArray:
    source = FileSource(path, pace="fast", **options)
    return np.concatenate([block.samples for block in source])


def music(seconds: float, rate: int = RATE) -> FloatArray:
    time = np.arange(int(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220.0, 277.2, 329.6, 440.0))
    return (0.1 * chord).astype(np.float32)


def surround(voice: FloatArray, rate: int) -> FloatArray:
    """(n, 6): FL FR FC LFE BL BR, music all around, the voice in the centre."""
    around = music(len(voice) / rate + 0.1, rate)[: len(voice)]
    rumble = 0.3 * np.sin(2 * np.pi * 40 * np.arange(len(voice)) / rate)
    return np.stack([around, around, voice, rumble, around[::-1], around[::-1]], axis=1).astype(
        np.float32
    )


@pytest.mark.parametrize("ending", ["wav", "flac", "mp4", "mka", "ogg"])
def test_a_film_s_voice_is_in_the_centre(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    sound, path = surround(words(4.0, 48000), 48000), tmp_path / f"a.{ending}"
    match ending:
        case "wav":
            wave(path, sound, 48000, format="WAVEX")
        case "flac":
            wave(path, sound, 48000)
        case "ogg":  # its own order: left, centre, right, rear left, rear right, rumble
            wave(path, sound[:, [0, 2, 1, 4, 5, 3]], 48000, subtype="VORBIS", format="OGG")
        case "mka":
            encode(path, "ac3", sound, 48000, muxer="matroska", layout="5.1", bit_rate=448_000)
        case _:
            encode(path, "aac", sound, 48000, layout="5.1", bit_rate=400_000, picture_seconds=4.0)
    found, said = heard(path), words(4.0)
    shift = int(np.argmax(np.correlate(found[4000:20000], said[4500:15500], "valid")))
    part, expected = found[4000 + shift :][:11000], said[4500:15500]
    assert part @ expected > 0.9 * np.linalg.norm(part) * np.linalg.norm(expected)
    assert "channel" in caplog.text and "the centre" in caplog.text


def test_six_channels_without_names_are_a_film_s(tmp_path: Path) -> None:
    path = wave(tmp_path / "a.wav", surround(words(4.0), RATE), RATE)
    assert np.abs(heard(path) - words(4.0)).max() < 1e-3


@pytest.mark.parametrize("channels", [2, 4, 6, 16])
@pytest.mark.parametrize("alive", [0, 1])
def test_one_microphone_in_many_sockets(
    tmp_path: Path, channels: int, alive: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The others hiss and hum, as open inputs do."""
    rng = np.random.default_rng(0)
    sound = 1e-4 * rng.standard_normal((4 * RATE, channels))
    sound += 2e-2 * np.sin(2 * np.pi * 50 * np.arange(4 * RATE) / RATE)[:, None]
    sound[:, alive] += words(4.0)
    path = wave(tmp_path / "a.wav", sound.astype(np.float32), RATE, subtype="FLOAT")
    assert np.abs(heard(path) - sound[:, alive]).max() < 1e-6
    assert f"channel {alive + 1} of {channels}, which has the speech" in caplog.text


def test_a_pair_wired_the_wrong_way_round(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = wave(tmp_path / "a.wav", np.stack([words(2.0), -words(2.0)], axis=1), RATE)
    assert np.abs(heard(path) - words(2.0)).max() < 1e-3
    assert "cancels" in caplog.text


def test_stereo_is_mixed_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two people, one on each side, the second far less and much later."""
    first, second = words(4.0), 0.2 * words(4.0, seed=3)
    second[: 3 * RATE] = 0.0
    path = wave(tmp_path / "a.wav", np.stack([first, second], axis=1), RATE, subtype="FLOAT")
    assert np.abs(heard(path) - (first + second) / 2).max() < 1e-6
    assert not caplog.text


@pytest.mark.parametrize("sound", ["silence", "steady"])
def test_sound_without_speech_is_mixed(tmp_path: Path, sound: str) -> None:
    tone = music(2.0) if sound == "steady" else np.zeros(2 * RATE, np.float32)
    path = wave(tmp_path / "a.wav", np.stack([tone] * 3, axis=1), RATE, subtype="FLOAT")
    assert np.abs(heard(path) - tone).max() < 1e-6


def test_a_channel_can_be_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = np.stack([words(1.0, seed=k) for k in range(3)], axis=1)
    path = wave(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    assert np.array_equal(heard(path, channel=2), sound[:, 1])
    assert np.abs(heard(path, channel="mix") - sound.mean(axis=1)).max() < 1e-6
    caplog.clear()
    with pytest.raises(AudioFileError, match=r"a\.wav has 3 channels, no channel 4"):
        FileSource(path, channel=4)


@pytest.mark.parametrize("text", ["0", "-1", "left", "1.5", "", "99999"])
def test_channels_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="number, from 1, or mix"):
        parse_channel(text)
    assert parse_channel("3") == 3 and parse_channel("mix") == "mix"


def test_samples_in_memory_are_chosen_from_in_the_same_way() -> None:
    sound = np.zeros((2 * RATE, 5), np.float32)
    sound[:, 3] = words(2.0)
    blocks = [block.samples for block in ArraySource(sound, RATE)]
    assert np.array_equal(np.concatenate(blocks), words(2.0))
    blocks = [block.samples for block in ArraySource(sound, RATE, channel=1)]
    assert not np.concatenate(blocks).any()
    with pytest.raises(ValueError, match="has 5 channels, no channel 6"):
        ArraySource(sound, RATE, channel=6)


def test_a_live_source_decides_when_it_has_heard_enough(caplog: pytest.LogCaptureFixture) -> None:
    sound = np.zeros((6 * RATE, 8), np.float32)
    sound[:, 5] = words(6.0)
    mixer = LiveMixer("the microphone", RATE, 8)
    found = np.concatenate([mixer.feed(piece) for piece in np.split(sound, 300)])
    assert len(found) == len(sound)
    assert np.array_equal(found[4 * RATE :], sound[4 * RATE :, 5])
    assert caplog.text.count("hearing channel 6 of 8") == 1


def test_hours_of_silence_are_not_kept() -> None:
    mixer = LiveMixer("the microphone", RATE, 2)
    for _ in range(400):
        mixer.feed(np.zeros((RATE, 2), np.float32))
    assert mixer._meter is not None and mixer._meter._frames > 15_000
    assert sum(map(len, mixer._meter._powers)) < 15_100


@pytest.mark.parametrize("seed", range(8))
def test_a_steady_noise_has_a_choice_too(seed: int) -> None:
    """Nothing in it comes or goes; less than nothing, by chance, in every channel."""
    meter = Meter(44100, 2)
    rng = np.random.default_rng(seed)
    meter.add(0.02 * np.sin(np.arange(22050)[:, None] / 7) + rng.normal(0, 1e-6, (22050, 2)))
    assert meter.choose().shares.shape == (2,)
