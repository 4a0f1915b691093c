"""How many clients are carried in real time: more and more of them, until they are too many."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.harness.processes import end
from benchmarks.latency.percentiles import distribution
from benchmarks.scaling import cluster
from benchmarks.scaling.speakers import SpeakingClient, carried, spoken_for
from stream.backends.names import BackendName

IN_TIME_SECONDS = 0.3
"""From the middle of a frame's sound to its arrival: later is not in real time."""
FEWER_BAR = 0.15
"""What is asked: by a direct address so much fewer than by `serve`, at most."""
WARM_UP_FRAMES = 50
TRIES = 2
"""Of a number of clients: one hiccup of the machine decides nothing."""


def climb(
    counts: Sequence[int],
    speak: Callable[[int], list[SpeakingClient]],
    fits: Callable[[Sequence[SpeakingClient]], bool] = lambda speakers: carried(
        speakers, IN_TIME_SECONDS
    ),
) -> dict[str, Any]:
    """The most clients that are carried, and the ages of each number that was tried.

    One of `counts` after the other, until one is too many; then halves between it and the last.

    Args:
        speak: lets so many clients speak at once.
    """
    ages: dict[str, dict[str, float]] = {}

    def is_carried(count: int) -> bool:
        for _ in range(TRIES):
            speakers = speak(count)
            late = [s.ages[WARM_UP_FRAMES:] for s in speakers]
            ages[str(count)] = distribution(np.concatenate(late))
            if fits(speakers):
                return True
        return False

    best, too_many = 0, 0
    for count in sorted(counts):
        if not is_carried(count):
            too_many = count
            break
        best = count
    while too_many - best > 1:
        middle = (best + too_many) // 2
        if is_carried(middle):
            best = middle
        else:
            too_many = middle
    return {"sessions": best, "too_many": too_many or None, "age_ms": ages}


def climb_at(
    url: str, counts: Sequence[int], seconds: float, *, direct: bool = False
) -> dict[str, Any]:
    """`climb` with clients of a server that runs, who speak for so many seconds."""
    return climb(counts, lambda count: spoken_for(count, url, seconds, direct=direct))


@contextlib.contextmanager
def served(backend: BackendName, sessions: int) -> Iterator[str]:
    """`posetalk serve` itself; yields its address."""
    port = cluster.free_port()
    command = [sys.executable, "-P", "-m", "posetalk", "serve", "--source", "none"]
    command += ["--backend", backend, "--port", str(port), "--sessions", str(sessions)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "serving at" in line:
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield f"ws://127.0.0.1:{port}"
    finally:
        end(process, 20.0)
