"""The page shows each frame as it was sent, in its order and at its time; and the judge notices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
from browser_page import LOUD, Avatar, avatar, complaints, tabs
from page_frames import NOTE, WIRE, judge, judge_against, watched, witness

from benchmarks.harness.chromium import Tab, Tabs, browser_program

__all__ = ["avatar", "tabs"]  # fixtures

pytestmark = pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")

BREAKS = {
    "drops frames": (
        "none is lost|at sample",
        "const push = playout.push.bind(playout); let k = 0;"
        "playout.push = (...rest) => ++k % 3 && push(...rest);",
    ),
    "loses what the link gets": (
        "none is lost",
        "const tell = link.tell.bind(link); let k = 0;"
        "link.tell = (name, ...rest) => (name !== 'frame' || ++k % 3) && tell(name, ...rest);",
    ),
    "reorders frames": (
        "at sample",
        "const push = playout.push.bind(playout); let before = null;"
        "playout.push = (sample, values, now) => {"
        "  push(sample, before ?? values, now); before = values; };",
    ),
    "freezes a face": (
        "at sample",
        "const at = playout.at.bind(playout); let kept = null;"
        "playout.at = (now) => { const is = at(now); kept ??= is && [...is.values];"
        "  return is && { ...is, values: new Float32Array(kept) }; };",
    ),
    "stands still in time": (
        "it does not lag|at sample",
        "const at = playout.at.bind(playout); let kept = null;"
        "playout.at = (now) => { kept ??= at(now);"
        "  return kept && { ...kept, values: new Float32Array(kept.values) }; };",
    ),
    "lags": (
        "it does not lag",
        "const at = playout.at.bind(playout);playout.at = (now) => at(now - 0.3);",
    ),
    "draws what is not due": (
        "the picture is of what is due",
        "const { rig } = face, pose = rig.pose.bind(rig);"
        "const show = face.show.bind(face);"
        "face.show = (at, now) => { show(at, now); rig.pose(face.values.map((v) => 0.9 * v)); };",
    ),
    "draws no other lips": ("metres between the lips", "face.rig.pose = () => {};"),
}
"""Pages that are wrong: what the judge says of them, and what is done to them."""


@contextlib.contextmanager
def page_on_the_wire(tabs: Tabs, avatar: Avatar) -> Iterator[Tab]:
    """A small tab whose page gets frames of loud speech, all of which are written down."""
    with tabs() as tab:
        tab.size(160, 120)
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=WIRE)
        tab.open(avatar.server.page_url)
        tab.until("window.posetalk && posetalk.face.shown > 0 && posetalk.link.state === 'live'")
        tab.until("posetalk.face.playout.frames.length > 0")
        yield tab


def speak(tab: Tab, avatar: Avatar) -> None:
    """Have speech of changing loudness spoken until enough was drawn."""
    loud = np.concatenate([LOUD * part for part in (1.0, 0.1, 0.6, 0.02)])
    while avatar.source.waiting < 16000 * 50:
        avatar.source.push(loud.astype(np.float32))
    tab.until("drawn.length >= 120 && asked.length > 30 && wire.length > begun + 120")
    avatar.source.interrupt()


def test_the_page_shows_what_was_sent(tabs: Tabs, avatar: Avatar) -> None:
    with page_on_the_wire(tabs, avatar) as tab, witness(avatar.server.url) as frames:
        tab.value(NOTE)
        speak(tab, avatar)
        seen = watched(tab)
        judge(seen)
        assert complaints(tab) == []
    judge_against(seen, frames)
    assert np.ptp(seen.drawn[:, 1]) > 0.002, "the lips moved by millimetres"


@pytest.mark.parametrize("wrong", BREAKS)
def test_a_page_that_is_wrong_is_noticed(tabs: Tabs, avatar: Avatar, wrong: str) -> None:
    says, change = BREAKS[wrong]
    with page_on_the_wire(tabs, avatar) as tab:
        tab.value(
            f"(() => {{ const {{ face, link }} = posetalk, {{ playout }} = face; {change} }})()"
        )
        tab.value(NOTE)
        speak(tab, avatar)
        with pytest.raises(AssertionError, match=says):
            judge(watched(tab))
