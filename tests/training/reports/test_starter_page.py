"""The starter's page keeps what a run of the report did not measure anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.reports import starter_report

PAGE = "# Page\n\n## The reverse\n\nher sentences\n\n### more\n\n## Real faces\n\ntable\n"


def test_a_section_ends_where_the_next_one_begins() -> None:
    assert starter_report.section(PAGE, "The reverse") == [
        "## The reverse\n\nher sentences\n\n### more"
    ]
    assert starter_report.section(PAGE, "Real faces") == ["## Real faces\n\ntable"]
    assert starter_report.section(PAGE, "Real") == []


@pytest.mark.parametrize("title", ["The reverse", "Real faces"])
def test_the_page_that_ships_has_the_sections_that_are_kept(title: str) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "starter.md").read_text("utf-8")
    (found,) = starter_report.section(page, title)
    assert "| known voice" in found if title == "The reverse" else "FACEGOOD" in found
    assert found.count("\n## ") == 0
