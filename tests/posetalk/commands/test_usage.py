"""Wrong usage is answered in one line with one exit code, and help in words of people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from cli import call

from benchmarks.__main__ import main as run_benchmark
from posetalk.commands import _COMMANDS, NAMES, _named, parse
from posetalk.commands.models.train import PARTS
from posetalk.terminal.console import UsageError
from posetalk.terminal.exit_codes import MEANINGS

ROOT = Path(__file__).resolve().parents[3]
ACTIONS = {
    "style": ("extract", "list"),
    "head": ("import", "list", "show", "arkit"),
    "dataset": ("build", "check"),
}


def test_the_page_has_the_table_of_exit_codes() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))
    assert rows == {str(code): meaning for code, meaning in MEANINGS.items()}


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["liev"], "no command `posetalk liev`; did you mean `posetalk live`?"),
        (["doktor", "--json"], "did you mean `posetalk doctor`?"),
        (["head", "imprt", "x"], "no command `posetalk head imprt`; did you mean `posetalk head "),
        (["dance"], "there are live, serve, deploy, view"),
    ],
)
def test_a_mistyped_command_is_answered_with_the_nearest(
    arguments: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, messages = call(arguments, capsys)
    assert code == 2 and not output
    assert messages.startswith("posetalk: ") and messages.count("\n") == 1
    assert answer in messages


@pytest.mark.parametrize("command", [*NAMES, *(f"{c} {a}" for c in ACTIONS for a in ACTIONS[c])])
def test_no_help_shows_a_value_of_the_language(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, _ = call([*command.split(), "--help"], capsys)
    assert code == 0
    assert not re.search(r"\bNone\b|\{None|\bTrue\b|\bFalse\b|PosixPath", output)
    assert "(default: )" not in output


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_the_training_shows_none(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = call(["train", part, "--help"], capsys)
    assert code == 0 and "None" not in output


def test_the_help_names_the_systems_where_they_differ(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["doctor", "--help"]):
        _, output, _ = call(arguments, capsys)
        assert "Windows" in output and "macOS" in output


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["live", "--camera", "feet"], "--camera feet: choose head, bust or profile"),
        (["live", "--livelink-fps", "7"], "--livelink-fps 7: choose 25, 30 or 60"),
        (["animate", "demo", "--precision", "fp7"], "--precision fp7: choose fp32, bf16"),
        (["animate", "demo", "--fps", "24.5"], "--fps 24.5: give a whole number"),
        (["serve", "--seed", "one"], "--seed one: give a whole number"),
        (["live", "--seconds", "soon"], "--seconds soon: give a number"),
        (["live", "--seed"], "--seed needs a value: N"),
        (["live", "--camara", "head"], "no option --camara; did you mean --camera?"),
        (["live", "--nonsense"], "no option --nonsense; --help lists them"),
        (["live", "demo"], "demo: nothing is to stand there"),
        (["style"], "say what to do: extract or list"),
        (["head", "paint", "mira"], "give --name NAME and --colours PART=#RRGGBB"),
        (["bench", "speed"], "no `posetalk bench speed`; there are throughput, gpu,"),
        (["train", "labels", "--nonsense"], "no option --nonsense"),
    ],
)
def test_wrong_options_are_one_line_that_says_what_is_allowed(
    arguments: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, messages = call(arguments, capsys)
    assert code == 2 and not output
    assert messages.startswith(f"posetalk: {answer}") and messages.count("\n") == 1, messages


REQUIRED = {
    "style extract": ["-o", "a.npz"],
    "track": ["a.mp4", "-o", "a.npz"],
    "head import": ["a.pkl"],
    "head show": ["mira"],
    "head arkit": ["mira"],
    "dataset build": ["films", "-o", "built"],
}
"""What must be given for options to be read at all."""


def choices_and_numbers(command: type) -> Iterator[str]:
    """The options of a command that do not take every text."""
    for name, hint in get_type_hints(command).items():
        kinds = {hint, *get_args(hint)}
        for part in kinds:
            if is_dataclass(part):
                yield from choices_and_numbers(part)
        if str not in kinds and (get_origin(hint) is Literal or kinds & {int, float}):
            yield "--" + name.replace("_", "-")


@pytest.mark.parametrize("command", [name for name in NAMES if name not in ("train", "bench")])
def test_no_option_takes_what_it_cannot_be(command: str) -> None:
    there = _named(_COMMANDS)[command]
    hints = get_type_hints(there, include_extras=True)
    actions = _named(hints["action"]) if "action" in hints else {"": there}
    for action, options in actions.items():
        for option in choices_and_numbers(options):
            with pytest.raises(UsageError) as caught:
                said = f"{command} {action}".strip()
                parse([*said.split(), *REQUIRED.get(said, []), option, "wr=ong"])
            line = str(caught.value)
            assert re.match(rf"{option} wr=ong: (choose|give) [^\n]+$", line), line


def test_a_benchmark_says_it_in_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, answer in (
        (["page", "--nonsense"], "posetalk bench page: no option --nonsense; --help lists them"),
        (["head-sheet", "--size", "small"], "argument --size: invalid int value: 'small'"),
    ):
        assert run_benchmark(arguments) == 2
        messages = capsys.readouterr().err
        assert answer in messages and messages.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["animate", "demo", "--precision", "fp7"],
        ["animate", "demo", "--sampler", "euler"],
        ["evaluate", "--report", "all"],
    ],
)
def test_a_wrong_choice_lists_what_there_is_and_no_value_of_the_language(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = call(wrong, capsys)
    assert code == 2 and wrong[-1] in said and "None" not in said
