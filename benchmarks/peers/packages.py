"""Where the peers come from: packages of npm and PyPI, in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.processes import BenchmarkError

HERE = Path(__file__).parent
INSTALL_SECONDS = 600.0


@dataclass(frozen=True)
class Peer:
    """One system: its package, its version, where it is from, and what it is."""

    name: str
    package: str
    version: str
    registry: str
    live: bool
    license: str

    @property
    def told(self) -> str:
        """Its name and version, as the table has them."""
        return f"{self.name} {self.version}"


PEERS = (
    Peer("rhubarb", "rhubarb-lip-sync-wasm", "0.1.8", "npm", False, "MIT"),
    Peer("headaudio", "@met4citizen/headaudio", "0.1.0", "npm", True, "MIT"),
    Peer("wlipsync", "wlipsync", "1.3.1", "npm", True, "MIT"),
    Peer("wawa", "wawa-lipsync", "0.0.2", "npm", True, "MIT"),
    Peer("pocketsphinx", "pocketsphinx", "5.1.1", "PyPI", True, "BSD-2-Clause"),
    Peer("pylipsync", "pylipsync", "0.2.1", "PyPI", False, "MIT"),
)
"""The slowest first."""


def install(peer: Peer, folder: Path) -> None:
    """Have a peer's package in the folder, by npm or pip.

    Raises:
        BenchmarkError: it cannot be had; one line with the reason.
    """
    mark = folder / f"{peer.name}-{peer.version}"
    if mark.exists():
        return
    wanted = {"npm": f"{peer.package}@{peer.version}", "PyPI": f"{peer.package}=={peer.version}"}
    if peer.registry == "npm":
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        _run([*command, wanted["npm"]], INSTALL_SECONDS)
    else:
        if not python(folder).exists():
            _run([sys.executable, "-m", "venv", str(folder / "python")], INSTALL_SECONDS)
        command = [str(python(folder)), "-m", "pip", "install", "-q", "numpy"]
        _run([*command, wanted["PyPI"]], INSTALL_SECONDS)
    mark.touch()


def python(folder: Path) -> Path:
    """The interpreter that has the packages of PyPI."""
    return folder / "python" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def hear(peer: Peer, folder: Path, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What a peer makes of a job's clips, see `peers.mjs`.

    Raises:
        BenchmarkError: it fails; one line with its own words.
    """
    out = Path(str(job["out"]))
    asked = out.with_suffix(".job.json")
    asked.write_text(json.dumps({**job, "system": peer.name, "packages": str(folder)}), "utf-8")
    if peer.registry == "npm":
        _run(["node", str(HERE / "peers.mjs"), str(asked)], seconds)
    else:
        _run([str(python(folder)), str(HERE / "python_peers.py"), str(asked)], seconds)
    done: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return done


def _run(command: Sequence[str], seconds: float) -> None:
    """Run a program to its end; raises BenchmarkError with the last line that it wrote."""
    variables = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    variables.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=variables, check=False
        )
    except FileNotFoundError:
        raise BenchmarkError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{Path(command[0]).name} took more than {seconds:.0f} s") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"code {done.returncode}"]
        told = next((line for line in words if "rror" in line), words[-1])
        raise BenchmarkError(f"{Path(command[0]).name}: {told.strip()[:160]}")
