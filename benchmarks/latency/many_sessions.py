"""Many sessions at once, in a process of its own: the product's scheduler, fed at the pace of time.

Every session hears the demo speech from another place on, in blocks of 20 ms, its hops falling at
other moments than its neighbours'.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.probes import TimedBackend
from benchmarks.harness.processes import Helper, answer, resident_mb
from benchmarks.harness.server_process import live_settings, open_model
from benchmarks.harness.setting import Setting
from benchmarks.latency.percentiles import WARM_UP_FRAMES, distribution, playout
from stream.audio import BLOCK_SAMPLES
from stream.clock import MonotonicClock
from stream.core.session import Session
from stream.frames import FPS, SAMPLE_RATE, Frame
from stream.run.batching import Batcher
from stream.run.capacity import trial
from stream.run.scheduled_session import ScheduledSession
from stream.run.scheduler import Scheduler

STAGES = {
    "algorithm": "hop and lookahead: until the last sample that the call needs was due",
    "queue": "until the batch began, the feeding thread's own lateness included",
    "batch": "until the frame was delivered: the model call, shared with others",
}
GOLDEN = 0.618034
LATE_SHARE = 0.01
"""Share of frames: a machine with more of them late does not carry the sessions in real time."""
START_SECONDS = 180.0
MOMENTS = ("captured", "complete", "began", "delivered")


@dataclass(eq=False)
class MeasuredSession:
    """One session and what is noted of its frames: rows of `MOMENTS`, NaN where none came."""

    session: Session
    speech: NDArray[np.float32]
    t0: float
    rows: NDArray[np.float64]
    fed: int = 0
    scheduled: ScheduledSession = field(init=False)

    @property
    def due(self) -> float:
        """When the next block is complete."""
        return self.t0 + (self.fed + BLOCK_SAMPLES) / SAMPLE_RATE

    def feed(self) -> None:
        """Hand over the next block."""
        at = self.fed % (len(self.speech) - BLOCK_SAMPLES)
        self.scheduled.feed(self.speech[at : at + BLOCK_SAMPLES])
        self.fed += BLOCK_SAMPLES

    def note(self, frames: Sequence[Frame], began: float, now: float) -> None:
        """Frames were delivered."""
        complete = self.t0 + self.session.end / FPS
        for frame in frames:
            if frame.sequence < len(self.rows):
                captured = self.t0 + (frame.sequence + 0.5) / FPS
                self.rows[frame.sequence] = captured, complete, began, now


def run(setting: Setting) -> dict[str, Any]:
    """Feed all sessions for `setting.seconds` and summarise what was noted."""
    now = MonotonicClock().now
    began = now()
    first = open_model(setting)
    loaded = now()
    options = first.options
    backend = TimedBackend(first.backend, now)
    batcher = Batcher(backend)
    trial(batcher, 1, options)
    trial(batcher, min(setting.sessions, 16), options)
    batcher.close()
    warm = now()
    backend.take()
    backend.batches.clear()
    speech = demo()
    frames = int(setting.seconds * FPS)
    memory = [resident_mb()]
    with Scheduler(backend, capacity=setting.sessions) as scheduler:
        start = now() + 0.1
        sessions = []
        for number in range(setting.sessions):
            session = Session(backend, options=options, seed=number)
            phase = number * GOLDEN % 1.0 * session.hop / FPS
            rolled = np.roll(speech, -number * SAMPLE_RATE)
            measured = MeasuredSession(session, rolled, start + phase, np.full((frames, 4), np.nan))
            measured.scheduled = scheduler.open(session, deliver_to(measured, scheduler, now))
            sessions.append(measured)
        cpu, wall = time.process_time(), now()
        feed_all(sessions, setting.seconds, now)
        cpu_share = (time.process_time() - cpu) / (now() - wall)
        busy, rounds = scheduler.busy_seconds, scheduler.rounds
        memory.append(resident_mb())
        scheduler.close(5.0)
    counts = [measured.scheduled.counts for measured in sessions]
    return {
        "live": live_settings(session),
        "source": "the demo speech in every session, at the pace of time",
        "seconds": setting.seconds,
        "rows": [measured.rows.tolist() for measured in sessions],
        "late": sum(c.late for c in counts),
        "calls": sum(c.calls for c in counts),
        "merged": sum(c.merged for c in counts),
        "refused": sum(c.refused for c in counts),
        "busy_seconds": busy,
        "rounds": rounds,
        "workers": batcher.workers,
        "batches": backend.batches,
        "speech_seconds": backend.speech,
        "sampler_seconds": backend.sampler,
        "memory_mb": memory,
        "cpu_share": cpu_share,
        "load_seconds": loaded - began,
        "warm_up_seconds": warm - loaded,
    }


def deliver_to(measured: MeasuredSession, scheduler: Scheduler, now: Any) -> Any:
    """The receiver of one session's frames."""

    def deliver(frames: list[Frame]) -> None:
        measured.note(frames, scheduler.round_began, now())

    return deliver


def demo() -> NDArray[np.float32]:
    """The demo speech, (n,) samples."""
    from posetalk import demo_speech
    from stream.sources.file import FileSource

    return np.concatenate([block.samples for block in FileSource(demo_speech(), pace="fast")])


def feed_all(sessions: Sequence[MeasuredSession], seconds: float, now: Any) -> None:
    """Hand over every block when it is due, until all have been."""
    last = int(seconds * SAMPLE_RATE)
    waiting = [measured for measured in sessions if measured.fed < last]
    while waiting:
        measured = min(waiting, key=lambda s: s.due)
        pause = measured.due - now()
        if pause > 0:
            time.sleep(pause)
        measured.feed()
        if measured.fed >= last:
            waiting.remove(measured)


def summarise(noted: Mapping[str, Any]) -> dict[str, Any]:
    """A run's figures, in the form of `percentiles.summarise` where they mean the same."""
    rows = np.array(noted["rows"], np.float64)  # (sessions, frames, MOMENTS)
    received = ~np.isnan(rows[:, :, -1])
    # Whole calls, of neither the first second nor the end of the audio, which has no lookahead.
    live = noted["live"]
    hop = live["hop"]
    first = -(-WARM_UP_FRAMES // hop) * hop
    last = (rows.shape[1] - live["lookahead"]) // hop * hop
    steady = rows[:, first:last].reshape(-1, len(MOMENTS))
    steady = steady[~np.isnan(steady).any(axis=1)]
    latency = steady[:, -1] - steady[:, 0]
    parts = np.diff(steady, axis=1)
    each = rows[:, first:last, -1] - rows[:, first:last, 0]
    worst = max((distribution(one[~np.isnan(one)])["p99"] for one in each), default=0.0)
    batches = noted["batches"] or [0]
    late_share = noted["late"] / max(noted["calls"], 1)
    return {
        "live": live,
        "source": noted["source"],
        "seconds": noted["seconds"],
        "frames": {
            "expected": received.size,
            "received": int(received.sum()),
            "lost": int((~received).sum()),
            "measured": len(steady),
            "late": noted["late"],
            "merged_calls": noted["merged"],
            "dropped_samples": noted["refused"],
        },
        "in_real_time": bool(received.all() and late_share <= LATE_SHARE),
        "end_to_end_ms": distribution(latency),
        "worst_session_p99_ms": worst,
        "stages_ms": {name: distribution(parts[:, k]) for k, name in enumerate(STAGES)},
        "playout_ms": playout(latency),
        "batch": {
            "mean": round(float(np.mean(batches)), 3),
            "max": int(max(batches)),
            "rounds": noted["rounds"],
            "ms": round(1e3 * noted["busy_seconds"] / max(noted["rounds"], 1), 3),
        },
        "real_time_factor": round(noted["busy_seconds"] / noted["seconds"], 4),
        "workers": noted["workers"],
        "model_share": {
            name: round(noted[f"{name}_seconds"] / noted["seconds"], 4)
            for name in ("speech", "sampler")
        },
        "warm_up": {
            "load_seconds": round(noted["load_seconds"], 3),
            "warm_up_seconds": round(noted["warm_up_seconds"], 3),
        },
        "memory_mb": {"begin": noted["memory_mb"][0], "end": noted["memory_mb"][1]},
        "cores": {"session_and_server": round(noted["cpu_share"], 4)},
    }


def measure(setting: Setting) -> dict[str, Any]:
    """One run in a fresh process; raises BenchmarkError when it cannot be measured."""
    with Helper("benchmarks.latency.many_sessions", asdict(setting)) as helper:
        return summarise(helper.receive(setting.seconds + START_SECONDS))


def main() -> int:
    """`python -m benchmarks.latency.many_sessions '{"sessions": ..., ...}'`."""
    from posetalk.__main__ import explain

    try:
        answer(**run(Setting(**json.loads(sys.argv[1]))))
    except Exception as error:
        answer(error=explain(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
