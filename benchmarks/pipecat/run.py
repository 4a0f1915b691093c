"""`posetalk bench pipecat`: a pipeline over WebRTC, and a browser that draws its voice's face.

The example of clients/pipecat: flite, the starter, Pipecat's small WebRTC transport, its page.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from benchmarks.harness import marked_page
from benchmarks.harness.environment import describe, environment
from benchmarks.pages.tables import table, where
from benchmarks.pipecat.browser import bot_page, interrupt, speak
from benchmarks.pipecat.judging import Step
from diffposetalk.bundle.bundle import load_bundle
from head.files.json_file import write_json
from head.new_file import new_file

RESULTS = Path("benchmarks/results/pipecat.json")
PAGE = Path("docs/pipecat.md")
MEDIAN_BAR_MS, P95_BAR_MS, CLOSE_BAR_MS = 40.0, 80.0, 120.0
"""What is asked: between lips and sound, and from an interruption to a shut mouth."""


@dataclass(frozen=True)
class Pipecat:
    """Measure lips and sound of a Pipecat pipeline in a browser; prints it, and writes JSON.

    Needs the extra `pipecat`, flite and Chromium.
    """

    parts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[page]")] = ()
    """`page`: nothing is measured, docs/pipecat.md is filled."""
    utterances: Annotated[int, tyro.conf.arg(metavar="N")] = 4
    """That are spoken."""
    interruptions: Annotated[int, tyro.conf.arg(metavar="N")] = 20
    """That cut it."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there."""

    def run(self) -> None:
        """Measure, or fill the page."""
        if self.parts:
            found = json.loads((self.json or RESULTS).read_text("utf-8"))
            text = marked_page.fill(
                PAGE.read_text("utf-8"), "pipecat", {"step": lines}, {"step": found}
            )
            with new_file(PAGE) as path:
                path.write_text(text, "utf-8")
            print(f"wrote {PAGE}")
            return
        results = environment("pipecat") | {"bundle_hash": load_bundle("starter").hash}
        print("\n".join(describe(results)), flush=True)
        with tempfile.TemporaryDirectory() as folder, bot_page(Path(folder)) as tab:
            steps = [speak(tab) for _ in range(self.utterances)]
            closed = [interrupt(tab, when) for when in np.linspace(0.5, 4.2, self.interruptions)]
        results |= figures(steps, closed)
        print({name: results[name] for name in figures(steps, closed)})
        if self.json is not None:
            write_json(self.json, results)


def figures(steps: Sequence[Step], closed: Sequence[float]) -> dict[str, Any]:
    """Of all utterances and interruptions, in milliseconds."""
    off = 1000 * np.concatenate([step.off for step in steps])
    return {
        "utterances": len(steps),
        "pictures": len(off),
        "pictures_a_second": float(np.mean([step.pictures_a_second for step in steps])),
        "off_ms": {
            "mean": float(off.mean()),
            "median": float(np.median(np.abs(off))),
            "p95": float(np.quantile(np.abs(off), 0.95)),
        },
        "closed_ms": sorted(round(each, 1) for each in closed),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The part of docs/pipecat.md that is measured."""
    off, closed = found["off_ms"], found["closed_ms"]
    rows = [
        ("between lips and sound, median", MEDIAN_BAR_MS, off["median"]),
        ("95 of 100 pictures within", P95_BAR_MS, off["p95"]),
        (f"from an interruption to a shut mouth, most of {len(closed)}", CLOSE_BAR_MS, closed[-1]),
    ]
    yield table(
        ("milliseconds", "asked", "measured", ""),
        [
            (name, f"<= {bar:.0f}", f"{got:.0f}", "reached" if got <= bar else "**missed**")
            for name, bar, got in rows
        ],
    )
    yield (
        f"{found['utterances']} utterances, {found['pictures']} pictures, "
        f"{found['pictures_a_second']:.0f} a second; lips {abs(off['mean']):.0f} ms "
        f"{'before' if off['mean'] > 0 else 'after'} the sound on average; a mouth shut after "
        f"{closed[len(closed) // 2]:.0f} ms in the middle case.\n"
    )
    yield where(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """`posetalk bench pipecat`."""
    tyro.cli(
        Pipecat,
        prog="posetalk bench pipecat",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    ).run()
    return 0
