"""The page for everybody: axe's rules in each of its states, and keys alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from browser_page import avatar, complaints, tab, tabs

from benchmarks.harness.chromium import Tab, browser_program

__all__ = ["avatar", "tab", "tabs"]  # fixtures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here"),
]

AXE = "4.10.3"
STATES = {
    "plain": "document.body.focus()",
    "microphone": "document.getElementById('microphone').click()",
    "notice": "import('./panel/page.js').then(({ say }) => say('The stream has ended.'))",
    "strength": "document.getElementById('guidance-section').open = true",
    "obs": "document.getElementById('obs').click()",
    "shortcuts": "document.getElementById('help').click()",
    "token": "document.getElementById('shortcuts').close(); "
    "document.getElementById('token-form').hidden = false",
    "bare": "document.getElementById('token-form').hidden = true; "
    "document.body.classList.add('bare')",
}
"""What is done to the page one after the other; it is looked at after each."""


@pytest.fixture(scope="module")
def axe(pytestconfig: pytest.Config) -> str:
    """The source of axe-core, which npm brings into pytest's own cache."""
    cache = pytestconfig.cache
    assert cache is not None
    folder = Path(cache.mkdir(f"axe-core-{AXE}"))
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("not run: no npm here, which brings axe-core")
        options = ["--no-save", "--no-audit", "--no-fund", "--prefix", str(folder)]
        install = [npm, "install", *options, f"axe-core@{AXE}"]
        if subprocess.run(install, cwd=folder, capture_output=True).returncode:
            pytest.skip("not run: npm could not install axe-core")
    return source.read_text("utf-8")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize("colours", ["none", "active"], ids=["own colours", "forced colours"])
def test_axe_finds_nothing(tab: Tab, axe: str, size: tuple[int, int], colours: str) -> None:
    tab.size(*size, phone=size[0] < 500)
    features = [
        {"name": "forced-colors", "value": colours},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    tab.call("Emulation.setEmulatedMedia", features=features)
    tab.value(axe + "; 1")
    # Forced colours are the system's: what the page asked for says nothing about their contrast.
    rules = {"rules": {"color-contrast": {"enabled": colours == "none"}}}
    report = """.then(({ violations }) => JSON.stringify(violations.map(
        ({ id, help, nodes }) => [id, help, nodes.map(({ html }) => html)])))"""
    for state, action in STATES.items():
        tab.value(f"(async () => {{ await (0, eval)({json.dumps(action)}); }})()")
        found = json.loads(tab.value(f"axe.run(document, {json.dumps(rules)}){report}"))
        assert found == [], (state, found)
    assert complaints(tab) == []


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_everything_is_reached_by_the_tab_key_and_seen(tab: Tab, size: tuple[int, int]) -> None:
    tab.size(*size, phone=size[0] < 500)
    wanted = {"face", "microphone", "record", "screenshot", "mirror", "obs", "obs-copy", "help"}
    groups = {"characters", "styles", "presets", "cameras", "backgrounds"}
    tab.value("document.getElementById('obs').click(); document.activeElement.blur()")
    reached: list[str] = []
    for _ in range(40):
        tab.press("Tab")
        name = tab.value(
            "(() => { const e = document.activeElement; return e.id || e.parentElement?.id; })()"
        )
        if name in reached:
            break
        reached.append(name)
        box = json.loads(
            tab.value("JSON.stringify(document.activeElement.getBoundingClientRect())")
        )
        assert box["width"] > 0 and 0 <= box["left"] < size[0], name
        assert box["bottom"] > 0 and box["top"] < size[1], f"{name} is scrolled into view"
    groups -= (
        {"characters"}
        if tab.value("document.getElementById('character-section').hidden")
        else set()
    )
    assert wanted | groups <= set(reached), reached


def test_keys_alone_speak_and_record(tab: Tab) -> None:
    tab.value("document.getElementById('microphone').focus()")
    tab.press("Enter")
    tab.until("posetalk.controls.speak.microphone && posetalk.controls.speak.ready")
    tab.press(" ")
    tab.until("!posetalk.controls.speak.microphone")
    tab.value("document.getElementById('help').focus()")
    tab.press("Enter")
    tab.until("document.getElementById('shortcuts').open")
    tab.press("Escape")
    tab.until("!document.getElementById('shortcuts').open")
    assert tab.value("document.activeElement.id") == "help", "one comes back to where one was"
    tab.value("document.querySelector('#cameras [tabindex=\"0\"]').focus()")
    tab.press("ArrowRight")
    tab.until("posetalk.face.renderer.shot === 'bust'")
    tab.value("localStorage.clear()")
    assert complaints(tab) == []
