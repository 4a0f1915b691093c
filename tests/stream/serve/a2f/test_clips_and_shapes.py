"""What Audio2Face's clients ask for, as values: sound by frames, shaped weights, emotions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from head.channels import ARKIT_52
from stream.serve.a2f.clip import SpeechClip, format_fault
from stream.serve.a2f.emotions import EMOTIONS, emotion_fault, style_of, style_vector_of, unshown
from stream.serve.a2f.shaping import NAMES, Shaper, named, read_shape

PLACE = {name: place for place, name in enumerate(NAMES)}
HALF = np.full(52, 0.5, "f4")


# --- sound -------------------------------------------------------------------------------------
@given(
    rate=st.sampled_from([8000, 16000, 22050, 44100, 48000]),
    channels=st.integers(1, 2),
    lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=6),
)
@settings(max_examples=20)
def test_sound_comes_back_as_it_was_sent_and_is_heard_in_whole_frames(
    rate: int, channels: int, lengths: list[int]
) -> None:
    clip, sent, heard = SpeechClip(rate, channels), b"", 0
    rng = np.random.default_rng(0)
    for length in lengths:
        data = rng.integers(-999, 999, length * channels, np.int16).tobytes()
        sent += data
        for piece in clip.pieces(data, rate // 2):
            heard += len(clip.take(piece))
    heard += len(clip.finish())
    frames = math.ceil(sum(lengths) * 25 / rate)
    assert heard == 640 * frames
    assert b"".join(clip.sound() for _ in range(frames)) == sent
    assert clip.sound() == b"" and clip.samples == sum(lengths)


def test_the_samples_at_16_khz_are_those_that_came() -> None:
    wave = (np.arange(1500) % 700).astype("<i2")
    clip = SpeechClip(16000)
    heard = np.concatenate([clip.take(wave.tobytes()), clip.finish()])
    np.testing.assert_array_equal(heard[:1500] * 32768, wave)
    assert not heard[1500:].any() and len(heard) == 1920


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes are no whole samples of 4 bytes"):
        SpeechClip(16000, 2).pieces(b"abc", 100)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ((True, 16000, 1, 16), None),
        ((True, 44100, 2, 16), None),
        ((True, 16000, 1, 8), "16 bits"),
        ((False, 16000, 1, 16), "PCM"),
        ((True, 0, 1, 16), "samples_per_second"),
        ((True, 16001, 1, 16), "samples_per_second"),
        ((True, 16000, 0, 16), "channel_count"),
        ((True, 16000, 9, 16), "channel_count"),
    ],
)
def test_formats(told: tuple[bool, int, int, int], word: str | None) -> None:
    fault = format_fault(*told)
    assert fault is None if word is None else fault is not None and word in fault


# --- weights -----------------------------------------------------------------------------------
def test_the_names_are_arkits_with_a_capital() -> None:
    assert NAMES[0] == "EyeBlinkLeft" and NAMES[17] == "JawOpen" and NAMES[51] == "TongueOut"
    assert [name.lower() for name in NAMES] == [name.lower() for name in ARKIT_52]


def test_multipliers_and_offsets_are_applied_as_nvidia_says() -> None:
    shape, ignored = read_shape({}, {"JawOpen": 3.0, "jawleft": 0.0}, {"JawOpen": -0.25}, False)
    shaped = Shaper(shape)(HALF)
    assert shaped[PLACE["JawOpen"]] == pytest.approx(0.5 * 3 - 0.25)
    assert shaped[PLACE["JawLeft"]] == 0.0 and shaped[PLACE["MouthClose"]] == 0.5
    assert ignored == []
    clamped, _ = read_shape({}, {"JawOpen": 3.0}, {"MouthLeft": -3.0}, True)
    shaped = Shaper(clamped)(HALF)
    assert shaped[PLACE["JawOpen"]] == 1.0 and shaped[PLACE["MouthLeft"]] == 0.0


def test_strengths_move_their_part_of_the_face_alone() -> None:
    shape, _ = read_shape({"lowerFaceStrength": 0.5, "blinkStrength": 0.0}, {}, {}, False)
    shaped = Shaper(shape)(HALF)
    assert shaped[PLACE["JawOpen"]] == 0.25 and shaped[PLACE["MouthFunnel"]] == 0.25
    assert shaped[PLACE["BrowInnerUp"]] == 0.5 and shaped[PLACE["EyeBlinkLeft"]] == 0.0


def test_offsets_open_and_close_lids_and_lips() -> None:
    shape, _ = read_shape({"eyelidOpenOffset": 0.1, "lipOpenOffset": -0.05}, {}, {}, False)
    shaped = Shaper(shape)(HALF)
    assert shaped[PLACE["EyeBlinkRight"]] == pytest.approx(0.4)
    assert shaped[PLACE["MouthClose"]] == pytest.approx(0.55)
    assert shaped[PLACE["JawOpen"]] == 0.5


def test_smoothing_is_a_time_constant_in_seconds() -> None:
    shape, _ = read_shape({"upperFaceSmoothing": 0.04}, {}, {}, False)
    shaper, still = Shaper(shape), np.zeros(52, "f4")
    shaper(still)
    step = shaper(np.ones(52, "f4"))
    assert step[PLACE["BrowInnerUp"]] == pytest.approx(1 - math.exp(-1), abs=1e-5)
    assert step[PLACE["JawOpen"]] == 1.0


def test_what_means_nothing_is_named_unless_it_is_what_everybody_sends() -> None:
    face = {"faceMaskLevel": 0.6, "faceMaskSoftness": 0.5, "hairStrength": 1.0, "skinStrength": 1}
    _, ignored = read_shape(face, {"Nose": 1.0}, {"JawOpenn": 0.0}, False)
    assert ignored == ["faceMaskSoftness", "hairStrength", "Nose", "JawOpenn"]
    assert named([f"n{number}" for number in range(15)]).endswith("n11 and 3 more")
    assert named(["a\x1b[2J"]) == "a\\x1b[2J"


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
def test_numbers_that_cannot_be_are_refused(value: float) -> None:
    for place in range(3):
        given = [{"JawOpen": value} if place == which else {} for which in range(3)]
        with pytest.raises(ValueError, match="JawOpen"):
            read_shape(*given, False)


# --- emotions ----------------------------------------------------------------------------------
STYLES = {"neutral": np.zeros(2, "f4"), "cheerful": np.array([1, 0], "f4")}


def test_an_emotion_is_the_style_of_its_name_or_one_that_stands_for_it() -> None:
    assert style_of("joy", STYLES) == "cheerful" and style_of("fear", STYLES) is None
    assert style_of("anger", {**STYLES, "anger": np.ones(2, "f4")}) == "anger"
    assert unshown({"joy": 1.0, "fear": 0.0, "anger": 0.5}, STYLES) == ["anger"]
    assert len(EMOTIONS) == 10


def test_emotions_share_with_the_style_and_never_take_more_than_all() -> None:
    def mixed(joy: float, share: float, most: int = 3) -> float:
        return float(style_vector_of({"joy": joy}, STYLES["neutral"], STYLES, share, most)[0])

    assert mixed(1.0, 0.3) == pytest.approx(0.3) and mixed(0.5, 1.0) == pytest.approx(0.5)
    assert mixed(1.0, 1.0) == 1.0 and mixed(1.0, 1.0, most=0) == 0.0
    both = {**STYLES, "anger": np.array([0, 1], "f4")}
    even = style_vector_of({"joy": 1.0, "anger": 1.0}, STYLES["neutral"], both, 1.0, 3)
    np.testing.assert_allclose(even, [0.5, 0.5])


def test_emotions_are_shares() -> None:
    assert emotion_fault({"joy": 1.0}) is None
    for value in (-0.1, 1.1, math.nan):
        assert emotion_fault({"joy": value}) is not None
