"""`docs/architecture.md` against the disk: the rooms, their sizes, and every file that it names."""

from __future__ import annotations

import re
from pathlib import Path

import draw_tree
import pytest

ROOT = draw_tree.ROOT
MOST_MODULES = 12
PAGES = ("docs/architecture.md", "docs/glossary.md", "docs/api.md", "CONTRIBUTING.md")
THINGS = (
    "a sampler",
    "a speech encoder",
    "a source of sound",
    "a sink",
    "a channel set",
    "a condition",
    "a backend",
    "a head",
    "a file format",
    "an engine client",
    "a metric",
    "a benchmark figure",
    "a training loss",
)


def test_the_drawings_are_the_disk() -> None:
    for page, text in draw_tree.pages().items():
        assert text == page.read_text("utf-8"), f"{page}: python -P tests/draw_tree.py"


def test_every_room_says_what_it_is_for() -> None:
    for room in draw_tree.rooms():
        line = draw_tree.purpose(room)
        assert line[:1].isupper() or line[:1] == "`", room
        assert line.rstrip('"').endswith((".", ":")) or len(line) > 70, room


def test_every_folder_of_code_is_a_room() -> None:
    known = set(draw_tree.rooms())
    for house in draw_tree.HOUSES:
        for module in (ROOT / house).rglob("*.py"):
            assert module.parent in known, f"{module.parent} has no __init__"


def test_no_room_is_crowded() -> None:
    for room in [
        *draw_tree.rooms(),
        *(path for path in (ROOT / "tests").rglob("*") if path.is_dir()),
    ]:
        modules = [path.name for path in room.glob("*.py") if path.name != "__init__.py"]
        name = room.relative_to(ROOT).as_posix()
        assert len(modules) <= MOST_MODULES, f"{name} holds {len(modules)}"


def test_every_question_has_an_answer_with_files() -> None:
    rows = re.findall(
        r"^\| (an? [^|]+) \| (.+) \|$", draw_tree.PAGE.read_text("utf-8"), re.MULTILINE
    )
    answers = {what.partition(" (")[0]: where for what, where in rows}
    assert tuple(answers) == THINGS
    for what, where in answers.items():
        assert re.search(r"`[\w/]+(\.py|/)`", where), what


def test_a_condition_is_no_business_of_what_carries_it() -> None:
    """Sessions, loops and the server pass conditions on as values, whatever they are."""
    carriers = ("scheduler", "scheduled_session", "live_loop", "push/loop", "push/session")
    for path in [ROOT / "stream" / "run" / f"{name}.py" for name in carriers]:
        assert not re.search(r"guidance|\bset_style\b", path.read_text("utf-8")), path
    for name in ("server", "requests", "client/connection", "client/incoming", "broadcast"):
        assert "guidance" not in (ROOT / "stream" / "serve" / f"{name}.py").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", text))
    tops = {path.name for path in ROOT.iterdir()}
    named = {name for name in named if name.partition("/")[0] in tops}
    assert named or page != "docs/architecture.md"
    for name in named:
        assert (ROOT / name).exists(), f"{page} names {name}"
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"
    for names, path in re.findall(r"`(\w+)` (?:of|\()`?([\w/]+\.py)`", text):
        assert re.search(rf"\b{names}\b", Path(ROOT / path).read_text("utf-8")), (
            f"{names} in {path}"
        )


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by their bare names: the second of a name breaks the whole run."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
