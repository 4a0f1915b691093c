"""What a hop and a start cost on each backend: `posetalk bench cost starter`.

In processor time, which other work on the machine changes little; one thread, so that it is also
what the hop takes where a core is free.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from export.parity import babble
from head.errors import WrongValue
from stream.backends.registry import load_backend
from stream.core.device_session import DeviceSession, make_session
from stream.core.session import Session

START = """
import resource, sys
from stream.backends.registry import load_backend
load_backend(sys.argv[1], sys.argv[2])
used = resource.getrusage(resource.RUSAGE_SELF)
kilobytes = used.ru_maxrss
if sys.platform == "linux":  # there the figure above may be the parent's
    kilobytes = next(int(l.split()[1]) for l in open("/proc/self/status") if l[:6] == "VmHWM:")
print(used.ru_utime + used.ru_stime, kilobytes / 1024)
"""


@dataclass(frozen=True)
class Cost:
    """What one backend costs with one bundle at its live defaults.

    Attributes:
        start_seconds: processor time from a new process to a backend that can run, start_mb: its
            memory then.
        hop_ms: processor time of a hop (speech and sampler), median; hop_p99_ms likewise.
        whole_hops: whether it was one graph that keeps its state.
    """

    backend: str
    bundle: str
    start_seconds: float
    start_mb: float
    hop_ms: float
    hop_p99_ms: float
    whole_hops: bool = False


def measure(backend: str, bundle: str, hops: int = 200, *, whole_hops: bool = False) -> Cost:
    """Start it in a process of its own, then run `hops` hops here.

    Args:
        whole_hops: each in one graph that keeps its state; the bundle must have one.

    Raises:
        ValueError, RuntimeError: it cannot run; the message says why.
    """
    model = load_backend(backend, bundle, threads=1)
    session = make_session(model) if whole_hops else Session(model)
    if whole_hops and not isinstance(session, DeviceSession):
        raise WrongValue(f"{bundle} has no graph of whole hops: `posetalk export --whole-hops`")
    samples = (session.lookahead + hops * session.hop) * model.spec.frame_samples
    session.append(babble(samples))
    session.step()  # the first one fills caches
    spent = []
    while session.pending_hops:
        began = time.thread_time()
        session.step()
        spent.append(1e3 * (time.thread_time() - began))
    started = subprocess.run(
        [sys.executable, "-P", "-c", START, backend, bundle],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    seconds, megabytes = map(float, started.stdout.split())
    spent.sort()
    return Cost(
        backend,
        bundle,
        round(seconds, 2),
        round(megabytes),
        round(statistics.median(spent), 2),
        round(spent[int(0.99 * len(spent))], 2),
        whole_hops,
    )


@dataclass(frozen=True)
class CostSettings:
    """What to measure."""

    bundle: Annotated[str, tyro.conf.Positional] = "starter"
    """Bundle by name or folder."""
    backends: tuple[str, ...] = ("torch", "onnxruntime")
    """One after the other; those that cannot run here say so."""
    hops: int = 200
    whole_hops: bool = False
    """Also hops in one graph, where the bundle has one (`posetalk export --whole-hops`)."""
    json: bool = False
    """Print JSON."""


def report(settings: CostSettings) -> None:
    """Print a line for each backend."""
    costs = []
    kinds = (False, True) if settings.whole_hops else (False,)
    for backend, whole in itertools.product(settings.backends, kinds):
        try:
            costs.append(measure(backend, settings.bundle, settings.hops, whole_hops=whole))
        except (ValueError, RuntimeError) as error:
            print(f"{backend}: not run: {error}", file=sys.stderr)
    if settings.json:
        print(json.dumps({"machine": platform.processor(), "costs": [*map(asdict, costs)]}))
        return
    for cost in costs:
        print(
            f"{cost.backend:<12} start {cost.start_seconds:5.2f} s of one core, "
            f"{cost.start_mb:.0f} MB; hop {cost.hop_ms:6.2f} ms, p99 {cost.hop_p99_ms:.2f} ms"
            + (", in one graph" if cost.whole_hops else "")
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 printed, 2 wrong usage."""
    report(tyro.cli(CostSettings, prog="posetalk bench cost", args=arguments))
    return 0
