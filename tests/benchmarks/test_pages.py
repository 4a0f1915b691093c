"""The pages that commands write: they begin with their title, and are not written of nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_a_page_begins_with_its_title(page: str) -> None:
    first = (DOCS / page).read_text("utf-8").splitlines()[0]
    assert first.startswith("# ") and "<!--" not in first


@pytest.mark.parametrize("arguments", [["page"], ["results", "--folder", "figures"]])
def test_without_figures_a_page_that_is_there_stays(tmp_path: Path, arguments: list[str]) -> None:
    page, plot = tmp_path / "page.md", tmp_path / "performance" / "stages.svg"
    plot.parent.mkdir()
    for path in (page, plot):
        path.write_text("what was measured", "utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks", *arguments, "-o", str(page)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "no figures to write of" in done.stderr
    assert {path.read_text("utf-8") for path in (page, plot)} == {"what was measured"}
