"""The panel: who drives the face, OBS, the list of keys; and the face at rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from browser_page import Avatar, avatar, complaints, page, tab, tabs

from benchmarks.harness.chromium import Tab, Tabs, browser_program

__all__ = ["avatar", "tab", "tabs"]  # fixtures

pytestmark = pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")

DRIVER = "document.getElementById('driver').checkVisibility() && " + (
    "document.getElementById('driver').textContent"
)
DIALOG = "document.getElementById('shortcuts')"


def test_the_panel_says_who_drives_the_face(tabs: Tabs) -> None:
    with Avatar(source="demo") as avatar, page(tabs, avatar) as tab:
        assert tab.value(DRIVER) == "the demo speech"
        tab.value("document.getElementById('microphone').click()")
        tab.until(f"{DRIVER} === 'you, through this page'")
        tab.until("posetalk.controls.speak.ready")
        tab.value("document.getElementById('microphone').click()")
        tab.until(f"{DRIVER} === 'the demo speech'")
        assert complaints(tab) == []


def test_nothing_is_said_of_a_driver_that_the_server_does_not_name(tab: Tab) -> None:
    assert not tab.value(DRIVER)


def test_obs_is_told_address_size_and_delay(tab: Tab, avatar: Avatar) -> None:
    tab.size(1280, 800)
    shown = "document.getElementById('obs-section').checkVisibility()"
    said = "document.getElementById('obs-section').innerText"
    address = "document.getElementById('obs-address').value"
    assert not tab.value(shown)
    tab.value("document.getElementById('obs').click()")
    assert tab.value(shown)
    assert tab.value("document.getElementById('obs').getAttribute('aria-expanded')") == "true"
    assert tab.value(address) == f"{avatar.server.page_url}?obs"
    tab.value("document.querySelector('[data-name=bust]').click()")
    assert tab.value(address) == f"{avatar.server.page_url}?obs&camera=bust", "it follows"
    assert "1280 × 720" in tab.value(said)
    tab.until(f"/Audio delay\\s+\\d+0 ms/.test({said})")
    tab.value("document.getElementById('obs-copy').click()")
    notice = "document.getElementById('notice').textContent"
    tab.until(f"/^(Copied|It is marked)/.test({notice})")
    tab.value("document.getElementById('obs').click()")
    assert not tab.value(shown)
    tab.value("localStorage.clear()")
    assert complaints(tab) == []


def test_a_source_that_is_heard_needs_no_delay(tabs: Tabs) -> None:
    with Avatar(sound=True, source="file") as avatar, page(tabs, avatar) as tab:
        tab.value("document.getElementById('obs').click()")
        said = tab.value("document.getElementById('obs-section').innerText")
        assert "none: the source plays the sound" in said
        assert "driven by a recording" in said


def test_what_is_seen_is_chosen_above_how_it_speaks(tab: Tab) -> None:
    tops = json.loads(
        tab.value(
            "JSON.stringify(['cameras', 'backgrounds', 'styles', 'gaze'].map("
            "(id) => document.getElementById(id).getBoundingClientRect().top))"
        )
    )
    assert tops == sorted(tops)


def test_the_list_of_keys_closes_by_escape_and_by_a_click_beside_it(tab: Tab) -> None:
    tab.size(1280, 800)
    open_ = f"{DIALOG}.open"
    tab.press("?")
    tab.until(open_)
    tab.press("Escape")
    tab.until(f"!{open_}")
    tab.value("document.getElementById('help').click()")
    tab.until(open_)
    box = json.loads(tab.value(f"JSON.stringify({DIALOG}.getBoundingClientRect())"))
    tab.click(box["left"] + 6, box["top"] + 6)  # its padding
    tab.click((box["left"] + box["right"]) / 2, (box["top"] + box["bottom"]) / 2)
    assert tab.value(open_), "a click inside leaves it"
    tab.click(box["left"] - 20, (box["top"] + box["bottom"]) / 2)
    tab.until(f"!{open_}")
    assert complaints(tab) == []


FADE = """(() => {
  const { face } = posetalk, jaw = face.rig.channels + 3, begun = performance.now() / 1000;
  const values = new Float32Array(face.values.length).fill(0.2), gone = [];
  face.step = () => {}; // what is shown is asked for here
  face.show({ values, sample: 0, age: 0, time: 0 }, begun);
  for (let at = 0; at < 2; at += 0.02) {
    face.show(FRAME, begun + at);
    gone.push(face.values[jaw]);
  }
  return gone; })()"""


@pytest.mark.parametrize("frame", ["null", "{ values, sample: 0, age: at, time: 0 }"])
def test_a_face_without_frames_goes_to_rest_softly(tab: Tab, frame: str) -> None:
    """Whether the play-out holds its last frame or has been emptied: by a stream that is over."""
    gone = np.array(tab.value(FADE.replace("FRAME", frame)))
    assert gone[0] == pytest.approx(0.2) and gone[-1] == 0
    steps = np.diff(gone)
    assert (steps <= 0).all() and steps.min() > -0.05 * gone[0]


@pytest.mark.parametrize(
    "end", ["", "posetalk.face.playout.reset();"], ids=["out of sight", "over"]
)
def test_it_is_at_rest_when_the_stream_is_over(tabs: Tabs, end: str) -> None:
    """Also where no picture was drawn while it went to rest: a page in the background."""
    with Avatar() as avatar, page(tabs, avatar, (320, 240)) as tab:
        avatar.source.push(np.random.default_rng(0).normal(0, 0.2, 64000).clip(-1, 1).astype("f4"))
        jaw = "posetalk.face.values[posetalk.face.rig.channels + 3]"
        tab.until(f"{jaw} > 0.05")
        tab.value(f"""new Promise((done) => {{
            const {{ face, link }} = posetalk, step = face.step;
            link.socket.onmessage = null; // nothing comes any more
            {end}
            face.step = () => {{}};
            setTimeout(() => {{ face.step = step; done(); }}, 2500);
        }})""")
        tab.until(f"{jaw} === 0", 20)
