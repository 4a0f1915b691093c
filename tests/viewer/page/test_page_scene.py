"""What the page's user chooses: camera, mirror, background, character; and the face alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from browser_page import HEAD, Avatar, avatar, complaints, page, tab, tabs

from benchmarks.harness.chromium import Tab, Tabs, browser_program
from stream.serve.door.http_pages import without_token
from viewer.page.head_file import unpack
from viewer.page.site import make_site
from viewer.scene.framing import CAMERAS

__all__ = ["avatar", "tab", "tabs"]  # fixtures

pytestmark = pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")

PRESS = """
window.press = (key, target = document.activeElement) =>
  target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
"""


def drawn(tab: Tab) -> np.ndarray:
    """(height, width, 4) what the canvas has, drawn now."""
    text = tab.value("""(() => { const { face } = posetalk, { gl, canvas } = face.renderer;
        face.renderer.draw(face.rig.drawn);
        const data = new Uint8Array(4 * canvas.width * canvas.height);
        gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, data);
        let text = ''; for (const value of data) text += String.fromCharCode(value);
        return JSON.stringify([canvas.width, canvas.height, btoa(text)]); })()""")
    width, height, data = json.loads(text)
    flat = np.frombuffer(base64.b64decode(data), np.uint8)
    return flat.reshape(height, width, 4)[::-1].astype(int)


def choose(tab: Tab, name: str) -> None:
    tab.value(f"document.querySelector('[data-name=\"{name}\"]').click()")


@pytest.fixture
def plain(tab: Tab) -> Iterator[Tab]:
    """A tab that forgets afterwards what was chosen, and draws as finely throughout."""
    tab.value(PRESS)
    tab.value("posetalk.face.renderer.fineness = 0.5")  # the coarsest: a slow machine stays there
    yield tab
    tab.value("localStorage.clear()")


def test_the_background_is_what_was_chosen(plain: Tab) -> None:
    tab = plain
    choose(tab, "transparent")
    picture = drawn(tab)
    assert picture[0, 0].tolist() == [0, 0, 0, 0], "nothing there"
    assert picture[picture.shape[0] // 2, picture.shape[1] // 2, 3] == 255
    choose(tab, "#00b140")
    assert np.abs(drawn(tab)[0, 0] - [0, 0xB1, 0x40, 255]).max() <= 1
    tab.value("""new Promise((done) => { const canvas = document.createElement('canvas');
        canvas.width = 40; canvas.height = 20; const pen = canvas.getContext('2d');
        pen.fillStyle = '#204080'; pen.fillRect(0, 0, 40, 20);
        canvas.toBlob(async (blob) => { await posetalk.controls.scene.picture(
          new File([blob], 'sea.png')); done(); }); })""")
    assert np.abs(drawn(tab)[0, 0] - [0x20, 0x40, 0x80, 255]).max() <= 1
    tab.value("posetalk.controls.scene.picture(new File(['no'], 'notes.png'))")
    assert "notes.png is no picture" in tab.value("document.getElementById('notice').textContent")
    assert complaints(tab) == []


def test_cameras_and_the_mirror_show_what_they_say(plain: Tab) -> None:
    tab = plain
    choose(tab, "transparent")
    head = drawn(tab)[..., 3] > 0
    choose(tab, "bust")
    bust = drawn(tab)[..., 3] > 0
    wider = bust.any(axis=0).mean() > head.any(axis=0).mean()
    assert wider or bust[-1].mean() > head[-1].mean()
    assert not bust[0].any() and bust[-1].any(), "shoulders are cut by the picture alone"
    choose(tab, "profile")
    side = drawn(tab)
    tab.value("document.getElementById('mirror').click()")
    mirrored = drawn(tab)
    assert np.abs(mirrored - side).mean() > 5
    assert np.abs(mirrored[:, ::-1, 3] - side[..., 3]).mean() < 1
    tab.value("document.getElementById('mirror').click()")
    choose(tab, "head")


def test_keys_do_what_the_list_says(plain: Tab) -> None:
    tab = plain
    tab.value("press('?')")
    assert tab.value("document.getElementById('shortcuts').open")
    keys = tab.value("document.querySelectorAll('#shortcut-list div').length")
    assert keys >= 10
    tab.value("press('?')")
    assert not tab.value("document.getElementById('shortcuts').open")
    tab.value("press('c', document.body)")
    assert tab.value("posetalk.face.renderer.shot") == "bust"
    tab.value("press('x', document.body)")
    assert tab.value("posetalk.face.renderer.mirrored")
    # One stop of Tab for all chips of a kind; arrows move and choose.
    stops = "document.querySelectorAll('#cameras [tabindex=\"0\"]').length"
    assert tab.value(stops) == 1
    tab.value("document.querySelector('#cameras [tabindex=\"0\"]').focus()")
    tab.value("press('ArrowRight')")
    assert tab.value("document.activeElement.dataset.name") == "profile"
    assert tab.value("posetalk.face.renderer.shot") == "profile"
    tab.value("press('Home')")
    assert tab.value("posetalk.face.renderer.shot") == "head"
    assert tab.value(stops) == 1
    tab.value("document.querySelector('#styles [tabindex=\"0\"]').focus(); press('End')")
    tab.until("document.querySelector('#styles [aria-checked=true]').dataset.name === 'calm'")


def test_the_face_alone_for_a_streaming_program(tabs: Tabs, avatar: Avatar) -> None:
    with tabs() as tab:
        for width, height in ((1920, 1080), (300, 700)):
            tab.size(width, height)
            tab.open(f"{avatar.server.page_url}?obs&camera=bust")
            tab.until("window.posetalk && posetalk.face.shown > 0")
            tab.value("posetalk.face.renderer.fineness = 0.5")
            tab.call("Emulation.setDefaultBackgroundColorOverride", color=dict(r=0, g=0, b=0, a=0))
            tab.until(f"posetalk.face.renderer.canvas.clientWidth === {width}")
            assert tab.value("posetalk.face.renderer.shot") == "bust"
            seen = tab.value("""JSON.stringify([...document.querySelectorAll('body *')].filter(
                (e) => e.checkVisibility() && e.tagName !== 'MAIN').map((e) => e.id))""")
            assert json.loads(seen) == ["face"], "nothing but the face"
            corner = drawn(tab)
            assert corner[0, 0, 3] == corner[0, -1, 3] == 0
            data = base64.b64decode(tab.call("Page.captureScreenshot", format="png")["data"])
            assert data[25] == 6, "the page itself is transparent: a PNG with alpha"
        assert complaints(tab) == []


def test_another_character_with_the_same_channels_can_be_worn(tabs: Tabs) -> None:
    other = replace(HEAD, id="other", template=1.1 * HEAD.template)
    strange = replace(HEAD, id="strange", expression_names=HEAD.expression_names[::-1])
    site = make_site(HEAD, None, [HEAD, other, strange])
    offered = json.loads(site["/characters.json"].body)
    assert [each["id"] for each in offered] == [HEAD.id, "other"]
    with Avatar(pages=site) as avatar, page(tabs, avatar, (320, 240)) as tab:
        choose(tab, "other")
        tab.until("posetalk.face.rig.head.id === 'other'")
        tab.until("posetalk.face.playout.frames.length > 0")
        tab.open(f"{avatar.server.page_url}?obs&character=other")
        tab.until("window.posetalk && posetalk.face.rig.head.id === 'other'")
        assert complaints(tab) == []
        tab.value("localStorage.clear()")


def test_the_file_has_every_camera() -> None:
    index, _ = unpack(make_site(HEAD)["/head.bin"].body)
    assert tuple(index["cameras"]) == CAMERAS
    assert index["cameras"]["bust"]["height"] > index["cameras"]["head"]["height"]


def test_the_token_leaves_the_address_and_nothing_else() -> None:
    assert without_token("/?token=abc") == without_token("/") == "/"
    assert without_token("/?obs&token=abc&camera=bust") == "/?obs&camera=bust"
    assert without_token("/?obs&x=%0d%0aSet-Cookie:1\r\n") == "/?obs", "no header of others' making"


def test_a_preset_is_of_a_face_of_ones_own(tab: Tab, avatar: Avatar) -> None:
    chosen = "document.querySelector('#presets [aria-checked=true]')?.dataset.name"
    assert tab.value("document.getElementById('preset-section').checkVisibility()")
    assert tab.value(chosen) == "default", "the server's"
    tab.value(
        "window.opened = []; posetalk.link.addEventListener('opened', (event) => "
        "opened.push(event.detail.lookahead))"
    )
    choose(tab, "careful")
    tab.value("document.getElementById('microphone').click()")
    tab.until("opened.length === 1 && posetalk.controls.speak.ready")
    choose(tab, "fast")  # while it speaks: it goes on, sooner
    tab.until("opened.length === 2 && posetalk.controls.speak.ready")
    assert json.loads(tab.value("JSON.stringify(opened)")) == [5 * 640, 640]
    assert tab.value("!!posetalk.controls.speak.microphone") and tab.value(chosen) == "fast"
    sent = tab.value("posetalk.controls.speak.sent")
    tab.until(f"posetalk.controls.speak.sent > {sent}")
    tab.value("document.getElementById('microphone').click()")
    tab.until("!posetalk.controls.speak.microphone")
    assert complaints(tab) == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_what_a_stranger_looks_for_is_seen_at_once(plain: Tab, width: int, height: int) -> None:
    """Microphone, recording, OBS and characters stand in the first view, named in words."""
    tab = plain
    tab.size(width, height, phone=width < 500)
    tab.until(f"innerWidth === {width}")
    for name, words in (
        ("microphone", "microphone"),
        ("record", "Record"),
        ("obs", "OBS"),
        ("screenshot", "Picture"),
    ):
        inside = tab.value(f"""(() => {{ const e = document.getElementById('{name}');
            const b = e.getBoundingClientRect(); return e.checkVisibility() && b.top >= 0 &&
            b.bottom <= innerHeight && b.right <= innerWidth && b.left >= 0; }})()""")
        assert inside, name
        assert words in tab.value(f"document.getElementById('{name}').innerText"), name


def test_nothing_jumps_when_a_button_says_less(tab: Tab) -> None:
    tab.size(1280, 800)
    lower_by = tab.value("""(() => {
        const button = document.getElementById('sound'), said = button.querySelector('span');
        const edge = () => button.parentElement.getBoundingClientRect().bottom;
        const [hidden, text] = [button.hidden, said.textContent];
        button.hidden = false;
        said.textContent = 'Tap for sound';
        const before = edge();
        said.textContent = 'Sound on';
        const moved = before - edge();
        [button.hidden, said.textContent] = [hidden, text];
        return moved; })()""")
    tab.size(640, 360)
    assert lower_by == 0
