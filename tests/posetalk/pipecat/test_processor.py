"""The processor in Pipecat's own test harness: order, ends, interruptions, pictures."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame
from pipecat.tests.utils import SleepFrame, run_test

from posetalk.pipecat import PosetalkProcessor
from stream.backends.registry import load_backend
from stream.core.session import Session

pytestmark = pytest.mark.extra("pipecat")

BACKEND = load_backend("fake")
SPEECH = np.random.default_rng(0).normal(0, 4000, 24000 + 77).clip(-32768, 32767)
PCM = SPEECH.astype("<i2").tobytes()
FRAMES = -(-len(SPEECH) // 960)


def sound(data: bytes, rate: int = 24000) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(audio=data, sample_rate=rate, num_channels=1, context_id="c")


def voice(data: bytes = PCM, piece: int = 4000) -> list[Frame]:
    pieces = [sound(data[at : at + piece]) for at in range(0, len(data), piece)]
    return [TTSStartedFrame(), *pieces, TTSStoppedFrame()]


def run(frames: list[Frame], **options: Any) -> list[Frame]:
    processor = PosetalkProcessor(Session(BACKEND), **options)
    down, up = asyncio.run(run_test(processor, frames_to_send=frames, start_timeout=120.0))
    assert not [each for each in up if isinstance(each, RTVIServerMessageFrame)]
    return list(down)


def told(frames: list[Frame]) -> list[dict[str, Any]]:
    return [each.data for each in frames if isinstance(each, RTVIServerMessageFrame)]


def heard(frames: list[Frame]) -> bytes:
    return b"".join(each.audio for each in frames if isinstance(each, TTSAudioRawFrame))


def test_sound_goes_on_as_it_came_with_a_message_for_each_frame() -> None:
    down = run(voice())
    assert heard(down) == PCM
    motion = [each for each in told(down) if each["type"] == "posetalk"]
    assert [each["t"] for each in motion] == [round(0.04 * k, 3) for k in range(FRAMES)]
    assert told(down)[-1] == {"type": "posetalk-end", "utterance": 0}
    pieces = [each for each in down if isinstance(each, TTSAudioRawFrame)]
    assert {(each.context_id, each.sample_rate) for each in pieces} == {("c", 24000)}
    assert isinstance(down[-1], TTSStoppedFrame), "the end of the voice comes after its sound"


def test_other_frames_pass() -> None:
    down = run([TextFrame("hello"), *voice()])
    assert isinstance(down[0], TextFrame) and down[0].text == "hello"


def test_utterances_are_numbered_and_begin_at_zero() -> None:
    motion = [each for each in told(run([*voice(), *voice()])) if each["type"] == "posetalk"]
    assert next(each["t"] for each in motion if each["utterance"] == 1) == 0.0
    assert len(motion) == 2 * FRAMES


def test_an_interruption_cuts_the_utterance_and_tells_the_client() -> None:
    begun = voice()[:4]
    down = run([*begun, SleepFrame(0.5), InterruptionFrame(), SleepFrame(0.2), *voice()])
    cut = told(down).index({"type": "posetalk-cut", "utterance": 0})
    before, after = told(down)[:cut], told(down)[cut + 1 :]
    assert before and {each["utterance"] for each in before} == {0}
    assert {each["utterance"] for each in after} == {1}, "nothing of it comes any more"
    assert heard(down).endswith(PCM)


def test_an_interruption_of_silence_says_nothing() -> None:
    assert told(run([InterruptionFrame(), SleepFrame(0.1)])) == []


def test_another_rate_is_another_utterance() -> None:
    down = run([sound(PCM[:9600]), sound(PCM[:9600], 16000), TTSStoppedFrame()])
    assert heard(down) == PCM[:9600] * 2
    assert told(down)[-1] == {"type": "posetalk-end", "utterance": 1}


def test_pictures_of_the_head_go_with_the_sound() -> None:
    down = run(voice(PCM[:9600]), video=(64, 48))
    pictures = [each for each in down if isinstance(each, OutputImageRawFrame)]
    assert len(pictures) == 5 and all(each.sync_with_audio for each in pictures)
    for each in pictures:
        assert each.size == (64, 48) and len(each.image) == 64 * 48 * 3
    assert len(set(pictures[0].image)) > 16, "something is drawn"
