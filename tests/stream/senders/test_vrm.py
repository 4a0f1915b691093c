"""VRM's own expressions: which vowel a mouth says, and that a shut one says none."""

from __future__ import annotations

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle

from head.channels import ARKIT_52
from stream.frames import Frame
from stream.senders.vmc import VmcEncoder, VmcNames
from stream.senders.vrm import VRM_0, VRM_1, vrm_expressions


def face(**weights: float) -> np.ndarray:
    """(52,) ARKit weights."""
    return np.array([weights.get(name, 0.0) for name in ARKIT_52], "f4")


def loudest(**weights: float) -> str:
    return VRM_0[int(np.argmax(vrm_expressions(face(**weights))[:5]))]


def test_each_vowel_has_its_mouth() -> None:
    wide = dict(mouthStretchLeft=0.5, mouthStretchRight=0.5)
    lips = dict(mouthLowerDownLeft=0.6, mouthLowerDownRight=0.6)
    assert loudest(jawOpen=0.5) == "A"
    assert loudest(jawOpen=0.05, **wide, **lips) == "I"
    assert loudest(jawOpen=0.05, mouthPucker=0.7, **lips) == "U"
    assert loudest(jawOpen=0.45, **wide) == "E"
    assert loudest(jawOpen=0.5, mouthFunnel=0.7) == "O"


def test_shut_lips_say_nothing_and_no_mouth_opens_twice() -> None:
    shut = face(jawOpen=0.3, mouthClose=0.3, mouthSmileLeft=1, mouthSmileRight=1, mouthPucker=1)
    assert vrm_expressions(shut)[:5].max() == 0
    weights = np.random.default_rng(0).uniform(0, 1, (500, 52)).astype("f4")
    values = vrm_expressions(weights)
    assert values.shape == (500, 8) and values.min() >= 0
    assert values[:, :5].sum(axis=1).max() <= 1 + 1e-5


def test_blinks_add_up_to_each_eye() -> None:
    both, left, right = vrm_expressions(face(eyeBlinkLeft=0.9, eyeBlinkRight=0.3))[5:]
    assert both + left == pytest.approx(0.9) and both + right == pytest.approx(0.3)


@pytest.mark.parametrize(("names", "count"), [("all", 52 + 16), ("arkit", 52), ("vrm", 16)])
def test_the_datagrams_have_the_names_of_both_versions(names: VmcNames, count: int) -> None:
    values = np.concatenate([face(jawOpen=0.5), np.zeros(3, "f4")])
    sent = {}
    for data in VmcEncoder(names)(Frame(0, 0, np.zeros(54, "f4")), values, 0.0):
        for message in OscBundle(data):
            if message.address == "/VMC/Ext/Blend/Val":
                name, value = message.params
                assert name not in sent
                sent[name] = value
    assert len(sent) == count
    if names != "arkit":
        assert sent["A"] == sent["aa"] == pytest.approx(1.0)
        assert {*VRM_0, *VRM_1} <= set(sent)
