"""`posetalk bench a2f` from end to end, with the fake backend, and its part of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.latency.a2f_streams import main
from benchmarks.pages.performance import page, read_results

pytestmark = pytest.mark.extra("a2f")


def test_streams_are_measured_and_shown(tmp_path: Path) -> None:
    out = tmp_path / "a2f.json"
    options = ["--streams", "2", "--seconds", "1", "--clip", "1", "--backend", "fake"]
    assert main([*options, "--json", str(out)]) == 0
    [run] = json.loads(out.read_text("utf-8"))["at_once"]
    assert run["clips"] >= 2 and run["frames"] == {"expected": 25 * run["clips"]} | {
        "received": 25 * run["clips"]
    }
    # A frame cannot be there before the sound of its lookahead was sent.
    assert run["first_frame_ms"]["p50"] >= 40.0 and run["age_ms"]["p50"] >= 20.0
    text = page(read_results([out]))
    assert "## Audio2Face-3D clients" in text and f"| 2 | {run['clips']} |" in text
