"""The parts of `posetalk bench throughput` that need a fresh process: animate, render and
memory.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.harness.processes import answer, resident_mb
from benchmarks.harness.setting import Setting
from benchmarks.latency.percentiles import distribution
from stream.frames import SAMPLE_RATE

SIZE = (512, 512)


def animate(setting: Setting, repeats: int) -> dict[str, Any]:
    """The session over the demo speech as `posetalk animate` feeds it, without outputs."""
    from benchmarks.harness.server_process import live_settings
    from posetalk import demo_speech
    from posetalk.app.animate import blocks_of, run
    from stream.run.live_loop import warm_up
    from stream.sources.file import FileSource

    session = open_session(setting)
    warm_up(session)
    multiples, seconds = [], 0.0
    for _ in range(repeats):
        session.reset()
        source = FileSource(demo_speech(), pace="fast")
        seconds = source.samples / SAMPLE_RATE
        began = time.perf_counter()
        run(session, blocks_of(source), [])
        multiples.append(seconds / (time.perf_counter() - began))
    return {
        "times_real_time": multiples,
        "median": statistics.median(multiples),
        "audio_seconds": seconds,
        "live": live_settings(session),
    }


def render(frames: int) -> dict[str, Any]:
    """Off-screen pictures of the built-in head, skinning included."""
    from head.rig import builtin_head
    from viewer.render import gl
    from viewer.render.renderer import measure

    seconds = np.array(measure(builtin_head(), *SIZE, frames))
    return {
        "size": SIZE,
        "frames": frames,
        "per_second": len(seconds) / seconds.sum(),
        "picture_ms": distribution(seconds),
        "platform": gl.platform_name(),
    }


def memory(setting: Setting, minutes: int) -> dict[str, Any]:
    """Resident memory of a session that hears blocks of 20 ms for many minutes."""
    from benchmarks.harness.server_process import live_settings
    from posetalk import demo_speech
    from stream.audio import BLOCK_SAMPLES
    from stream.run.live_loop import warm_up
    from stream.sources.file import FileSource

    session = open_session(setting)
    warm_up(session)
    speech = np.concatenate([b.samples for b in FileSource(demo_speech(), pace="fast")])
    speech = speech[: len(speech) // BLOCK_SAMPLES * BLOCK_SAMPLES]
    marks = [1, *range(5, minutes + 1, 5)]
    noted, at, frames = [], 0, 0
    for mark in marks:
        while at < mark * 60 * SAMPLE_RATE:
            begin = at % len(speech)
            frames += len(session.feed(speech[begin : begin + BLOCK_SAMPLES]))
            at += BLOCK_SAMPLES
        noted.append(resident_mb())
        answer(progress=f"minute {mark} of {minutes}")
    return {"minute": marks, "memory_mb": noted, "frames": frames, "live": live_settings(session)}


def open_session(setting: Setting) -> Any:
    """The session that the commands open."""
    from benchmarks.harness.server_process import open_model

    return open_model(setting).session


def work(request: Mapping[str, Any]) -> dict[str, Any]:
    """One part's figures."""
    setting = Setting(**request["setting"])
    if request["part"] == "animate":
        return animate(setting, request["repeats"])
    if request["part"] == "render":
        return render(request["frames"])
    return memory(setting, request["minutes"])


def main() -> int:
    """`python -m benchmarks.throughput.workload '{"part": ..., ...}'`."""
    from posetalk.__main__ import explain

    try:
        answer(**work(json.loads(sys.argv[1])))
    except Exception as error:
        answer(error=explain(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
