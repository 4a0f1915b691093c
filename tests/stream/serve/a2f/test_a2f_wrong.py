"""Clients of the Audio2Face-3D service that do wrong, and those beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from a2f_service import END, SPEECH, Answer, Request, Served, ask, header, pieces, soon, sound
from nvidia_audio2face_3d import audio2face_pb2_grpc
from nvidia_audio2face_3d.messages_pb2 import EmotionWithTimeCode

from stream.serve.a2f import service

pytestmark = pytest.mark.extra("a2f")

HALF = SPEECH[:8000].tobytes()


WRONG = {
    "sound before the header": ([sound(HALF)], "audio_stream_header"),
    "an empty message": ([Request()], "audio_stream_header"),
    "eight bits": ([header(bits=8)], "16 bits"),
    "no rate": ([header(rate=0)], "samples_per_second"),
    "no channels": ([header(channels=0)], "channel_count"),
    "two headers": ([header(), sound(HALF), header()], "audio_with_emotion"),
    "half a sample": ([header(), sound(HALF + b"x")], "whole samples"),
    "no sound": ([header(), END], "no sound"),
    "an emotion of 2": (
        [header(), sound(HALF, EmotionWithTimeCode(time_code=0, emotion={"joy": 2.0}))],
        "0 to 1",
    ),
    "an emotion before the beginning": (
        [header(), sound(HALF, EmotionWithTimeCode(time_code=-1, emotion={"joy": 1.0}))],
        "time codes",
    ),
    "a multiplier that is no number": (
        [header(blendshape_params={"bs_weight_multipliers": {"JawOpen": float("nan")}})],
        "JawOpen",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_streams_get_a_sentence(served: Served, what: str) -> None:
    requests, word = WRONG[what]
    answer = ask(served, *requests)
    assert answer.code == grpc.StatusCode.INVALID_ARGUMENT
    assert word in answer.details and answer.statuses[-1] == (3, answer.details)
    assert served.free()


def test_no_message_at_all(served: Served) -> None:
    assert ask(served).code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_stream_that_is_cut_gives_its_place_back(served: Served) -> None:
    go = threading.Event()

    def requests() -> Iterator[Request]:
        yield header()
        yield from pieces(SPEECH)
        go.wait(10)

    with served.channel() as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        call = stub.ProcessAudioStream(requests())
        next(iter(call))
        assert served.scheduler.sessions == 1
        call.cancel()
        go.set()
        assert served.free()
    assert ask(served, header(), *pieces(SPEECH), END).sound == SPEECH.tobytes()


def test_a_client_that_falls_silent_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IDLE_SECONDS", 0.2)
    go = threading.Event()

    def requests() -> Iterator[Request]:
        yield header()
        yield from pieces(SPEECH)
        go.wait(10)

    with served.channel() as channel:
        answer = Answer(channel, requests())
        go.set()
    assert answer.code == grpc.StatusCode.DEADLINE_EXCEEDED and "0.2 s" in answer.details
    assert served.free()


def test_a_client_that_does_not_read_is_let_go_and_holds_nobody_up() -> None:
    long, sent = np.tile(SPEECH, 100), []

    def requests() -> Iterator[Request]:
        yield header()
        for request in pieces(long, 16000):
            sent.append(request)
            yield request
        yield END

    with Served(read_timeout=1.5) as served, served.channel() as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        call = stub.ProcessAudioStream(requests())
        assert soon(lambda: served.scheduler.sessions == 1)
        assert ask(served, header(), *pieces(SPEECH), END).sound == SPEECH.tobytes()
        assert soon(lambda: served.counts.let_go == 1) and served.free()
        assert len(sent) < 250, "what was not read was not taken in either"
        call.cancel()


def test_a_full_server_says_so_and_has_room_afterwards() -> None:
    go = threading.Event()

    def requests() -> Iterator[Request]:
        yield header()
        yield from pieces(SPEECH)
        go.wait(10)
        yield END

    with Served(capacity=1) as served, served.channel() as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        call = iter(stub.ProcessAudioStream(requests()))
        next(call)
        answer = ask(served, header(), *pieces(SPEECH), END)
        assert answer.code == grpc.StatusCode.RESOURCE_EXHAUSTED and "1 session" in answer.details
        go.set()
        assert len(list(call)) == -(-len(SPEECH) // 640) + 2
        assert served.free()
        assert ask(served, header(), *pieces(SPEECH), END).code == grpc.StatusCode.OK
