"""Where and with what a figure was measured."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from stream.backends.threads import usable_cores

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "posetalk",
    "numpy",
    "torch",
    "onnxruntime",
    "websockets",
    "sounddevice",
    "pyrender",
    "av",
)
FORMAT = 2
_WRITTEN = (":!benchmarks/results", ":!docs/performance.md")


def environment(kind: str) -> dict[str, Any]:
    """The head of a results file: machine, versions, revision, load of this moment."""
    return {
        "kind": kind,
        "format": FORMAT,
        "time": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "machine": machine(),
        "versions": versions(),
        "revision": revision(),
    }


def machine() -> dict[str, Any]:
    """CPU, cores, memory, system, and the load average now."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "memory_gb": memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": load_average(),
    }


def cpu_name() -> str:
    """The processor's own name for itself, with family and model where it says little."""
    with contextlib.suppress(OSError):
        fields: dict[str, str] = {}
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
        if "model name" in fields:
            detail = ", ".join(
                f"{word} {fields[key]}"
                for word, key in (("family", "cpu family"), ("model", "model"))
                if key in fields
            )
            return f"{fields['model name']} ({detail})" if detail else fields["model name"]
    return platform.processor() or platform.machine()


def memory_gb() -> float | None:
    """Memory of the machine."""
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return None


def load_average() -> list[float] | None:
    """The load average over 1, 5 and 15 minutes: above the free cores, figures suffer."""
    with contextlib.suppress(OSError, AttributeError):
        return [round(value, 2) for value in os.getloadavg()]
    return None


def versions() -> dict[str, str]:
    """Python and the packages that matter, those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def revision() -> str | None:
    """Git revision of the code, with `+` if it was changed since; None outside a checkout.

    What the benchmarks themselves write is not code.
    """
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_WRITTEN)
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def describe(head: dict[str, Any]) -> list[str]:
    """The head of a results file as lines for people."""
    m = head["machine"]
    load = ", ".join(f"{value:.2f}" for value in m["load_average"] or ()) or "unknown"
    memory = "" if m["memory_gb"] is None else f", {m['memory_gb']:g} GB"
    return [
        f"{m['cpu']}, {m['cores']} cores{memory}, {m['system']}; load at the start {load}",
        f"revision {head['revision'] or 'unknown'}; "
        + ", ".join(f"{name} {version}" for name, version in head["versions"].items()),
        head["time"],
    ]
