"""What a live run counts and holds, and what is warm before it begins."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from live_runs import BACKEND, Collect, reference, speech
from numpy.typing import NDArray

from stream.backends.fake import FakeBackend
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.frames import Frame
from stream.run.live_loop import LiveLoop, warm_up
from stream.run.metrics import LiveStatistics
from stream.run.sinks import FrameTiming
from stream.sources.file import FileSource


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
    assert set(seen) == {hops * session.hop + lookahead for hops in (1, 2, 4, 8, 16, 32)}


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
