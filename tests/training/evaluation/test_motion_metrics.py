"""Figures of motion against its label: the label itself, and motion that lacks one thing."""

from __future__ import annotations

import numpy as np
import pytest

from head.channels import CHANNELS
from head.rig import builtin_head
from training.evaluation.motion_metrics import measure, summary
from training.labels.phones import Phone

PHONES = tuple(
    Phone(name, 0.2 * k, 0.2) for k, name in enumerate(("M", "AA", "F", "UW", "TH", "AA", "W", "V"))
)


@pytest.fixture(scope="module")
def label() -> np.ndarray:
    motion = np.zeros((40, 54), np.float32)
    motion[:, 53] = 0.15
    for phone in PHONES:
        frames = slice(round(phone.start * 25), round(phone.end * 25))
        if phone.name in ("M", "F", "V"):
            motion[frames, 53] = 0.0 if phone.name == "M" else 0.02
        if phone.name in ("UW", "W"):
            motion[frames, CHANNELS.index("mouthPucker")] = 0.7
        if phone.name == "TH":
            motion[frames, CHANNELS.index("tongueOut")] = 0.5
    return motion


def test_a_label_is_all_of_itself(label: np.ndarray) -> None:
    found = summary(measure(builtin_head(), label, label, PHONES, 1))
    for name in ("closures", "labiodentals", "rounding", "tongue"):
        assert found[name] == pytest.approx(100.0), name
    assert found["gap_r"] == pytest.approx(1.0)


def test_half_of_the_pucker_and_of_the_tongue_is_half_of_the_figure(label: np.ndarray) -> None:
    half = label.copy()
    half[:, CHANNELS.index("mouthPucker")] *= 0.5
    half[:, CHANNELS.index("tongueOut")] *= 0.5
    found = summary(measure(builtin_head(), half, label, PHONES, 1))
    assert found["tongue"] == pytest.approx(50.0)
    assert 40.0 < found["rounding"] < 60.0


def test_a_mouth_that_gapes_meets_no_tooth(label: np.ndarray) -> None:
    wide = label.copy()
    wide[:, 53] = 0.2
    found = summary(measure(builtin_head(), wide, label, PHONES, 1))
    assert found["labiodentals"] == 0.0 and found["closures"] == 0.0
