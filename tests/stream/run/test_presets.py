"""Presets: how soon the face speaks, by one word."""

from __future__ import annotations

import numpy as np
import pytest

import posetalk
from stream.backends.fake import FakeBackend
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.run.presets import PRESETS, with_preset
from stream.run.push.factory import SessionFactory
from stream.run.scheduler import Scheduler
from stream.wire import session_messages


def test_what_is_set_comes_before_the_preset() -> None:
    assert with_preset("fast", SessionOptions()) == SessionOptions(lookahead=1)
    assert with_preset("fast", SessionOptions(lookahead=3, steps=2)).lookahead == 3
    assert with_preset("careful", SessionOptions(steps=2)) == SessionOptions(lookahead=5, steps=2)
    assert with_preset("default", SessionOptions(hop=4)) == SessionOptions(hop=4)


def test_an_unknown_preset_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'soon': choose fast, default, careful"):
        with_preset("soon", SessionOptions())  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_session_holds_back_what_its_preset_hears_first(preset: str) -> None:
    session = posetalk.Session(backend="fake", preset=preset)  # type: ignore[arg-type]
    lookahead = session.lookahead
    frames = session.feed(np.zeros(640 * 20, np.float32))
    assert len(frames) == (20 - lookahead) // session.hop * session.hop
    assert lookahead == PRESETS[preset].get("lookahead", 2)


def test_a_client_chooses_a_preset_for_its_own_session() -> None:
    backend = FakeBackend()
    options = with_preset("careful", SessionOptions(hop=2))
    factory = SessionFactory(lambda: Scheduler(backend, 2), backend, options, preset="careful")
    assert factory.session(session_messages.Open()).lookahead == 5, "the server's own"
    for name, lookahead in (("fast", 1), ("default", Session(backend).lookahead), ("careful", 5)):
        session = factory.session(session_messages.Open(preset=name))
        assert (session.lookahead, session.hop) == (lookahead, 2)
    with pytest.raises(ValueError, match="no preset 'soon': choose fast, default, careful"):
        factory.session(session_messages.Open(preset="soon"))
