"""The whole product in a browser: real speech, the starter, and the face that Chromium draws."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from browser_page import SCREENS, WATCH, complaints, mouth, pixels
from cli import start, wait_for_line
from patience import PATIENCE

import posetalk
from benchmarks.harness.chromium import Tab, browser, browser_program
from stream.sources.file import FileSource

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here"),
]

SECONDS = 600
"""Of sound: a browser that draws in software takes its time."""
DRAWN = 240
"""Pictures that are looked at before a judgement."""


def samples_of(path: Path) -> np.ndarray[Any, Any]:
    """(n,) at 16 kHz."""
    return np.concatenate([block.samples for block in FileSource(path, pace="fast")])


@pytest.fixture(params=["demo", "real"])
def speech(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Minutes of the demo's synthetic voices, or of a real one."""
    if request.param == "demo":
        files = [posetalk.demo_speech()]
    else:
        folder: Path = request.getfixturevalue("data_dir")
        files = sorted((folder / "speech").rglob("*.opus"))[:12]
        if not files:
            pytest.skip("not run: no speech in the data folder")
    once = np.concatenate([samples_of(path) for path in files])
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.resize(once, SECONDS * 16000), 16000)
    return path


@contextlib.contextmanager
def live_page(speech: Path, folder: Path) -> Iterator[Tab]:
    """`posetalk live --view web` on this sound, and a tab that watches it."""
    arguments = ["--view", "web", "--source", str(speech), "--port", "0"]
    process = start("live", *arguments, cwd=folder)
    drain = threading.Thread(target=lambda: process.stderr and process.stderr.read(), daemon=True)
    try:
        found = re.search(r"http\S+", wait_for_line(process, "the face is at"))
        assert found is not None
        drain.start()
        with browser(folder) as tabs, tabs() as tab:
            tab.size(480, 300)
            tab.open(found[0])
            tab.until("window.posetalk && posetalk.face.shown > 0", 120)
            yield tab
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        if drain.ident is not None:
            drain.join(PATIENCE)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def watch(tab: Tab, frames: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Millimetres between the lips in what is drawn next, and which of so many frames it was."""
    tab.value("seen.length = 0")
    tab.until(f"seen.length >= {DRAWN}", 300)
    drawn = mouth(tab)
    return drawn[:, 1], np.minimum(drawn[:, 0].astype(int) // 640, frames - 1)


def set_slider(tab: Tab, name: str, value: float) -> None:
    tab.value(f"""(() => {{ const slider = document.getElementById('{name}');
        slider.value = {value}; slider.dispatchEvent(new Event('input')); }})()""")
    tab.until(f"document.getElementById('{name}-value').textContent === '{value:.2f}'")


def choose(tab: Tab, style: str) -> None:
    tab.value(f"document.querySelector('[data-name={style}]').click()")
    tab.until(f"document.querySelector('#styles [aria-checked=true]').dataset.name === '{style}'")


def test_the_starter_speaks_on_the_page_and_obeys_its_controls(
    speech: Path, tmp_path: Path
) -> None:
    sound = samples_of(speech)
    frames = sound[: len(sound) // 640 * 640].reshape(-1, 640)
    energy = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-8)
    loud = np.quantile(energy, 0.6)
    # A single quiet frame may be a stop or a fricative, which is spoken with parted lips: a pause
    # is one whose two neighbours on either side are quiet, too.
    around = np.lib.stride_tricks.sliding_window_view(np.pad(energy, 2, mode="edge"), 5)
    pause = around.max(axis=1) < np.quantile(energy, 0.2)
    with live_page(speech, tmp_path) as tab:
        tab.value(WATCH)
        gap, at = watch(tab, len(energy))
        assert np.corrcoef(gap, energy[at])[0, 1] > 0.25, "it moves with the sound's energy"
        open_wide = gap[energy[at] > loud].mean()
        assert open_wide > 2.0
        assert pause[at].sum() < 5 or gap[pause[at]].mean() < 0.5 * open_wide

        # Style and strength act while it speaks.
        choose(tab, "mumbling")
        set_slider(tab, "audio", 0.0)
        small, at = watch(tab, len(energy))
        small = small[energy[at] > loud]
        choose(tab, "theatrical")
        set_slider(tab, "audio", 2.5)
        set_slider(tab, "style", 2.0)
        large, at = watch(tab, len(energy))
        assert large[energy[at] > loud].mean() > 1.4 * small.mean()

        for width, height in SCREENS:
            tab.size(width, height, phone=width < 1000)
            tab.until(f"innerWidth === {width} && posetalk.face.renderer.canvas.width <= {width}")
            before = tab.value("seen.length")
            tab.until(f"seen.length > {before} + 2", 120)
            picture = pixels(tab.picture(tmp_path / f"{width}x{height}.png"))
            assert picture.shape[:2] == (height, width) and picture.std() > 20
        assert tab.value("posetalk.link.state") == "live"
        assert complaints(tab) == []
