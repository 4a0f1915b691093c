"""What a page drew, held against the frames that its server sent: same samples, same values.

Nothing here depends on how fast a machine is: what was shown when is known, and what had come by
then; from that follows, to the bit, what must have been shown.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from browser_page import HEAD, LIPS
from patience import PATIENCE

import posetalk
from benchmarks.harness.chromium import Tab
from viewer.play.player import vertices_of

Floats = np.ndarray[Any, Any]
RATE = 16000
FRAME = 0.04
HOLD_SECONDS = 0.6
"""A face without frames moves no more after so long: it goes to rest, which others judge."""

WIRE = """
window.wire = [];
window.WebSocket = class extends WebSocket {
  constructor(...rest) {
    super(...rest);
    this.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') return;
      const view = new DataView(data);
      if (view.getUint8(5) !== 1) return;
      wire.push([Number(view.getBigInt64(12, true)), ...new Float32Array(data.slice(24))]);
    });
  }
};
"""
"""Before a page begins: whatever frames its sockets bring are written down."""
NOTE = """
(() => {
  const { face, link } = posetalk, { playout, rig } = face;
  playout.reset(); // nothing of before counts
  Object.assign(window, { begun: wire.length, came: [], asked: [], drawn: [] });
  link.addEventListener('frame', ({ detail }) => came.push([detail.sample, detail.arrival]));
  const at = playout.at.bind(playout), pose = rig.pose.bind(rig);
  playout.at = (now) => {
    const shown = at(now);
    if (shown) asked.push([wire.length - begun, now, shown.time, shown.age, ...shown.values]);
    return shown;
  };
  let posed = null;
  rig.pose = (values) => { pose(values); posed = [...values]; };
  const [up, low] = LIPS;
  face.taps.add(() => {
    const gap = rig.positions[3 * up + 1] - rig.positions[3 * low + 1];
    if (posed && asked.length) drawn.push([asked.length - 1, gap, ...posed]);
  });
})()
""".replace("LIPS", str(LIPS))
"""From now on a page writes down what it has, what it finds due, and what it draws."""
TOLD = "JSON.stringify({ wire: wire.slice(begun), came, asked, drawn })"


@dataclass(frozen=True)
class Watched:
    """What a page wrote down.

    Attributes:
        samples, sent: (n,) and (n, D) frames that its socket brought, in that order.
        handed_on: (n, 2) sample and arrival (seconds) of what its own link made of them.
        asked: (m, 4 + D) for each look at what is due: frames that had come, the page's time in
            seconds, the sample that was due, seconds since the newest frame began; its values.
        drawn: (p, 2 + D) number of such a look, metres between the lips, values that were posed.
    """

    samples: Floats
    sent: Floats
    handed_on: Floats
    asked: Floats
    drawn: Floats


def watched(tab: Tab) -> Watched:
    """What the page wrote down since `NOTE`."""
    told = {name: np.array(rows, float) for name, rows in json.loads(tab.value(TOLD)).items()}
    wire = told["wire"]
    return Watched(wire[:, 0], wire[:, 1:], told["came"], told["asked"], told["drawn"])


def judge(seen: Watched) -> None:
    """Assert that every frame was taken in, in its order, and shown as and when it must be."""
    assert (np.diff(seen.samples) > 0).all(), "frames come in their order"
    np.testing.assert_array_equal(seen.handed_on[:, 0], seen.samples, "none is lost or moved")
    _judge_what_is_due(seen)
    _judge_delay(seen)
    _judge_pictures(seen)


def _judge_what_is_due(seen: Watched) -> None:
    """What is shown at a time lies on the line between the two frames around it."""
    first = 0
    for row in seen.asked:
        known, time, values = int(row[0]), row[2], row[4:]
        while first + 1 < known and seen.samples[first + 1] <= time:
            first += 1
        wanted = seen.sent[first]
        if first + 1 < known and time > seen.samples[first]:
            share = (time - seen.samples[first]) / np.diff(seen.samples[first : first + 2])[0]
            wanted = wanted + share * (seen.sent[first + 1] - wanted)
        np.testing.assert_allclose(values, wanted, atol=2e-6, err_msg=f"at sample {time}")


def _judge_delay(seen: Watched) -> None:
    """It is held back as long as the slowest frame so far took, and one frame more; no longer."""
    arrivals = seen.handed_on[:, 1] - seen.samples / RATE
    slowest, quickest = np.maximum.accumulate(arrivals), np.minimum.accumulate(arrivals)
    known = seen.asked[:, 0].astype(int) - 1
    delay = seen.asked[:, 1] - seen.asked[:, 2] / RATE
    assert (delay <= slowest[known] + FRAME + 1e-6).all(), "it does not lag"
    assert (delay >= quickest[known] + FRAME - 1e-6).all(), "nor show what is to come"


def _judge_pictures(seen: Watched) -> None:
    """What was due is what was posed, and the lips are where these values put them."""
    due = seen.asked[seen.drawn[:, 0].astype(int)]
    moving = due[:, 3] < HOLD_SECONDS
    posed = seen.drawn[moving, 2:]
    np.testing.assert_array_equal(posed, due[moving, 4:], "the picture is of what is due")
    assert moving.sum() > 20
    for gap, values in zip(seen.drawn[moving, 1][::10], posed[::10], strict=True):
        height = vertices_of(HEAD, None, values.astype(np.float32))[LIPS, 1]
        assert abs(gap - (height[0] - height[1])) < 2e-5, "metres between the lips"


@contextlib.contextmanager
def witness(url: str) -> Iterator[dict[int, Floats]]:
    """Another viewer of the same server: values (D,) by sample, of every frame that it gets."""
    frames: dict[int, Floats] = {}
    over = threading.Event()

    def follow(client: posetalk.Client) -> None:
        for frame in client.frames():
            frames[frame.sample] = np.array(frame.values, float)
            if over.is_set():
                return

    with posetalk.Client(url, set="flame") as client:
        thread = threading.Thread(target=follow, args=(client,))
        thread.start()
        try:
            yield frames
        finally:
            over.set()
            thread.join(PATIENCE)


def judge_against(seen: Watched, frames: dict[int, Floats]) -> None:
    """Assert that both viewers got the same values of the same samples."""
    both = [
        (row, frames[int(s)])
        for s, row in zip(seen.samples, seen.sent, strict=True)
        if int(s) in frames
    ]
    assert len(both) > 20
    for row, values in both:
        np.testing.assert_array_equal(row, values)
