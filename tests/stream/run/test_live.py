from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from patience import PATIENCE

from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.backends.registry import load_backend
from stream.clock import FakeClock
from stream.core.conditions import ConditionChange
from stream.core.session import Session, SessionOptions
from stream.frames import Frame
from stream.run.live_loop import LiveLoop, replay, stop_on_ctrl_c, warm_up
from stream.run.metrics import STAGES, LiveStatistics
from stream.run.sinks import Collected, FrameTiming
from stream.sources import Block, SourceError
from stream.sources.file import FileSource
from stream.sources.pushed import PushedSource

BACKEND = load_backend("fake")


def speech(seconds: float) -> NDArray[np.float32]:
    """Noise that swells and fades, so that every frame differs from its neighbours."""
    n = int(16000 * seconds)
    swell = np.sin(np.arange(n) * 2e-4) ** 2
    return (np.random.default_rng(0).normal(0, 0.1, n) * swell).astype("f4")


class Collect(Collected):
    """Keeps everything, and checks that it comes in order."""

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        assert start == sum(map(len, self.pieces))
        super().on_audio(start, samples)

    def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
        assert frame.sequence == len(self.frames)
        assert frame.sample == 640 * frame.sequence
        moments = [timing.captured, timing.complete, timing.arrived, timing.began, timing.computed]
        assert moments == sorted(moments)
        super().on_frame(frame, timing)


class Script:
    """A source that says what it is told to, on a fake clock."""

    name = "script"
    device_latency = 0.0
    dropped = 0

    def __init__(
        self,
        samples: NDArray[np.float32],
        clock: FakeClock,
        *,
        realtime: bool = True,
        skip: tuple[int, ...] = (),
        fail_at: int | None = None,
    ) -> None:
        self.realtime = realtime
        self._samples, self._clock = samples, clock
        self._skip, self._fail_at = skip, fail_at
        self._closed = threading.Event()
        self.turn = threading.Semaphore(0)  # released once per block that may come
        self.done = False

    def __iter__(self) -> Iterator[Block]:
        for number, at in enumerate(range(0, len(self._samples), 320)):
            self.turn.acquire()
            if self._closed.is_set():
                return
            if number == self._fail_at:
                raise SourceError("the script is torn")
            if number in self._skip:
                continue
            piece = self._samples[at : at + 320]
            now = self._clock.now()
            yield Block(at, piece, now, now)
        self.done = True

    def release_all(self) -> None:
        self.turn.release(len(self._samples) // 320 + 1)

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self._closed.set()
        self.release_all()


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


def reference(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    session = Session(BACKEND)
    return np.stack([f.motion for f in session.feed(samples) + session.finish()])


# --- files -------------------------------------------------------------------------------------
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


# --- being late --------------------------------------------------------------------------------
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


# --- ends --------------------------------------------------------------------------------------
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


# --- interrupts --------------------------------------------------------------------------------
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


# --- the figures -------------------------------------------------------------------------------
def test_statistics_keep_the_latest_in_constant_memory() -> None:
    statistics = LiveStatistics(history=10)
    assert statistics.latency().p99 == 0.0
    for number in range(25):
        t = float(number)
        statistics.add(FrameTiming(t, t, t, t, t), t + number / 1000, late=number == 3)
    assert (statistics.frames, statistics.late) == (25, 1)
    assert np.allclose(statistics.rows()[:, 4], np.arange(15, 25) / 1000)
    assert statistics.latency(last=2).max == pytest.approx(24.0)
    assert statistics.stages()["send"].p50 == pytest.approx(19.5)


def test_memory_does_not_grow_over_ten_minutes(tmp_path: Path) -> None:
    import gc

    import psutil

    from stream.serve.door.sweeper import give_back

    process = psutil.Process()

    class Count(Collect):
        def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
            pass

        def on_frame(self, frame: Frame, timing: FrameTiming) -> None:
            if frame.sequence in (3000, 14000):
                gc.collect()  # what other tests left to free is not the stream's
                give_back()
                held.append(process.memory_info().rss)

    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        for _ in range(10):
            file.write(np.zeros(16000 * 60, np.int16))
    held: list[int] = []
    loop = LiveLoop(
        FileSource(path, pace="fast"),
        Session(BACKEND, options=SessionOptions(hop=10)),
        [Count()],
        statistics=LiveStatistics(history=100),
    )
    statistics = loop.run()
    assert statistics.frames == 15000
    assert held[1] - held[0] < 3_000_000  # at most the queue's fill changes


def test_warm_up_comes_by_whatever_a_gpu_captures(monkeypatch) -> None:
    class Gpu(FakeBackend):
        max_batch = 64

    seen: list[int] = []
    backend = Gpu()
    monkeypatch.setattr(
        backend, "sample", lambda call: seen.append(len(call.features)) or Gpu.sample(backend, call)
    )
    session = Session(backend)
    try:
        warm_up(session, seconds=0.0)
    finally:
        gc.unfreeze()
    lookahead = session.lookahead
    assert len(seen) > (backend.spec.T_w + backend.spec.T_p) // session.hop
    assert set(seen) == {hops * session.hop + lookahead for hops in (1, 2, 3)}


def test_warm_up_leaves_the_session_as_new() -> None:
    session = Session(BACKEND)
    try:
        warm_up(session)
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
    samples = speech(1.0)
    motion = np.stack([f.motion for f in session.feed(samples) + session.finish()])
    assert np.array_equal(motion, reference(samples))
