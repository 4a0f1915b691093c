"""Pages and help name commands, never the paths of modules, so that paths may change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "clients").rglob("*.md")]
PAGES += [ROOT / "benchmarks" / "results" / "README.md", ROOT / "training/starter/model_card.md"]
MODULE = re.compile(r"python3? (?:-P )?-m\s+(?:training|benchmarks|export|viewer|head)\.\w+")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_commands(page: Path) -> None:
    assert not MODULE.findall(page.read_text("utf-8"))


def test_commands_name_commands() -> None:
    for folder in ("posetalk", "training", "export", "viewer"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not MODULE.findall(path.read_text("utf-8")), path
