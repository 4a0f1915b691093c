"""Utterances of a voice: sound and motion leave in step, end, and can be cut."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from head.rig import builtin_head
from posetalk.pipecat.speaker import Speaker, Spoken
from stream.backends.registry import load_backend
from stream.core.session import Session

HEAD, BACKEND = builtin_head(), load_backend("fake")
SPEECH = np.random.default_rng(0).normal(0, 4000, 24000 * 2 + 77).clip(-32768, 32767)
PCM = SPEECH.astype("<i2").tobytes()


def speaker() -> Speaker:
    return Speaker(Session(BACKEND), HEAD)


def said(speaker: Speaker, data: bytes, piece: int) -> list[Spoken]:
    heard = [
        each
        for at in range(0, len(data), piece)
        for each in speaker.hear(data[at : at + piece], 24000, 1)
    ]
    ended = speaker.end()
    assert ended is not None
    return heard + ended[1]


def test_sound_comes_back_whole_with_its_motion() -> None:
    spoken = said(speaker(), PCM, 3000)
    assert b"".join(each.sound for each in spoken) == PCM
    np.testing.assert_allclose([each.seconds for each in spoken], np.arange(len(spoken)) / 25)
    assert {each.utterance for each in spoken} == {0}
    assert np.std([each.weights for each in spoken], axis=0).max() > 0.01


def test_an_utterance_is_the_same_whatever_the_pieces_and_whatever_came_before() -> None:
    first = speaker()
    one, two = said(first, PCM, 3000), said(first, PCM, 960)
    assert [each.utterance for each in two[:1]] == [1]
    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left.weights, right.weights)


def test_a_cut_takes_the_utterance_back() -> None:
    face = speaker()
    assert face.cut() is None and face.end() is None
    face.hear(PCM[:24000], 24000, 1)
    assert face.cut() == 0 and face.utterance == 1
    assert said(face, PCM, 3000)[0].seconds == 0.0


def test_formats() -> None:
    face = speaker()
    with pytest.raises(ValueError, match="multiples of 25"):
        face.hear(PCM[:100], 24001, 1)
    face.hear(PCM[:4800], 24000, 1)
    assert face.fits(24000, 1) and not face.fits(16000, 1) and not face.fits(24000, 2)


def test_messages_are_small_and_say_what_was_made() -> None:
    spoken = said(speaker(), PCM, 3000)
    messages = [each.message() for each in spoken]
    weights = np.frombuffer(base64.b64decode(messages[30]["w"]), np.uint8) / 255
    np.testing.assert_allclose(weights, spoken[30].weights, atol=0.5 / 255 + 1e-6)
    wrapped = [
        {"label": "rtvi-ai", "type": "server-message", "id": "0" * 8, "data": each}
        for each in messages
    ]
    size = sum(len(json.dumps(each)) for each in wrapped)
    assert size / (len(messages) / 25) < 6_000, "bytes a second"
