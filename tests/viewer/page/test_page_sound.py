"""Sound on the page: in step with the lips, silent for its own microphone, in what it records."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from browser_page import Avatar, avatar, complaints, page, tab, tabs

from benchmarks.harness.chromium import Tab, Tabs, browser_program
from stream.run.input_level import InputLevel

__all__ = ["avatar", "tab", "tabs"]  # fixtures

pytestmark = pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")

LISTEN = "posetalk.speaker.running || document.getElementById('sound').click()"
"""What a user does who hears nothing; the page may have been touched already."""
HEAR = """
(async () => {
  const { speaker } = posetalk;
  await speaker.context.audioWorklet.addModule('sound/microphone-worklet.js');
  window.heard = [];
  const gather = new AudioWorkletNode(speaker.context, 'gather', { numberOfOutputs: 0 });
  gather.port.onmessage = ({ data: { samples, time } }) => {
    const clock = speaker.context.getOutputTimestamp();
    const energy = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    // The middle of the block, when it leaves the loudspeaker, on the page's own clock.
    heard.push([time - 0.01 + clock.performanceTime / 1000 - clock.contextTime, energy]);
  };
  speaker.player.connect(gather);
  window.lips = [];
  const rig = posetalk.face.rig, pose = rig.pose.bind(rig);
  rig.pose = (values) => {
    pose(values);
    lips.push([performance.now() / 1000, values[rig.channels + 3]]);
  };
})()
"""
"""From now on the page writes down how loud it is and how far the jaw is open, and when."""


def syllables(seconds: float, seed: int = 3) -> np.ndarray:
    """(n,) noise in syllables of irregular length and loudness: one fit in time alone."""
    random = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < 16000 * seconds:
        loud = np.hanning(int(random.uniform(0.12, 0.4) * 16000)) * random.uniform(0.1, 0.5)
        parts += [
            loud * random.normal(0, 1, len(loud)),
            np.zeros(int(random.uniform(0.05, 0.3) * 16000)),
        ]
    return np.concatenate(parts).clip(-1, 1).astype("f4")


SOUND = syllables(200.0)
"""Made before anybody listens: beside a server's threads that takes many seconds."""
NOTE_LOUD = """
(() => {
  const { speaker } = posetalk, add = speaker.add.bind(speaker);
  window.loudest = 0;
  speaker.add = (sample, values) => {
    add(sample, values);
    for (const value of values) loudest = Math.max(loudest, value);
  };
})()
"""
"""From now on the page writes down how loud what comes was."""


@pytest.fixture
def spoken(tabs: Tabs) -> Iterator[tuple[Tab, Avatar]]:
    """A tab whose server speaks for a while, and says that it may be heard."""
    with Avatar(sound=True) as avatar, page(tabs, avatar, (320, 240)) as tab:
        stop = threading.Event()

        def speak() -> None:
            begun = time.monotonic()
            for start in range(0, len(SOUND) - 640, 640):  # as a file is read: in its time
                if stop.wait(max(0.0, begun + start / 16000 - time.monotonic())):
                    return
                avatar.source.push(SOUND[start : start + 640])

        speaker = threading.Thread(target=speak)
        speaker.start()
        yield tab, avatar
        stop.set()
        speaker.join()
        tab.value("localStorage.clear()")


def lag(heard: np.ndarray, lips: np.ndarray) -> tuple[float, float]:
    """Seconds by which the lips come after the sound, and how alike they are there."""
    begin, end = max(heard[0, 0], lips[0, 0]) + 0.5, min(heard[-1, 0], lips[-1, 0]) - 0.5
    grid = np.arange(begin, end, 0.002)
    energy = np.clip((10 * np.log10(heard[:, 1] + 1e-12) + 50) / 35, 0, 1)
    # What the fake follower does: the loudness of 40 ms, smoothed a little, is the jaw.
    times = np.arange(heard[0, 0], heard[-1, 0], 0.04)
    followed, value = np.zeros(len(times)), 0.0
    for k, at in enumerate(np.interp(times, heard[:, 0], energy)):
        value = followed[k] = 0.35 * value + 0.65 * at
    shifts = np.arange(-0.2, 0.2, 0.002)
    jaw = np.interp(grid, lips[:, 0], lips[:, 1])
    fits = [np.corrcoef(jaw, np.interp(grid - shift, times, followed))[0, 1] for shift in shifts]
    return float(shifts[int(np.argmax(fits))]), float(max(fits))


@pytest.mark.slow
def test_sound_and_lips_are_in_step(spoken: tuple[Tab, Avatar]) -> None:
    tab, _ = spoken
    tab.value(LISTEN)
    tab.until("posetalk.speaker.running && posetalk.link.audio")
    assert tab.value("document.getElementById('sound').getAttribute('aria-pressed')") == "true"
    tab.until("posetalk.speaker.readings.length >= 15")
    tab.value(HEAR)
    tab.until("window.heard && heard.some(([, energy]) => energy > 1e-3)")
    tab.value("heard.length = lips.length = 0")
    tab.until("heard.length > 350 && lips.length > 60")
    heard = np.array(json.loads(tab.value("JSON.stringify(heard)")))
    lips = np.array(json.loads(tab.value("JSON.stringify(lips)")))
    apart, alike = lag(heard, lips)
    assert alike > 0.6 and abs(apart) <= 0.02, (apart, alike)
    assert np.sqrt(heard[:, 1].max()) > 0.05, "it is loud"
    tab.value("document.getElementById('sound').click()")
    tab.until("!posetalk.speaker.audible && posetalk.speaker.loud.gain.value < 0.01")
    assert tab.value("document.getElementById('sound-text').textContent") == "Sound off"
    assert complaints(tab) == []


def test_its_own_microphone_is_not_played_back(spoken: tuple[Tab, Avatar]) -> None:
    tab, _ = spoken
    tab.value(LISTEN)
    tab.until("posetalk.speaker.running && posetalk.speaker.audible")
    tab.value("document.getElementById('microphone').click()")
    tab.until("posetalk.controls.speak.microphone && !posetalk.speaker.audible")
    tab.value("document.getElementById('microphone').click()")
    tab.until("!posetalk.controls.speak.microphone && posetalk.speaker.audible")
    assert complaints(tab) == []


def test_a_server_that_hears_a_room_offers_no_sound(tab: Tab) -> None:
    assert tab.value("document.getElementById('sound').hidden")
    assert not tab.value("posetalk.link.audio")


def test_a_recording_has_picture_sound_and_says_what_it_is(spoken: tuple[Tab, Avatar]) -> None:
    import av

    tab, _ = spoken
    tab.value(NOTE_LOUD)
    tab.value("document.getElementById('record').click()")
    drawn = tab.until("posetalk.controls.take.film && posetalk.face.shown")
    begun = tab.until("loudest > 0.1 && posetalk.controls.take.film.seconds")
    tab.until(
        f"posetalk.controls.take.film.seconds > {begun} + 2.5 && posetalk.face.shown > {drawn} + 12"
    )
    assert tab.value("document.getElementById('record-text').textContent").startswith("Stop")
    tab.value("document.getElementById('record').click()")
    tab.until("!!posetalk.controls.take.saved && !posetalk.controls.take.busy")
    data = fetched(tab, "posetalk.controls.take.saved")
    with av.open(io.BytesIO(data)) as film:
        assert "synthetic" in film.metadata["TITLE"]
        video, audio = film.streams.video[0], film.streams.audio[0]
        sizes, sound, pictures = set(), [], []
        for frame in film.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                sizes.add((frame.width, frame.height))
                pictures.append(float(frame.time))
            else:
                sound.append(frame.to_ndarray())
    assert len(sizes) == 1 and len(pictures) > 3 and pictures[-1] > 1.5
    heard = np.concatenate([part[:1] for part in sound], axis=1)
    assert np.abs(heard).max() > 0.05, "what is spoken is in it"
    assert tab.value("document.getElementById('notice').textContent").endswith(".webm.")
    assert complaints(tab) == []


def test_a_screenshot_has_the_mark(tab: Tab) -> None:
    import av

    tab.value("document.getElementById('screenshot').click()")
    tab.until("!!posetalk.controls.take.picture")
    with av.open(io.BytesIO(fetched(tab, "posetalk.controls.take.picture"))) as file:
        picture = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert picture.shape[0] % 2 == 0 and picture.std() > 20
    badge = picture[-30:, 10:100]
    assert (badge.min(axis=2) > 200).any() and (badge.max(axis=2) < 90).any(), "white on dark"


def fetched(tab: Tab, blob: str) -> bytes:
    text = tab.value(f"""{blob}.arrayBuffer().then((data) => {{ let text = '';
        for (const value of new Uint8Array(data)) text += String.fromCharCode(value);
        return btoa(text); }})""")
    return base64.b64decode(text)


@pytest.mark.parametrize(("loud", "quiet"), [(0.2, False), (0.002, True)])
def test_a_microphone_that_is_too_quiet_is_told(tab: Tab, loud: float, quiet: bool) -> None:
    said = tab.value(f"""import('./sound/level.js').then(({{ Level }}) => {{
        const level = new Level();
        for (let k = 0; k < 250; k++) level.hear(new Float32Array(320).fill({loud}), 16000);
        return level.quiet; }})""")
    assert said is quiet


@pytest.mark.parametrize(("loud", "state"), [(0.1, "ok"), (0.0015, "low"), (4.0, "clips")])
def test_the_page_hears_the_level_that_the_server_would(tab: Tab, loud: float, state: str) -> None:
    speech = np.random.default_rng(3).standard_normal((450, 640)).astype(np.float32)
    speech *= np.where(np.arange(450) % 11 < 8, loud, 1e-4)[:, None].astype(np.float32)
    samples = np.clip(speech, -1.0, 1.0).reshape(-1)
    server = InputLevel()
    server.hear(samples)
    sent = base64.b64encode(samples.tobytes()).decode()
    said = tab.value(f"""import('./sound/level.js').then(({{ Level }}) => {{
        const bytes = Uint8Array.from(atob('{sent}'), (c) => c.charCodeAt(0));
        const level = new Level();
        level.hear(new Float32Array(bytes.buffer), 16000);
        return [level.state, level.decibels]; }})""")
    assert said[0] == server.state == state
    assert server.decibels is not None and said[1] == pytest.approx(server.decibels, abs=0.1)
