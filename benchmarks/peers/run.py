"""Other people's lip synchronisation beside ours, on the same sound: `posetalk bench peers`.

What runs elsewhere comes from npm and PyPI into a folder of its own; what cannot be had says why.
"""

from __future__ import annotations

import concurrent.futures
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.harness.environment import describe, environment
from benchmarks.harness.processes import BenchmarkError
from benchmarks.peers import clips as sound
from benchmarks.peers import ours
from benchmarks.peers.packages import PEERS, Peer, hear, install
from benchmarks.peers.scores import score
from benchmarks.peers.table import told
from head.files.json_file import write_json
from stream.backends.registry import load_backend

CPU_SECONDS = 100.0
"""Of one system in one condition: what it has not heard by then is left out, and told."""
WALL_SECONDS = 3600.0
"""After which a peer hangs."""
LOOKAHEADS = (2, 1, 0)


@dataclass(frozen=True)
class Peers:
    """Hear the same recordings with posetalk and with others, and compare the mouths.

    Needs the project's speech data, node with npm, and a way to both registries.
    """

    folder: Annotated[
        Path, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: .peers)")
    ] = Path(".peers")
    """Where the peers' packages are, or are installed to."""
    closures: Annotated[int, tyro.conf.arg(metavar="N")] = 420
    """P, B and M that the recordings have at least."""
    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 2
    """Peers that run at once."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """File for the figures; benchmarks/results/peers.json is what the page is written from."""

    def run(self) -> int:
        began = time.monotonic()
        result = environment("peers")
        chosen = sound.choose(self.closures)
        folder = self.folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        ready = {peer: _fault(peer, folder) for peer in PEERS}
        with tempfile.TemporaryDirectory() as work:
            rows = self._measure(chosen, folder, ready, Path(work))
        model = load_backend("auto", "starter")
        result["peers"] = {
            "bundle_hash": model.bundle_hash,
            "corpus": sound.CORPUS,
            "speech_dbfs": sound.LEVEL_DB,
            "cpu_limit_s": CPU_SECONDS,
            "seconds": round(time.monotonic() - began, 1),
            "rows": rows,
        }
        print("\n".join(describe(result)) + "\n")
        print("\n".join(told(result)))
        if self.json is not None:
            write_json(self.json, result)
        return 0

    def _measure(
        self, chosen: Sequence[Any], folder: Path, ready: dict[Peer, Any], work: Path
    ) -> list[dict[str, Any]]:
        """A row for each system and condition."""
        rows: list[dict[str, Any]] = []
        examples = sound.examples(work) if not isinstance(_of(ready, "wlipsync"), str) else []
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            waiting = []
            heard: dict[str, list[sound.PeerClip]] = {}
            for number, (condition, snr) in enumerate(sound.CONDITIONS.items()):
                clips = [sound.clip_of(utterance, snr) for utterance in chosen]
                heard[condition] = clips
                place = work / str(number)
                place.mkdir()
                files = [sound.write(clip, place) for clip in clips]
                for peer, fault in ready.items():
                    job = {
                        "clips": files,
                        "cpu_limit": CPU_SECONDS,
                        "examples": examples,
                        "out": str(place / f"{peer.name}.json"),
                    }
                    waiting.append((peer, condition, pool.submit(_hear, peer, fault, folder, job)))
            for peer, condition, future in waiting:
                row = {"system": peer.told, "live": peer.live, "condition": condition}
                try:
                    rows.append({**row, **_scored(future.result(), heard[condition])})
                except BenchmarkError as error:
                    rows.append({**row, "not_run": str(error)})
        model = load_backend("auto", "starter")
        for condition, clips in heard.items():
            own = {
                f"posetalk, lookahead {ahead}": ours.posetalk(model, clips, ahead)
                for ahead in LOOKAHEADS
            }
            own["loudness follower"] = ours.loudness(clips)
            for system, made in own.items():
                row = {"system": system, "live": True, "condition": condition}
                rows.append({**row, **_scored(made, clips)})
        return rows


def _hear(peer: Peer, fault: str | None, folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    if fault is not None:
        raise BenchmarkError(fault)
    return hear(peer, folder, job, WALL_SECONDS)


def _scored(made: dict[str, Any], clips: Sequence[sound.PeerClip]) -> dict[str, Any]:
    """The figures of a system."""
    share = made.get("cpu_share", made.get("cpu_s", 0.0) / max(made["seconds"], 1e-9))
    return {**score(clips, made["clips"]), "cpu_share": share}


def _fault(peer: Peer, folder: Path) -> str | None:
    """Why a peer cannot be had; None where it can."""
    try:
        install(peer, folder)
    except BenchmarkError as error:
        return str(error)
    return None


def _of(ready: dict[Peer, Any], name: str) -> Any:
    return next(fault for peer, fault in ready.items() if peer.name == name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    return tyro.cli(Peers, prog="posetalk bench peers", args=arguments).run()


if __name__ == "__main__":
    raise SystemExit(main())
