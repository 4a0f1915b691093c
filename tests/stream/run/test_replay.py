"""A live run again: its merges are made where they were."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream.backends.fake import FakeBackend
from stream.core.session import Session
from stream.run.live_loop import replay


def test_merges_of_two_and_three_hops_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(FakeBackend())
    made: list[int] = []
    step: Callable[[int], object] = session.step

    def noted(hops: int = 1) -> object:
        made.append(hops)
        return step(hops)

    monkeypatch.setattr(session, "step", noted)
    first = session.lookahead
    merges = [(first + 2 * session.hop, 2), (first + 6 * session.hop, 3)]
    replay(session, np.zeros(640 * (first + 8 * session.hop), np.float32), merges)
    assert made[:4] == [2, 1, 3, 1]
