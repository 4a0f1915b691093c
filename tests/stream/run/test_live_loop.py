"""The live loop: a file live is the file at once, hops that are late, ends that are clean."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from live_runs import BACKEND, Collect, Script, reference, speech
from numpy.typing import NDArray

from stream.backends.protocol import SamplerCall
from stream.clock import FakeClock
from stream.core.session import Session
from stream.frames import Frame
from stream.run.live_loop import LiveLoop, replay, stop_on_ctrl_c
from stream.run.metrics import STAGES, LiveStatistics
from stream.run.sinks import FrameTiming
from stream.sources import SourceError
from stream.sources.file import FileSource


class SlowBackend:
    """The fake backend, but every call takes as long as it is told to."""

    def __init__(self, clock: FakeClock, cost: list[float], script: Script, late: int = 0) -> None:
        self._clock, self._cost, self._script = clock, cost, script
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(BACKEND, name)

    def sample_many(self, calls: list[SamplerCall]) -> list[NDArray[np.float32]]:
        (call,) = calls
        self.calls.append(len(call.features))
        cost = self._cost.pop(0) if self._cost else 0.001
        for _ in range(round(cost / 0.02)):  # while the model works, audio keeps coming
            self._clock.advance(0.02)
            self._script.turn.release()
            time.sleep(0.001)
        return [BACKEND.sample(call)]


def animate(
    source: object, session: Session | None = None, **options: object
) -> tuple[Collect, LiveStatistics]:
    sink = Collect()
    loop = LiveLoop(source, session or Session(BACKEND), [sink], **options)  # type: ignore[arg-type]
    return sink, loop.run()


@pytest.mark.parametrize("pace", ["fast", "realtime"])
def test_a_file_live_equals_one_call_of_feed(tmp_path: Path, pace: str) -> None:
    path = tmp_path / "a.wav"
    samples = speech(1.51)
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    sink, statistics = animate(FileSource(path, pace=pace))  # type: ignore[arg-type]
    assert np.array_equal(sink.heard, samples)
    frames = replay(Session(BACKEND), samples, statistics.merges)  # a busy machine may merge
    assert np.array_equal(sink.motion, np.stack([frame.motion for frame in frames]))
    assert (statistics.frames, statistics.dropped) == (37, 0)
    if pace == "fast":
        assert np.array_equal(sink.motion, reference(samples))
    else:
        assert statistics.latency().p50 == pytest.approx(120, abs=40)  # hop 2, lookahead 2


def test_stages_add_up_to_the_latency() -> None:
    clock = FakeClock()
    script = Script(speech(1.0), clock)
    script.release_all()
    _, statistics = animate(script, clock=clock)
    rows = statistics.rows()
    assert rows.shape == (25, len(STAGES))
    assert (rows >= 0).all()
    # Middle of the frame to the end of the audio its call needed: R + H - 1/2 and R + 1/2 frames;
    # the last frames, at the end of the audio, need no lookahead.
    assert np.round(rows[:22, 0], 4).tolist() == [0.14, 0.1] * 11
    assert statistics.latency().max == pytest.approx(rows.sum(axis=1).max() * 1e3)


def test_seconds_end_the_run_exactly(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(3.0), 16000)
    sink, _ = animate_for(FileSource(path, pace="fast"), 0.5)
    assert len(sink.heard) == 8000
    assert len(sink.frames) == 12


def animate_for(source: object, seconds: float) -> tuple[Collect, LiveStatistics]:
    sink = Collect()
    loop = LiveLoop(source, Session(BACKEND), [sink])  # type: ignore[arg-type]
    return sink, loop.run(seconds=seconds)


def run_slow(cost: list[float], seconds: float = 4.0) -> tuple[Collect, LiveStatistics, Session]:
    clock = FakeClock()
    script = Script(speech(seconds), clock)
    backend = SlowBackend(clock, cost, script)
    session = Session(backend)  # type: ignore[arg-type]
    sink = Collect()
    loop = LiveLoop(script, session, [sink], clock=clock)
    worker = threading.Thread(target=loop.run)
    worker.start()
    while worker.is_alive():  # time passes also while nobody computes
        if not script.done and not loop._scheduled.ready and session.pending_hops == 0:
            clock.advance(0.02)
            script.turn.release()
        time.sleep(0.0005)
    worker.join()
    return sink, loop.statistics, session


def test_late_hops_are_merged_and_nothing_is_lost() -> None:
    sink, statistics, _ = run_slow([0.02, 0.02, 1.0])
    assert len(sink.frames) == 100
    assert statistics.merged >= 1 and statistics.late > 0
    assert max(hops for _, hops in statistics.merges) >= 5
    # It recovers: the last second is as quick as it would be without the hiccup.
    latencies = statistics.rows().sum(axis=1)
    assert latencies[:25].max() > 0.9
    assert latencies[-25:].max() < 0.25


def test_a_late_run_can_be_replayed_exactly() -> None:
    sink, statistics, _ = run_slow([0.02, 0.5, 0.02, 1.3, 0.3])
    assert statistics.merged >= 2
    frames = replay(Session(BACKEND), sink.heard, statistics.merges)
    assert np.array_equal(np.stack([f.motion for f in frames]), sink.motion)


def test_a_model_slower_than_time_merges_within_the_window() -> None:
    sink, statistics, session = run_slow([0.12] * 1000, seconds=6.0)
    assert len(sink.frames) == 150
    assert max(hops for _, hops in statistics.merges) <= session.most_hops
    # Unmerged, the last frame would be 3 s late; merging makes up for the slowness.
    assert statistics.latency().max < 600


def test_merges_are_counted_for_ever_and_written_down_up_to_a_bound() -> None:
    statistics = LiveStatistics(most_merges=3)
    for number in range(5):
        statistics.merge(10 * number, 2)
    assert statistics.merged == 5
    assert statistics.merges == [(0, 2), (10, 2), (20, 2)]


def test_sources_that_wait_are_never_merged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(20.0), 16000)
    sink, statistics = animate(FileSource(path, pace="fast"))
    assert statistics.merges == [] and len(sink.frames) == 500


def test_dropped_blocks_become_silence_and_keep_the_index() -> None:
    clock = FakeClock()
    samples = speech(2.0)
    script = Script(samples, clock, skip=(20, 21, 60))
    script.release_all()
    sink, _ = animate(script, clock=clock)
    expected = samples.copy()
    expected[6400:7040] = 0
    expected[19200:19520] = 0
    assert np.array_equal(sink.heard, expected)
    assert len(sink.frames) == 50


def test_a_source_that_breaks_delivers_what_came_before() -> None:
    script = Script(speech(2.0), FakeClock(), fail_at=50)
    script.release_all()
    sink = Collect()
    loop = LiveLoop(script, Session(BACKEND), [sink])
    with pytest.raises(SourceError, match="torn"):
        loop.run()
    assert len(sink.frames) == 25
    assert len(sink.heard) == 16000


def test_a_sink_that_fails_does_not_take_the_others_with_it() -> None:
    class Full(Collect):
        def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
            raise OSError("the disk is full")

    script = Script(speech(1.0), FakeClock())
    script.release_all()
    good = Collect()
    loop = LiveLoop(script, Session(BACKEND), [Full(), good])
    with pytest.raises(OSError, match="the disk is full"):
        loop.run()
    assert len(good.frames) == 25


def test_stop_is_quick_and_keeps_what_was_heard(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(30.0), 16000)
    stop = threading.Event()
    threading.Timer(0.6, stop.set).start()
    sink = Collect()
    loop = LiveLoop(FileSource(path, pace="realtime"), Session(BACKEND), [sink])
    before = time.monotonic()
    loop.run(stop=stop)
    assert time.monotonic() - before < 1.0
    assert len(sink.frames) == len(sink.heard) // 640  # the last frames came out too
    assert 8000 < len(sink.heard) < 14000


def test_ctrl_c_sets_the_event_and_the_second_one_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_ctrl_c() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(1) and stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_merges_of_two_and_three_hops_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(BACKEND)
    made: list[int] = []
    step: Callable[[int], object] = session.step

    def noted(hops: int = 1) -> object:
        made.append(hops)
        return step(hops)

    monkeypatch.setattr(session, "step", noted)
    first = session.lookahead
    merges = [(first + 2 * session.hop, 2), (first + 6 * session.hop, 3)]
    replay(session, np.zeros(640 * (first + 8 * session.hop), np.float32), merges)
    assert made[:4] == [2, 1, 3, 1]
