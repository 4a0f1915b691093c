"""Wrong usage is answered in one line with one exit code, and help in words of people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli import call

from posetalk.commands import NAMES
from posetalk.commands.models.train import PARTS
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
