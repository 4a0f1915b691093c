"""What the page says where it cannot: no WebGL, a blocked microphone, a refused codec. One line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from browser_page import Avatar, avatar, complaints, page, tab, tabs

from benchmarks.harness.chromium import Tab, Tabs, browser_program

__all__ = ["avatar", "tab", "tabs"]  # fixtures

pytestmark = pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")

NOTICE = "document.getElementById('notice').textContent"
HINT = "document.getElementById('microphone-hint')"


@contextlib.contextmanager
def page_after(tabs: Tabs, avatar: Avatar, script: str) -> Iterator[Tab]:
    """A tab whose browser is changed by `script` before the page begins."""
    with tabs() as tab:
        tab.size(640, 360)
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        tab.open(avatar.server.page_url)
        yield tab


def one_line(tab: Tab, text: str) -> None:
    """Whether the text is a sentence, in one line, seen on the page."""
    assert text.rstrip().endswith(".") and "\n" not in text and 20 < len(text) < 160, text


def test_without_webgl_the_page_says_so(tabs: Tabs, avatar: Avatar) -> None:
    script = "HTMLCanvasElement.prototype.getContext = () => null"
    with page_after(tabs, avatar, script) as tab:
        tab.until(f"document.readyState === 'complete' && {NOTICE}")
        said = tab.value(NOTICE)
        one_line(tab, said)
        assert "no WebGL 2" in said and "hardware acceleration" in said
        assert tab.value("document.getElementById('notice').checkVisibility()")
        assert tab.value("document.getElementById('state').textContent") == "no picture"
        assert complaints(tab) == [], "told to the user, and no error of the page"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "not allowed to use the microphone: allow it"),
        ("NotFoundError", "no microphone here"),
        ("NotReadableError", "another program holds it"),
    ],
)
def test_a_microphone_that_is_not_to_be_had_is_told(tab: Tab, name: str, words: str) -> None:
    tab.value(
        "void (navigator.mediaDevices.getUserMedia = "
        f"() => Promise.reject(new DOMException('Permission denied', '{name}')))"
    )
    tab.value("document.getElementById('microphone').click()")
    tab.until(f"{HINT}.classList.contains('bad')")
    said = tab.value(f"{HINT}.textContent")
    one_line(tab, said)
    assert words in said and tab.value(f"{HINT}.checkVisibility()")
    assert not tab.value("document.getElementById('microphone').disabled"), "it may be tried again"
    assert complaints(tab) == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("MediaRecorder.isTypeSupported = () => false", "records no WebM"),
        ("window.MediaRecorder = undefined", "records no WebM"),
        (
            "window.MediaRecorder = class { static isTypeSupported() { return true; } "
            "constructor() { throw new DOMException('no such encoder', 'NotSupportedError'); } }",
            "recorder refused: no such encoder",
        ),
    ],
)
def test_a_codec_that_is_refused_is_told(tab: Tab, script: str, words: str) -> None:
    tab.value(f"void ({script})")
    tab.value("document.getElementById('record').click()")
    tab.until(f"{NOTICE}.includes({words!r})")
    tab.until("!posetalk.controls.take.busy")
    assert tab.value("document.getElementById('record-text').textContent") == "Record"
    assert not tab.value("posetalk.controls.listen.filming")
    assert complaints(tab) == []


def test_an_encoder_that_gives_up_leaves_what_it_made(tabs: Tabs, avatar: Avatar) -> None:
    with page(tabs, avatar, (320, 240)) as tab:
        tab.value("document.getElementById('record').click()")
        tab.until("posetalk.controls.take.film && posetalk.controls.take.film.pieces.length > 0")
        tab.value(
            "posetalk.controls.take.film.recorder.onerror("
            "{ error: new DOMException('', 'EncodingError') })"
        )
        tab.until("!posetalk.controls.take.film && !!posetalk.controls.take.saved")
        tab.until(f"{NOTICE}.includes('broke off (EncodingError). Saved')")
        assert tab.value("posetalk.controls.take.saved.size") > 100
        assert complaints(tab) == []
