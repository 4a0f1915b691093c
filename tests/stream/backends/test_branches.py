"""Guidance's branches are equation 10 of the paper, for any scales."""

from __future__ import annotations

import os

import numpy as np
import pytest

from stream.backends.branches import BRANCHES
from stream.backends.threads import usable_cores


@pytest.mark.parametrize("named", BRANCHES)
def test_branches_add_up_to_the_papers_guidance(named: tuple[bool, bool]) -> None:
    audio, style = 1.4 if named[0] else 1.0, 2.3 if named[1] else 1.0
    wanted = {(0, 0): 1.0 - audio, (1, 0): audio - style, (1, 1): style}
    if not named[0]:
        wanted = {(1, 0): 1.0 - style, (1, 1): style}
    if not named[1]:
        wanted = {(0, 1): 1.0 - audio, (1, 1): audio}
    wanted = {gives: weight for gives, weight in wanted.items() if named != (False, False)} or {
        (1, 1): 1.0
    }
    found = {
        gives: float(np.dot(weights, (1.0, audio, style))) for gives, weights in BRANCHES[named]
    }
    assert found == pytest.approx(wanted)


def test_a_system_that_counts_no_cores_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
