"""Held-out clips: which of a set are taken."""

from __future__ import annotations

from typing import Any

import pytest

from training.evaluation import heldout


def test_clips_are_spread_evenly_over_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    titled = next(iter(heldout.TITLED_SETS))
    monkeypatch.setattr(heldout, "_found", lambda sets: list(range(11)))
    monkeypatch.setattr(heldout, "disturbed", lambda one, number, *_: (one, number))
    condition: Any = None
    clips: Any = heldout.clips_of(titled, condition, 3)
    assert clips == [(0, 0), (5, 1), (10, 2)]
    clips = heldout.clips_of(titled, condition, 99)
    assert [one for one, _ in clips] == list(range(11)), "no clip twice"
