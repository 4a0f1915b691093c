"""What `docs/architecture.md` says of new things is true: each is put in one place, and works."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import SPEC, save_tiny_bundle, speech
from wire_clients import HEAD, client, frame, until

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.sampling.samplers import SAMPLERS, dpm_solver_pp_2m
from posetalk.app.opening import SOURCES, open_source
from posetalk.app.settings.stream import StreamSettings
from stream.backends.fake import FakeBackend
from stream.backends.torch_backend import TorchBackend
from stream.core.session import Session
from stream.frames import FRAME_SAMPLES, Frame
from stream.run.live_loop import LiveLoop
from stream.run.sinks import Collected
from stream.serve.server import Server
from stream.sources.array import ArraySource
from stream.wire import codec, messages
from stream.wire.channels import CHANNEL_SETS, ChannelSet, make_hello


def test_a_sampler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `SAMPLERS`: a bundle that names it speaks by it."""
    half = {"called": 0}

    def timid(denoise, noise, *rest, **more):  # type: ignore[no-untyped-def]
        half["called"] += 1
        return 0.5 * dpm_solver_pp_2m(denoise, noise, *rest, **more)

    bundle = load_bundle(save_tiny_bundle(tmp_path / "bundle"))
    named = replace(bundle.spec, live=replace(SPEC.live, sampler="timid"))
    with pytest.raises(ValueError, match=r"no sampler 'timid': there are dpm\+\+"):
        TorchBackend(replace(bundle, spec=named))
    monkeypatch.setitem(SAMPLERS, "timid", timid)
    sound = speech(4)
    motion = []
    for spec in (bundle.spec, named):
        torch.manual_seed(0)
        backend = TorchBackend(replace(bundle, spec=spec), threads=1)
        first = Session(backend).feed(sound)[0].motion
        motion.append((first - backend.statistics.motion_mean) / backend.statistics.motion_std)
    assert half["called"] >= 1
    np.testing.assert_allclose(motion[1], 0.5 * motion[0], atol=1e-5)


def test_a_source_of_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """In `SOURCES`: `--source` names it, and the live loop animates it."""
    tone = np.sin(np.arange(16000) / 8).astype(np.float32)
    monkeypatch.setitem(SOURCES, "tone", lambda settings, page: ArraySource(tone))
    sink = Collected()
    LiveLoop(open_source(StreamSettings(source="tone")), Session(FakeBackend()), [sink]).run()
    assert len(sink.frames) == 16000 // FRAME_SAMPLES and np.array_equal(sink.heard, tone)


def test_a_channel_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """In `CHANNEL_SETS`: the hello offers it, and who subscribes to it is sent it."""

    def jaw(head: object, frame: Frame, shape: object) -> np.ndarray:
        return frame.motion[-1:]

    monkeypatch.setitem(CHANNEL_SETS, "jaw", ChannelSet(99, lambda head: ["jawOpen"], jaw))
    hello = make_hello(HEAD)
    assert hello.channels["jaw"] == ["jawOpen"]
    with Server(HEAD, hello, port=0) as server, client(server) as connection:
        for as_json in (False, True):
            connection.send(codec.serialise_text(messages.Subscribe("jaw", json=as_json)))
            connection.send(codec.serialise_text(messages.Ping(1)))
            until(connection, messages.Pong)
            server.on_frame(frame(3))
            expected = float(frame(3).motion[-1])
            if as_json:
                told = json.loads(connection.recv(timeout=10))["values"]
                assert told == {"jawOpen": pytest.approx(expected, abs=1e-5)}
            else:
                message = codec.parse(bytes(connection.recv(timeout=10)))
                assert message.kind == 99
                assert np.frombuffer(bytes(message.payload), "<f4") == pytest.approx([expected])


def test_toys_stay_where_they_were_put() -> None:
    """Nothing of the product names them: what a test registers is gone with it."""
    probe = "from posetalk.app.opening import SOURCES; print('tone' in SOURCES)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
