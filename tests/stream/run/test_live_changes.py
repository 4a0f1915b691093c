"""What is changed while the live loop runs: speech cut, styles, strengths, a model that fails."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from live_runs import BACKEND, Collect, Script, speech
from numpy.typing import NDArray
from patience import PATIENCE

from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.clock import FakeClock
from stream.core.conditions import ConditionChange
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.run.live_loop import LiveLoop
from stream.sources.pushed import PushedSource


def test_interrupt_silences_the_mouth_within_one_hop() -> None:
    source = PushedSource()
    session = Session(BACKEND, options=SessionOptions(hop=2, lookahead=2))
    sink = Collect()
    loop = LiveLoop(source, session, [sink])
    rng = np.random.default_rng(0)
    source.push(rng.normal(0, 0.2, 16000 * 20).astype("f4"))  # as text-to-speech does
    worker = threading.Thread(target=loop.run, kwargs={"seconds": 1.6})
    worker.start()
    time.sleep(0.8)
    assert source.waiting > 16000 * 18
    loop.interrupt()
    worker.join(PATIENCE)
    (cut,) = sink.cuts
    assert loop.statistics.interrupts == 1
    assert 8000 < cut < 19200
    assert source.waiting == 0
    silence = np.flatnonzero(sink.heard)[-1] + 1
    assert silence <= cut + 640  # a block may have been on its way
    jaw = sink.motion[:, 53]
    assert jaw[: cut // 640 - 1].min() > 0.02
    quiet = silence // 640 + 1  # frames whose audio is all silence: the mouth closes
    assert jaw[quiet + 4] < 0.01
    assert len(sink.frames) == 40  # and time goes on


def test_style_can_be_changed_while_it_runs() -> None:
    backend = FakeBackend()
    none = np.zeros(0, np.float32)
    backend.styles = {"calm": none, "lively": none}
    session = Session(backend)
    script = Script(speech(0.5), FakeClock())
    loop = LiveLoop(script, session, [])
    loop.change(ConditionChange(style="lively"))
    with pytest.raises(ValueError, match="no style 'drunken'"):
        loop.change(ConditionChange(style="drunken"))
    assert session.style_name == "lively"
    script.release_all()
    loop.run()
    assert session.style_name == "lively"


def test_interrupt_silences_what_waits_for_the_session() -> None:
    clock = FakeClock(10.0)
    script = Script(np.ones(32000, np.float32), clock)
    script.turn.release(50)
    sink = Collect()
    loop = LiveLoop(script, Session(BACKEND), [sink], clock=clock)
    loop.interrupt()  # what has arrived by now, and waits in the source, is silence
    capture = threading.Thread(target=loop._capture)
    capture.start()
    until = time.monotonic() + PATIENCE
    while loop._fed < 16000 and time.monotonic() < until:
        time.sleep(0.01)
    assert loop._fed == 16000
    clock.advance(1.0)
    script.release_all()
    capture.join(PATIENCE)
    assert loop._scheduled.ended.wait(PATIENCE)
    assert sink.cuts == [0]
    assert not sink.heard[:16000].any() and sink.heard[16000:].all()


def test_guidance_can_be_changed_while_it_runs() -> None:
    session, script = Session(BACKEND), Script(speech(0.5), FakeClock())
    loop = LiveLoop(script, session, [Collect()])
    loop.change(ConditionChange(audio_guidance=2.0))
    loop.change(ConditionChange(style_guidance=3.0))
    with pytest.raises(ValueError, match="audio guidance -1: choose a number from 0 to 20"):
        loop.change(ConditionChange(audio_guidance=-1.0))
    script.release_all()
    loop.run()
    assert (session.audio_guidance, session.style_guidance) == (2.0, 3.0)
    told = {"style": session.style_name, "audio_guidance": 2.0, "style_guidance": 3.0}
    assert loop.conditions == told | {"gaze": 1.0, "still": False}


def test_a_model_that_fails_ends_the_run_and_says_why() -> None:
    class Broken(FakeBackend):
        def sample(self, call: SamplerCall) -> NDArray[np.float32]:
            raise RuntimeError("out of memory")

    script = Script(speech(1.0), FakeClock())
    script.release_all()
    with pytest.raises(RuntimeError, match="out of memory"):
        LiveLoop(script, Session(Broken()), [Collect()]).run()
