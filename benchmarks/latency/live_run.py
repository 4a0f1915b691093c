"""One run of the live path: source, session and server in one process, a client in another."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness.processes import (
    BenchmarkError,
    Helper,
    cpu_seconds,
    resident_mb,
    wait_until_idle,
)
from benchmarks.harness.setting import Setting
from benchmarks.harness.virtual_microphone import VirtualMicrophone
from benchmarks.latency.percentiles import summarise
from stream.frames import FPS, SAMPLE_RATE

START_SECONDS = 180.0  # a cold disk, a large bundle
VIEWER_FINISH_SECONDS = 60.0
SPEECH_MARGIN_SECONDS = 60.0


def measure_live(
    setting: Setting, microphone: VirtualMicrophone | None, label: str
) -> dict[str, Any]:
    """One session with server and client."""
    with contextlib.ExitStack() as stack:
        environment = None
        if microphone is not None:
            stack.enter_context(microphone.speaking(speech(setting.seconds)))
            environment = microphone.environment
        server = stack.enter_context(
            Helper("benchmarks.harness.server_process", asdict(setting), environment)
        )
        with waiting(f"{label}: starting"):
            ready = server.receive(START_SECONDS)
            client = stack.enter_context(
                Helper("benchmarks.latency.client_process", {"url": ready["url"]})
            )
            client.receive(START_SECONDS)
            viewer = stack.enter_context(viewing(ready["url"])) if setting.viewer else None
            server.tell(f"clients {1 + setting.viewer}")
            server.receive(START_SECONDS)
            if viewer is not None:
                wait_until_idle(viewer.pid)
        began = time.monotonic()
        viewer_cpu = None if viewer is None else cpu_seconds(viewer.pid)
        server.tell("go")
        with waiting(f"{label}: {setting.seconds:.0f} s"):
            ended = server.receive(setting.seconds + START_SECONDS)
        heard = client.receive(30.0)
        run = summarise({**ready, **ended}, heard, FPS)
        run["viewer"] = None
        if viewer is not None:
            run["viewer"] = viewer.finish(viewer_cpu, time.monotonic() - began)
    return run


def speech(seconds: float) -> Any:
    """The demo speech over and over, (n,) samples, longer than a run with its start takes."""
    import numpy as np

    from posetalk import demo_speech
    from stream.sources.file import FileSource

    blocks = [block.samples for block in FileSource(demo_speech(), pace="fast")]
    once = np.concatenate(blocks)
    return np.resize(once, int((seconds + START_SECONDS + SPEECH_MARGIN_SECONDS) * SAMPLE_RATE))


class Viewer:
    """The product's own off-screen viewer, `posetalk view --view offscreen`, drawing a video."""

    def __init__(self, url: str, folder: Path) -> None:
        from posetalk.app.viewer_process import start

        record = str(folder / "viewer.mp4")
        self.child = start([url, "--once", "--view", "offscreen", "--record", record])
        self.pid = self.child.process.pid
        self._path = folder / "viewer.mp4"

    def finish(self, cpu_before: float | None, seconds: float) -> dict[str, Any]:
        """What it has drawn and used; raises BenchmarkError when it failed."""
        memory, cpu = resident_mb(self.pid), cpu_seconds(self.pid)
        self.child.finish(VIEWER_FINISH_SECONDS)
        if self.child.failed or not self._path.exists():
            raise BenchmarkError(f"the viewer: {self.child.last_words}")
        share = None if cpu is None or cpu_before is None else (cpu - cpu_before) / seconds
        return {
            "said": self.child.last_words.replace(str(self._path), self._path.name),
            "memory_mb": memory,
            "cores": None if share is None else round(share, 4),
        }


@contextlib.contextmanager
def viewing(url: str) -> Iterator[Viewer]:
    """A viewer while the block runs."""
    with tempfile.TemporaryDirectory(prefix="posetalk-bench-") as folder:
        viewer = Viewer(url, Path(folder))
        try:
            yield viewer
        finally:
            if not viewer.child.gone:
                viewer.child.end()


@contextlib.contextmanager
def waiting(label: str) -> Iterator[None]:
    """Say what goes on; one line written once, as a moving bar would disturb what is measured."""
    if not sys.stderr.isatty():
        print(label, file=sys.stderr, flush=True)
        yield
        return
    print(f"\r\x1b[K{label} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
