"""The commands, one per file: each is a frozen dataclass of options with a `run()`.

Modules here import nothing heavy, so that `--help` and wrong usage answer at once; `run()` does.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Annotated

import tyro

from posetalk.commands import bench, train
from posetalk.commands.animate import Animate
from posetalk.commands.bench import Bench
from posetalk.commands.dataset import Dataset
from posetalk.commands.devices import Devices
from posetalk.commands.doctor import Doctor
from posetalk.commands.evaluate import Evaluate
from posetalk.commands.export import Export
from posetalk.commands.head import Heads
from posetalk.commands.import_ import Import
from posetalk.commands.live import Live
from posetalk.commands.serve import Serve
from posetalk.commands.style import Style
from posetalk.commands.train import Train
from posetalk.commands.view import View

Command = (
    Live
    | Serve
    | View
    | Animate
    | Devices
    | Doctor
    | Style
    | Dataset
    | Import
    | Evaluate
    | Heads
    | Export
    | Train
    | Bench
)

DESCRIPTION = """Speak, and a 3D face speaks back.

Start with `posetalk live`. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C."""

_COMMANDS = (
    Annotated[Live, tyro.conf.subcommand("live")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Animate, tyro.conf.subcommand("animate")]
    | Annotated[Devices, tyro.conf.subcommand("devices")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Style, tyro.conf.subcommand("style")]
    | Annotated[Heads, tyro.conf.subcommand("head")]
    | Annotated[Dataset, tyro.conf.subcommand("dataset")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
)


def parse(arguments: Sequence[str]) -> Command:
    """The command that `arguments` name, with its options; wrong usage ends with exit code 2."""
    if list(arguments) == ["--version"]:
        print(f"posetalk {importlib.metadata.version('posetalk')}")
        raise SystemExit(0)
    # These two have options of their own for each of what they name, which tyro need not know.
    named: Command | None = None
    if arguments and arguments[0] == "train":
        named = train.parse(arguments[1:])
    elif arguments and arguments[0] == "bench":
        named = bench.parse(arguments[1:])
    if named is not None:
        return named
    command: Command = tyro.cli(
        _COMMANDS,  # type: ignore[arg-type]
        prog="posetalk",
        description=DESCRIPTION,
        args=list(arguments) or ["--help"],
        config=(
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.OmitArgPrefixes,
            tyro.conf.OmitSubcommandPrefixes,
        ),
        console_outputs=True,
    )
    return command
