"""Head, eyes and lids of the labels over minutes: they come back, jump, rest and blink."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from training.evaluation.live_figures import blinks
from training.labels.gaze import LIMIT_RADIANS, gaze
from training.labels.label_styles import STYLES
from training.labels.labels import make_motion
from training.labels.phones import Phone
from training.labels.prosody import Prosody, extract_prosody
from training.reports.life_report import (
    drift,
    eye_angles,
    far_share,
    longest_aside,
    nods,
    steps_a_minute,
)

MINUTES = 5.0


@cache
def talk() -> tuple[tuple[Phone, ...], Prosody]:
    """Phrases of two to six seconds with pauses of up to two, in a voice that swells."""
    rng = np.random.default_rng(3)
    rate, at = 16_000, 0.5
    samples = (1e-4 * rng.standard_normal(int(MINUTES * 60 * rate))).astype(np.float32)
    phones = []
    while at < MINUTES * 60 - 8:
        end = at + rng.uniform(2.0, 6.0)
        while at < end:
            for name, length in (("T", 0.07), ("AH", rng.uniform(0.08, 0.2))):
                phones.append(Phone(name, at, float(length)))
                t = np.arange(int(at * rate), int((at + length) * rate)) / rate
                strength = 0.25 * rng.uniform(0.3, 1.0) if name == "AH" else 0.03
                samples[int(at * rate) : int(at * rate) + len(t)] += strength * np.sign(
                    np.sin(2 * np.pi * 130 * t)
                ).astype(np.float32)
                at += float(length)
        at += rng.uniform(0.3, 2.0)
    return tuple(phones), extract_prosody(samples)


@cache
def motion(style: str, silent: bool = False) -> np.ndarray:
    phones, prosody = talk()
    n = int(MINUTES * 60 * 25)
    rng = np.random.default_rng(1)
    if silent:
        phones, prosody = (), extract_prosody(np.zeros(n * 640, np.float32))
    return make_motion(phones, n, STYLES[style], rng, prosody)


@pytest.mark.parametrize("style", STYLES)
def test_the_head_comes_back_and_nobody_looks_aside_for_long(style: str) -> None:
    rotation = np.degrees(motion(style)[:, 50:53])
    assert np.abs(rotation[:, 1:].mean(0)).max() < 1.0
    assert longest_aside(rotation[:, 1]) < 10.0
    assert rotation[:, 1:].std(0).min() > 0.3, "it does move"


def test_a_style_that_turns_aside_does_and_one_that_does_not_does_less() -> None:
    tilted, plain = (np.abs(np.degrees(motion(s)[:, 52])).mean() for s in ("skeptical", "serious"))
    assert tilted > plain + 1.0


def test_eyes_jump_and_rest_as_peoples_do() -> None:
    speaking, listening = (eye_angles(motion("neutral", silent)) for silent in (False, True))
    assert 25 < steps_a_minute(speaking, 1.5) < 50 and 18 < steps_a_minute(speaking, 3.0) < 36
    assert 18 < steps_a_minute(listening, 1.5) < 38 and 8 < steps_a_minute(listening, 3.0) < 22
    assert 0.2 < far_share(speaking) < 0.45 and far_share(listening) < 0.09
    assert drift(speaking) < 2.0


def test_a_lively_gaze_leaves_more_often_than_a_calm_one() -> None:
    lively, calm = (far_share(eye_angles(motion(style))) for style in ("nervous", "broadcaster"))
    assert lively > calm + 0.1


def test_eyes_stay_within_the_head_and_turn_against_it() -> None:
    n = 500
    rotation = np.zeros((n, 3))
    rotation[250:, 1] = 0.2
    looked = gaze([], n, STYLES["neutral"], np.random.default_rng(0), rotation)
    still = gaze([], n, STYLES["neutral"], np.random.default_rng(0), np.zeros((n, 3)))
    assert np.abs(looked).max() <= LIMIT_RADIANS
    assert (looked - still)[251:260, 0].mean() < -0.05


def test_lids_follow_the_eyes() -> None:
    from head.channels import INDEX

    m = motion("neutral")
    down = m[:, INDEX["eyeLookDownLeft"]]
    lids = m[:, INDEX["eyeBlinkLeft"]]
    awake = lids < 0.4
    low, level = (awake & mask for mask in (down > 0.15, down < 0.02))
    assert low.sum() > 20 and lids[low].mean() > lids[level].mean() + 0.05


@pytest.mark.parametrize("style", STYLES)
def test_blinks_come_ten_to_thirty_times_a_minute_in_short_clips_too(style: str) -> None:
    rng = np.random.default_rng(5)
    assert 9 <= blinks(motion(style)) / MINUTES <= 31
    quiet = extract_prosody(np.zeros(4 * 16_000, np.float32))
    short = [blinks(make_motion([], 100, STYLES[style], rng, quiet)) for _ in range(120)]
    assert 8 <= np.mean(short) * 15 <= 32


def test_nods_go_with_the_voice() -> None:
    r, lag = nods(motion("neutral"), talk()[1])
    assert r >= 0.25 and abs(lag) <= 0.08


def test_mouth_and_brows_are_slightly_asymmetric() -> None:
    from head.channels import INDEX

    m = motion("neutral")
    for stem in ("mouthLowerDown", "browOuterUp"):
        left, right = (m[:, INDEX[stem + side]].mean() for side in ("Left", "Right"))
        assert 1.01 < left / right < 1.2
