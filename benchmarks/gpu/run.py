"""`posetalk bench gpu`: the whole proof on one card, part by part, written as it comes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from benchmarks.gpu.card import Card
from benchmarks.gpu.goals import table
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.harness.processes import BenchmarkError
from head.files.json_file import write_json

TOYS = "Without a GPU these are toys on the CPU: the last line alone means what it says.\n"


@dataclass(frozen=True)
class Gpu:
    """Prove the path on a GPU, in at most so many seconds; prints it, and writes JSON as it comes.

    Figures that the file has already are not measured again, so an interrupted proof goes on where
    it was. Without a GPU the same code runs at toy size on the CPU, which proves the code alone.
    """

    output: Annotated[Path, tyro.conf.arg(metavar="OUT.json")] = Path("gpu.json")
    """Figures; those that are in it are kept."""
    parts: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PART ...")] = tuple(PARTS)
    """Which of them."""
    seconds: Annotated[float, tyro.conf.arg(metavar="N")] = 480.0
    """No figure is begun after that; the next time goes on with it."""
    gpu: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Which GPU, counted from 0."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if every part that was run is whole."""
    options = tyro.cli(Gpu, args=arguments, prog="posetalk bench gpu")
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        raise BenchmarkError(f"no part {unknown[0]!r}: choose of {', '.join(PARTS)}")
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        card = Card(Path(folder), options.gpu)
        found = _read(options.output, _machine(card))
        for name in options.parts:
            if found["parts"].get(name, {}).get("state") != "done":
                _run(name, PARTS[name], card, found, options.output, until)
    figures = {name: part["figures"] for name, part in found["parts"].items()}
    print(f"\n{table(figures)}\n" + ("" if card.is_gpu else TOYS))
    states = {name: found["parts"][name]["state"] for name in options.parts}
    print(", ".join(f"{name}: {state}" for name, state in states.items()))
    return 0 if set(states.values()) == {"done"} else 1


def _run(
    name: str, part: Part, card: Card, found: dict[str, Any], output: Path, until: float
) -> None:
    """One part: whatever breaks is a line of its own, and the next part goes on."""
    began = time.monotonic()
    before = found["parts"].get(name, {})
    figures: dict[str, Any] = before.get("figures", {})
    noted: dict[str, Any] = {"state": "out of time", "figures": figures}
    found["parts"][name] = noted
    print(f"{name}: {(part.__doc__ or '').strip()}", flush=True)
    try:
        if began < until:
            for label, measure in part(card):
                if label in figures:
                    continue
                if time.monotonic() > until:
                    break
                figures[label] = measure()
                print(f"  {label}: {_text(figures[label])}", flush=True)
                _write(output, found)
            else:
                noted["state"] = "done"
    except Exception as error:
        noted["state"] = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"  {noted['state']}", flush=True)
    noted["seconds"] = round(before.get("seconds", 0.0) + time.monotonic() - began, 1)
    _write(output, found)


def _machine(card: Card) -> dict[str, Any]:
    """What the figures belong to."""
    if not card.is_gpu:
        return {"card": "none: toy size on the CPU", "torch": torch.__version__}
    return {
        "card": torch.cuda.get_device_name(card.device),
        "capability": list(torch.cuda.get_device_capability(card.device)),
        "torch": torch.__version__,
        "bundle": card.bundles["starter"].hash,
    }


def _read(path: Path, machine: dict[str, Any]) -> dict[str, Any]:
    """Figures that are there, if they are of this machine.

    Raises:
        BenchmarkError: they are of another one, or not figures.
    """
    if not path.exists():
        return {"machine": machine, "parts": {}}
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        known = found["machine"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BenchmarkError(f"{path} holds no figures of this kind: choose another") from None
    if known != machine:
        raise BenchmarkError(f"{path} holds figures of {known['card']}: choose another file")
    return found


def _write(path: Path, found: dict[str, Any]) -> None:
    write_json(path, found)


def _text(figure: Any) -> str:
    if isinstance(figure, dict):
        return ", ".join(f"{name} {_text(value)}" for name, value in figure.items())
    if isinstance(figure, list):
        return " ".join(_text(value) for value in figure)
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)
