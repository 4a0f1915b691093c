"""Pages and help name commands, never the paths of modules, so that paths may change; and what a
page has typed can be typed: every option is there, every revision, every file."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tyro

from benchmarks.latency.bench import BenchLatency
from posetalk.commands import parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "clients").rglob("*.md")]
PAGES += [ROOT / "benchmarks" / "results" / "README.md", ROOT / "training/starter/model_card.md"]
PAGES += [ROOT / "diffposetalk" / "bundles" / "starter" / "MODEL_CARD.md"]
MODULE = re.compile(r"python3? (?:-P )?-m\s+(?:training|benchmarks|export|viewer|head)\.\w+")
NAMED = re.compile(r"\.\.\.|\[|\$\(")
"""What a page leaves open: such a line is not what is typed."""
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@BY_PAGE
def test_a_page_names_commands(page: Path) -> None:
    assert not MODULE.findall(page.read_text("utf-8"))


def test_commands_name_commands() -> None:
    for folder in ("posetalk", "training", "export", "viewer"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not MODULE.findall(path.read_text("utf-8")), path


def typed(page: Path) -> Iterator[list[str]]:
    """The words of each command that stands on a line of its own."""
    text = re.sub(r"\\\n\s*", " ", page.read_text("utf-8"))
    for line in re.findall(r"^    +(?:\w+=\S+ )*((?:posetalk|bench-latency) .*)$", text, re.M):
        command = re.split(r" #| \| | > | && ", line)[0]
        if not NAMED.search(command):
            yield shlex.split(command)


@BY_PAGE
def test_what_a_page_has_typed_can_be_typed(page: Path) -> None:
    for program, *arguments in typed(page):
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                if program == "posetalk":
                    parse(arguments)
                else:
                    off = tyro.conf.FlagCreatePairsOff
                    tyro.cli(BenchLatency, args=arguments, config=(off,))
        except SystemExit as end:
            assert not end.code, f"{program} {shlex.join(arguments)}: {said.getvalue()}"


def test_the_pages_have_commands() -> None:
    assert sum(1 for page in PAGES for _ in typed(page)) > 80


def test_every_revision_to_go_back_to_is_in_the_history() -> None:
    git = ["git", "-C", str(ROOT)]
    try:
        shallow = subprocess.check_output([*git, "rev-parse", "--is-shallow-repository"], text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not run: this is no git checkout")
    if shallow.strip() == "true":
        pytest.skip("not run: the history is cut off")
    wanted = re.findall(r"git checkout (\w+)", (ROOT / "docs" / "training.md").read_text("utf-8"))
    assert len(wanted) > 8
    for revision in wanted:
        found = subprocess.run([*git, "merge-base", "--is-ancestor", revision, "HEAD"])
        assert revision == "main" or found.returncode == 0, f"git checkout {revision}"


@BY_PAGE
def test_files_of_ours_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for name in re.findall(r"`([\w./-]+/[\w-]+\.(?:py|js|json|toml|md|npz))`", text):
        house = name.partition("/")[0]
        if (ROOT / house).is_dir():
            assert (ROOT / name).exists(), name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists() or (ROOT / target).exists(), target
