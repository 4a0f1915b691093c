"""Minutes of the page as fast as it can: nothing of it grows."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from browser_page import HEAD, Avatar, complaints, tabs

from benchmarks.harness.chromium import Tab, Tabs, browser_program
from viewer.page.site import make_site

__all__ = ["tabs"]  # a fixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here"),
]

MINUTES = 30
"""Of the stream: 45,000 frames, each received, posed and shown."""
WARM_UP = 4
"""Minutes after which everything has its size."""
DRAWN_EVERY = 20
"""Every so manieth frame is drawn, small: a software renderer takes its time."""
MOST_BYTES = 400_000
"""That a heap may differ by from one collection to the next."""
MOST_NODES = 20
"""Of the page; notices come and go."""

COUNT = """
window.living = {};
for (const kind of ['Buffer', 'Texture', 'Program', 'Shader', 'VertexArray', 'Framebuffer']) {
  living[kind] = 0;
  const of = WebGL2RenderingContext.prototype;
  const [make, free] = [of['create' + kind], of['delete' + kind]];
  of['create' + kind] = function (...rest) { living[kind] += 1; return make.apply(this, rest); };
  of['delete' + kind] = function (...rest) { living[kind] -= 1; return free.apply(this, rest); };
}
"""
"""Counts the objects on the graphics card that live."""
RUN = """
(() => {
  const { face, link, speaker } = posetalk;
  // From here on the page's time is ours, and only what we push comes.
  const begun = performance.now();
  let spent = 0;
  performance.now = () => begun + spent;
  link.socket.onmessage = link.socket.onclose = null;
  link.socket.close();
  link.connect = () => {};
  face.playout.reset();
  speaker.reset();
  link.ping = () => {};
  face.tick = () => {};
  const bytes = (type, count, number, sample) => {
    const buffer = new ArrayBuffer(24 + 4 * count), view = new DataView(buffer);
    [80, 84, 75, 49].forEach((code, k) => view.setUint8(k, code));
    view.setUint8(4, 1); view.setUint8(5, type);
    view.setUint32(8, number, true); view.setBigInt64(12, BigInt(sample), true);
    view.setUint32(20, count, true);
    for (let k = 0; k < count; k++) view.setFloat32(24 + 4 * k, 0.2 * Math.sin(number + k), true);
    return buffer;
  };
  let number = 0;
  window.live = (frames, every) => {
    for (let k = 0; k < frames; k++, number++) {
      spent += 40;
      link.receive(bytes(16, 640, number, 640 * number), performance.now() / 1000);
      link.receive(bytes(1, 56, number, 640 * number), performance.now() / 1000);
      if (number % 25 === 0) {
        link.receive(JSON.stringify({ type: 'style', name: 'calm' }), performance.now() / 1000);
        posetalk.controls.figures.show();
      }
      const draw = face.renderer.draw;
      if (number % every) face.renderer.draw = () => {};
      spent += 7; // a screen draws when it likes, between two frames
      face.step();
      spent -= 7;
      face.renderer.draw = draw;
    }
    return number;
  };
})()
"""
"""`live(frames, every)` has the page receive, pose and show so many frames, as fast as it can."""


def sizes(tab: Tab) -> dict[str, int]:
    """Bytes of the heap, what lives in the page and on the card."""
    for _ in range(2):
        tab.call("HeapProfiler.collectGarbage")
    heap = tab.call("Runtime.getHeapUsage")
    metrics = {
        each["name"]: each["value"] for each in tab.call("Performance.getMetrics")["metrics"]
    }
    return {
        "bytes": int(heap["usedSize"] + heap.get("backingStorageSize", 0)),
        **{name: int(metrics[name]) for name in ("Nodes", "JSEventListeners", "Documents")},
        **json.loads(tab.value("JSON.stringify(living)")),
    }


def test_time_leaves_nothing_behind(tabs: Tabs) -> None:
    other = replace(HEAD, id="other")
    with Avatar(pages=make_site(HEAD, None, [HEAD, other]), sound=True) as avatar, tabs() as tab:
        tab.size(160, 120)
        tab.call("Performance.enable")
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=COUNT)
        tab.open(avatar.server.page_url)
        tab.until("window.posetalk && posetalk.face.shown > 0 && posetalk.link.state === 'live'")
        tab.value("document.getElementById('sound').click()")
        tab.until("posetalk.speaker.running")
        tab.value(RUN)
        seen: list[dict[str, int]] = []
        for minute in range(MINUTES):
            for part in range(15):
                assert tab.value(f"live(100, {DRAWN_EVERY})") == 1500 * minute + 100 * (part + 1)
            # What a user does now and then.
            name = "other" if minute % 2 else HEAD.id
            tab.value(f"document.querySelector('[data-name=\"{name}\"]').click()")
            tab.until(f"posetalk.face.rig.head.id === {name!r}")
            tab.value("posetalk.controls.take.screenshot()")
            if minute % 2:  # the same character as before
                seen.append(sizes(tab))
        shown = tab.value("posetalk.face.shown")
        assert complaints(tab) == []
    warm, last = seen[WARM_UP // 2 - 1], seen[-1]
    print(f"after {WARM_UP} minutes: {warm}; after {MINUTES}: {last}; {shown} pictures")
    assert shown > 0.9 * 1500 * MINUTES, "every frame was posed and shown"
    assert last.pop("bytes") - warm.pop("bytes") < MOST_BYTES
    assert last.pop("Nodes") - warm.pop("Nodes") < MOST_NODES
    assert last == warm, "as many listeners, and objects on the card"
