"""The commands, one per file: each is a frozen dataclass of options with a `run()`.

Modules here import nothing heavy, so that `--help` and wrong usage answer at once; `run()` does.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import Annotated, get_args, get_type_hints

import tyro

from posetalk.commands import bench
from posetalk.commands.animate import Animate
from posetalk.commands.bench import Bench
from posetalk.commands.deploy import Deploy
from posetalk.commands.devices import Devices
from posetalk.commands.doctor import Doctor
from posetalk.commands.head import Heads
from posetalk.commands.live import Live
from posetalk.commands.models import train
from posetalk.commands.models.dataset import Dataset
from posetalk.commands.models.evaluate import Evaluate
from posetalk.commands.models.export import Export
from posetalk.commands.models.import_ import Import
from posetalk.commands.models.train import Train
from posetalk.commands.serve import Serve
from posetalk.commands.style import Style
from posetalk.commands.track import Track
from posetalk.commands.view import View
from posetalk.terminal.console import UsageError
from posetalk.terminal.exit_codes import DONE, FAILED, INTERRUPTED, TERMINATED, WRONG_USAGE
from posetalk.terminal.tyro_options import in_one_line, options_of

Command = (
    Live
    | Serve
    | Deploy
    | View
    | Animate
    | Devices
    | Doctor
    | Style
    | Track
    | Dataset
    | Import
    | Evaluate
    | Heads
    | Export
    | Train
    | Bench
)

DESCRIPTION = f"""Speak, and a 3D face speaks back.

Start with `posetalk live`. `posetalk COMMAND --help` tells a command's options.

Exit codes: {DONE} done, {FAILED} failed, {WRONG_USAGE} wrong usage, {INTERRUPTED} interrupted
(Ctrl-C), {TERMINATED} terminated.

Windows and macOS ask for the microphone in their privacy settings, and draw on a desktop only;
Linux draws without a display, too. On Windows nothing ends with {TERMINATED}: a process that is
ended there is not told."""

_COMMANDS = (
    Annotated[Live, tyro.conf.subcommand("live")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Deploy, tyro.conf.subcommand("deploy")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Animate, tyro.conf.subcommand("animate")]
    | Annotated[Devices, tyro.conf.subcommand("devices")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Style, tyro.conf.subcommand("style")]
    | Annotated[Track, tyro.conf.subcommand("track")]
    | Annotated[Heads, tyro.conf.subcommand("head")]
    | Annotated[Dataset, tyro.conf.subcommand("dataset")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
)


def _named(union: object) -> dict[str, type]:
    """The classes of a union of sub-commands, by the names they are called by."""
    return {option.__metadata__[0].name: option.__origin__ for option in get_args(union)}


NAMES = tuple(_named(_COMMANDS))


def check_names(arguments: Sequence[str]) -> None:
    """Answer a mistyped command, or a command's mistyped action, with the nearest there is.

    Raises:
        UsageError: there is no such command, or no such action.
    """
    said, there = "posetalk", _named(_COMMANDS)
    for name in arguments[:2]:
        if name.startswith("-") or not there:
            return
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            meant = f"did you mean `{said} {near[0]}`?" if near else f"there are {', '.join(there)}"
            raise UsageError(f"no command `{said} {name}`; {meant}")
        said, hints = f"{said} {name}", get_type_hints(there[name], include_extras=True)
        there = _named(hints["action"]) if "action" in hints else {}


def named_options(arguments: Sequence[str]) -> Iterator[str]:
    """The options of the command, or of its action, that `arguments` name."""
    there, command = _named(_COMMANDS), None
    for name in arguments[:2]:
        if name not in there:
            break
        command = there[name]
        hints = get_type_hints(command, include_extras=True)
        there = _named(hints["action"]) if "action" in hints else {}
    if command is not None:
        yield from options_of(command)


def parse(arguments: Sequence[str]) -> Command:
    """The command that `arguments` name, with its options.

    Raises:
        SystemExit: help, or the version.
        UsageError: there is no such command, or its options are wrong.
    """
    with in_one_line(lambda: named_options(arguments)):
        return _parse(arguments)


def _parse(arguments: Sequence[str]) -> Command:
    if list(arguments) == ["--version"]:
        print(f"posetalk {importlib.metadata.version('posetalk')}")
        raise SystemExit(0)
    check_names(arguments)
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
