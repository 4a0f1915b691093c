"""The whole product in a browser: real speech, the starter, and the face that Chromium draws.

Each picture is held against the frames that the server sent (`page_frames`); how well these speak
is judged of all of them, as another viewer gets them, and not of the few that a busy machine draws.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from browser_page import HEAD, LIPS, SCREENS, complaints, pixels
from cli import start, wait_for_line
from page_frames import NOTE, WIRE, judge, judge_against, watched, witness
from patience import PATIENCE

import posetalk
from benchmarks.harness.chromium import Tab, browser, browser_program
from stream.sources.file import FileSource
from viewer.play.player import vertices_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here"),
]

SECONDS = 600
"""Of sound: a browser that draws in software takes its time."""
HEARD = 500
"""Frames of the server that are looked at before a judgement."""
Floats = np.ndarray[Any, Any]


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
def live_page(speech: Path, folder: Path) -> Iterator[tuple[Tab, str]]:
    """`posetalk live --view web` on this sound, a tab that watches it, and the server's address."""
    arguments = ["--view", "web", "--source", str(speech), "--port", "0"]
    process = start("live", *arguments, cwd=folder)
    drain = threading.Thread(target=lambda: process.stderr and process.stderr.read(), daemon=True)
    try:
        found = re.search(r"http\S+", wait_for_line(process, "the face is at"))
        assert found is not None
        drain.start()
        with browser(folder) as tabs, tabs() as tab:
            tab.size(480, 300)
            tab.call("Page.addScriptToEvaluateOnNewDocument", source=WIRE)
            tab.open(found[0])
            tab.until("window.posetalk && posetalk.face.shown > 0")
            tab.until("posetalk.link.state === 'live' && posetalk.face.playout.frames.length > 0")
            yield tab, found[0].replace("http", "ws", 1)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        if drain.ident is not None:
            drain.join(PATIENCE)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def listen(frames: dict[int, Floats], tab: Tab, count: int) -> tuple[Floats, Floats]:
    """Millimetres between the lips in the frames that the server sends next; their samples."""
    begun = max(frames, default=-1)
    end = time.monotonic() + 2 * PATIENCE
    while len(new := sorted(sample for sample in frames if sample > begun)) < count:
        assert time.monotonic() < end, f"{len(new)} frames of {count}"
        tab.value("1")  # what its console says is taken in meanwhile
        time.sleep(0.2)
    rows = [vertices_of(HEAD, None, frames[at].astype(np.float32))[LIPS, 1] for at in new[:count]]
    return 1000 * np.array([up - low for up, low in rows]), np.array(new[:count])


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
    energy = 10 * np.log10(
        np.mean(sound[: len(sound) // 640 * 640].reshape(-1, 640) ** 2, 1) + 1e-8
    )
    loud = np.quantile(energy, 0.6)

    def spoken(gap: Floats, samples: Floats) -> float:
        """Millimetres between the lips where it is loud."""
        at = np.minimum(samples // 640, len(energy) - 1)
        return float(gap[energy[at] > loud].mean())

    with live_page(speech, tmp_path) as (tab, address), witness(address) as frames:
        tab.value(NOTE)
        gap, samples = listen(frames, tab, HEARD)
        tab.until("drawn.length >= 60")
        seen = watched(tab)
        judge(seen)
        judge_against(seen, frames)
        assert spoken(gap, samples) > 2.0

        # Style and strength act while it speaks.
        choose(tab, "mumbling")
        set_slider(tab, "audio", 0.0)
        small = spoken(*listen(frames, tab, HEARD))
        choose(tab, "theatrical")
        set_slider(tab, "audio", 2.5)
        set_slider(tab, "style", 2.0)
        assert spoken(*listen(frames, tab, HEARD)) > 1.4 * small

        for width, height in SCREENS:
            tab.size(width, height, phone=width < 1000)
            tab.until(f"innerWidth === {width} && posetalk.face.renderer.canvas.width <= {width}")
            before = tab.value("posetalk.face.shown")
            tab.until(f"posetalk.face.shown > {before} + 2")
            picture = pixels(tab.picture(tmp_path / f"{width}x{height}.png"))
            assert picture.shape[:2] == (height, width) and picture.std() > 20
        judge(watched(tab))
        assert tab.value("posetalk.link.state") == "live"
        assert complaints(tab) == []
