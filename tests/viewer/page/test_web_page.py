"""The page in a real browser: what it shows, what its controls do, what its microphone sends."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from browser_page import (
    HEAD,
    LOUD,
    SCREENS,
    WATCH,
    Avatar,
    avatar,
    complaints,
    mouth,
    page,
    pixels,
    tab,
    tabs,
)
from golden_wire import FOLDER

from benchmarks.harness.chromium import Tab, Tabs, browser_program
from head.skinning import motion_to_parameters, skin

__all__ = ["avatar", "tab", "tabs"]  # fixtures

pytestmark = pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")


def box(tab: Tab, selector: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(
        tab.value(f"JSON.stringify(document.querySelector('{selector}').getBoundingClientRect())")
    )
    return found


def test_the_mouth_moves_with_the_sound(tab: Tab, avatar: Avatar) -> None:
    tab.value(WATCH)
    closed = pixels(tab.picture())
    for _ in range(2):
        avatar.source.push(np.concatenate([LOUD, np.zeros(16000, "f4")]))
    tab.until("seen.length && seen.at(-1)[1] > 4")
    opened = pixels(tab.picture())
    tab.until(
        "seen.some(([, gap]) => gap > 2) && seen.at(-1)[0] - "
        "seen.findLast(([, gap]) => gap > 2)[0] > 12000"
    )
    # Whatever this machine found time to draw: open where the sound is loud, closed where not.
    loud = np.abs(avatar.kept.heard) > 0
    drawn = [(int(sample), gap) for sample, gap in mouth(tab) if sample >= 3200]
    states = [(loud[sample - 3200 : sample + 3200].mean(), gap) for sample, gap in drawn]
    speaking = [gap for share, gap in states if share > 0.95]
    pausing = [gap for share, gap in states if share == 0]
    assert len(speaking) >= 2 and min(speaking) > 2
    assert len(pausing) >= 2 and max(pausing) < 1
    assert np.abs(opened - closed).max() > 60, "it is seen in the picture"
    tab.until("document.getElementById('latency').textContent !== '–'")
    assert 0 < tab.value("posetalk.controls.figures.latency") < 30
    assert tab.value("posetalk.controls.figures.missed") == 0
    assert complaints(tab) == []


def test_everything_comes_from_the_server_and_says_that_it_is_synthetic(
    tab: Tab, avatar: Avatar
) -> None:
    loaded = json.loads(
        tab.value("JSON.stringify(performance.getEntriesByType('resource').map(e => e.name))")
    )
    assert len(loaded) >= 8 and all(name.startswith(avatar.server.page_url) for name in loaded)
    assert "Synthetic face" in tab.value("document.querySelector('.badge').innerText")


def test_the_browser_poses_the_head_as_python_does(tab: Tab) -> None:
    random = np.random.default_rng(1)
    for _ in range(3):
        motion = np.concatenate(
            [random.uniform(0, 1, 50), random.normal(0, 0.3, 3), random.uniform(0, 0.3, 1)]
        ).astype("f4")
        expression, rotation, jaw = motion_to_parameters(motion)
        expected = skin(HEAD, expression, global_rotation=rotation, jaw_pose=jaw)
        values = np.concatenate([expression, rotation, jaw]).tolist()
        text = tab.value(f"""(() => {{
            const rig = new posetalk.face.rig.constructor(posetalk.face.rig.head);
            rig.pose(new Float32Array({values}));
            return JSON.stringify([...rig.positions]); }})()""")
        positions = np.array(json.loads(text)).reshape(-1, 3)
        assert np.abs(positions - expected).max() < 2e-5  # metres


def test_the_browser_draws_the_picture_that_the_window_draws(tab: Tab) -> None:
    from viewer.render.gl import GLError
    from viewer.render.renderer import Renderer

    expression, jaw = np.zeros(50, "f4"), np.array([0.14, 0, 0], "f4")
    rotation = np.array([0.02, -0.05, 0.0], "f4")
    try:
        with Renderer(HEAD, 360, 360) as renderer:
            vertices = skin(HEAD, expression, global_rotation=rotation, jaw_pose=jaw)
            window = renderer.render(vertices).astype(int)
    except GLError as error:
        pytest.skip(f"not run: {error}")
    values = np.concatenate([expression, rotation, jaw]).tolist()
    address = tab.value(f"""import('./face/renderer.js').then(({{Renderer}}) => {{
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = 360;
        const {{head, constructor}} = posetalk.face.rig;
        const rig = new constructor(head);
        rig.pose(new Float32Array({values}));
        new Renderer(canvas, head, posetalk.face.renderer.look).draw(rig.drawn);
        return canvas.toDataURL('image/png'); }})""")
    page = pixels(base64.b64decode(address.split(",")[1]))
    apart = np.abs(page - window)
    assert window.std() > 20 and apart.mean() < 1.0, "in grey levels of 256"
    assert (apart.max(axis=2) > 40).mean() < 0.01, "but for edges"


def test_the_wire_is_read_as_its_golden_bytes_say(tab: Tab) -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    names = [name for name in manifest if name.endswith(".bin")]
    data = {name: base64.b64encode((FOLDER / name).read_bytes()).decode() for name in names}
    text = tab.value(f"""import('./link/wire.js').then(({{parse}}) => {{
        const read = (text) => {{
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          try {{
            const got = parse(bytes.buffer);
            return got && {{...got, values: [...got.values]}};
          }} catch (error) {{ return 'error'; }}
        }};
        const all = Object.entries({json.dumps(data)}).map(([name, text]) => [name, read(text)]);
        return JSON.stringify(Object.fromEntries(all)); }})""")
    read = json.loads(text)
    for name in names:
        expected, got = manifest[name], read[name]
        if "error" in expected:
            judged = expected["error"] in ("truncated", "magic", "version", "length")
            assert (got == "error") == judged, name
        elif expected.get("type") == 16:
            assert got["sample"] == expected["sample"], name
            scale = 32768 if expected["flags"] & 1 else 1
            assert got["values"] == [value / scale for value in expected["values"]], name
        elif expected.get("type") == 1:
            assert {key: got[key] for key in expected} == expected, name
        else:
            assert got is None, name  # skipped: this page did not ask for it


def test_styles_and_strengths_act_while_it_speaks(tab: Tab, tabs: Tabs, avatar: Avatar) -> None:
    with page(tabs, avatar) as other:
        tab.value("document.querySelector('[data-name=lively]').click()")
        other.until(
            "document.querySelector('#styles [aria-checked=true]').dataset.name === 'lively'"
        )
        tab.value("""(() => { const second = document.getElementById('second');
            second.value = 'calm'; second.dispatchEvent(new Event('change')); })()""")
        other.until("document.getElementById('second').value === 'calm'")
        assert avatar.heard[-1] == "lively*0.70+calm*0.30"
        assert other.value("document.getElementById('share').value") == "30"
        tab.value("""(() => { const slider = document.getElementById('audio');
            for (const value of [1.2, 1.6, 2.5]) {
              slider.value = value; slider.dispatchEvent(new Event('input')); } })()""")
        other.until("document.getElementById('audio-value').textContent === '2.50'")
        assert avatar.session.audio_guidance == 2.5
        tab.value("document.getElementById('reset').click()")
        other.until("document.getElementById('audio-value').textContent === '1.00'")
        assert complaints(tab) + complaints(other) == []


def test_eyes_and_stillness_are_everybodys_and_of_a_face_of_ones_own(
    tab: Tab, tabs: Tabs, avatar: Avatar
) -> None:
    said = "document.getElementById('gaze-value').textContent"
    still = "document.getElementById('still').getAttribute('aria-pressed')"
    with page(tabs, avatar) as other:
        assert (tab.value(said), tab.value(still)) == ("natural", "false")
        tab.value("""(() => { const slider = document.getElementById('gaze');
            for (const value of [80, 30, 0]) {
              slider.value = value; slider.dispatchEvent(new Event('input')); } })()""")
        other.until(f"{said} === 'at you'")
        assert avatar.session.conditions.now["gaze"] == 0.0
        tab.value("document.getElementById('still').click()")
        other.until(f"{still} === 'true' && document.getElementById('gaze').disabled")
        assert avatar.session.conditions.now["still"]
    tab.value(
        "window.sent = []; const send = posetalk.link.send.bind(posetalk.link);"
        "posetalk.link.send = (message) => { sent.push(message); send(message); }"
    )
    tab.value("document.getElementById('microphone').click()")
    tab.until("posetalk.controls.speak.microphone && posetalk.controls.speak.ready")
    request = json.loads(tab.value("JSON.stringify(sent.find(({ type }) => type === 'open'))"))
    assert (request["gaze"], request["still"]) == (0, True)
    tab.value("document.getElementById('still').click()")
    tab.until(f"{still} === 'false'")
    tab.value("document.getElementById('microphone').click()")
    tab.until("!posetalk.controls.speak.microphone")
    assert complaints(tab) == []


def test_the_microphone_moves_a_face_of_ones_own(tab: Tab, avatar: Avatar) -> None:
    tab.value(WATCH)
    tab.value("document.getElementById('microphone').click()")
    tab.until("posetalk.controls.speak.microphone && posetalk.controls.speak.ready")
    assert tab.value("posetalk.controls.speak.microphone.rate") == 16000
    assert avatar.server.counts.sessions == 1
    tab.until("seen.filter(([, gap]) => gap > 2).length > 8")
    assert tab.value("document.getElementById('microphone').getAttribute('aria-pressed')") == "true"
    tab.value("document.getElementById('microphone').click()")
    tab.until("!posetalk.controls.speak.microphone")
    tab.value("seen.length = 0")
    tab.until("seen.length > 8 && seen.slice(-4).every(([, gap]) => gap < 1)")
    assert avatar.session.style_name == "neutral" and avatar.server.counts.sessions == 0
    assert complaints(tab) == []


def test_it_fits_screens_of_all_sizes(tab: Tab) -> None:
    for width, height in SCREENS:
        tab.size(width, height, phone=width < 1000)
        tab.until(f"innerWidth === {width} && posetalk.face.renderer.canvas.width <= {width}")
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.value("document.documentElement.scrollHeight") <= height, "the panel scrolls"
        face, badge = box(tab, "#face"), box(tab, ".badge")
        assert face["width"] >= 0.6 * min(width, 500) and face["height"] >= 0.45 * height
        outside = tab.value(
            "[...document.querySelectorAll('button, select, input, dd')].filter((e) => {"
            "const b = e.getBoundingClientRect(); return b.width && (b.left < 0 ||"
            f"(b.right > {width} && !e.closest('.chips')));}}).length"
        )
        assert outside == 0
        assert badge["bottom"] <= face["bottom"] and badge["width"] > 100
        middle = (badge["left"] + 20, (badge["top"] + badge["bottom"]) / 2)
        assert tab.value(f"!!document.elementFromPoint{middle}.closest('.badge')"), "not covered"
        tab.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = pixels(tab.picture())
        x, y = int(face["left"] + face["width"] / 2), int(face["top"] + face["height"] / 2)
        red, green, blue = picture[y, x]
        assert red > green > blue and red > 100, "skin in the middle of the picture"
    tab.size(640, 360)


def test_it_comes_back_when_the_server_does(tabs: Tabs) -> None:
    with Avatar() as first, page(tabs, first, (320, 240)) as tab:
        server, shown = first.server, "document.getElementById('notice').hidden"
        for socket in list(server._listener.attendance.clients.values()):
            server._loop.post(socket.transport.abort)
        tab.until("posetalk.link.state === 'lost'")
        tab.until(f"posetalk.link.state === 'live' && {shown}")
        first.server.close()
        tab.until(f"['ended', 'lost'].includes(posetalk.link.state) && !{shown}")
        tab.until("posetalk.link.state === 'lost'")  # nobody answers any more, and it says so
        assert "lost" in tab.value("document.getElementById('notice').textContent")
        hint = "document.getElementById('microphone-hint').textContent"
        assert tab.value(hint) == "As soon as the server answers."
        with Avatar(port=server.port):
            tab.until(f"posetalk.link.state === 'live' && {shown}")
            assert "this server only" in tab.value(hint)
            tab.until("posetalk.face.playout.frames.length > 0")
        # A network that is gone says nothing: the page notices by itself, and asks anew.
        with Avatar(port=server.port):
            tab.until("posetalk.link.state === 'live'")
            tab.value("""(() => { const { link } = posetalk; link.socket.onmessage = null;
                link.asked = performance.now() / 1000 - 7; link.heard = link.asked - 1; })()""")
            tab.until("posetalk.link.state === 'lost' || posetalk.link.heard > posetalk.link.asked")
            tab.until("posetalk.link.state === 'live' && posetalk.link.trips.length > 0")
        assert not [text for text in complaints(tab) if "WebSocket" not in text]


@pytest.mark.slow
def test_with_a_token_the_page_asks_for_it(tabs: Tabs) -> None:
    with Avatar(token="open sesame, please") as avatar, tabs() as tab:
        tab.open(avatar.server.page_url)
        form = "document.getElementById('token-form')"
        tab.until(f"{form} && !{form}.hidden")
        tab.value("""(() => { document.getElementById('token').value = 'open sesame, please';
            document.querySelector('#token-form button').click(); })()""")
        tab.until("window.posetalk && posetalk.link.state === 'live'")


@pytest.mark.slow
def test_a_refusal_is_told_in_its_sentence(tabs: Tabs) -> None:
    with Avatar(capacity=1) as avatar, page(tabs, avatar) as one, page(tabs, avatar) as other:
        one.value("document.getElementById('microphone').click()")
        one.until("posetalk.controls.speak.microphone && posetalk.controls.speak.ready")
        other.value("document.getElementById('microphone').click()")
        hint = "document.getElementById('microphone-hint')"
        other.until(f"{hint}.classList.contains('bad')")
        assert "taken" in other.value(f"{hint}.textContent")
        other.until("!posetalk.controls.speak.microphone")
        assert complaints(other) == []
