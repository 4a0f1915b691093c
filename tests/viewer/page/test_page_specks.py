"""No specks: what lies behind the skin, seen edge on, does not come through in single pixels."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from test_web_page import avatar, complaints, pixels, tab, tabs

from benchmarks.harness.chromium import Tab, browser_program
from head.poses import POSES
from head.rig import builtin_head
from viewer.page.site import make_site
from viewer.render.gl import GLError
from viewer.render.renderer import Renderer
from viewer.scene.framing import FIELD_OF_VIEW_DEGREES, frame_head

__all__ = ["avatar", "tab", "tabs"]  # fixtures

pytestmark = pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")

SIZE = 1200
DARKER, EVEN = 10, 14
"""Grey levels of 256 by which a speck is darker, and by which the 5 x 5 pixels round it differ."""


def lips_box(head: Any) -> tuple[slice, slice]:
    """Rows and columns of a picture of the head at rest, from the nose to the chin."""
    framing = frame_head(head)
    corners = head.template[[head.landmarks[f"mouth_{side}"] for side in ("right", "left")]]
    half = np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2))
    off = corners - np.array(framing.target)
    seen = SIZE / 2 * (1 + off[:, :2] * [1, -1] / ((framing.distance - off[:, 2:]) * half))
    (x, y), wide = seen.mean(axis=0).astype(int), int(np.ptp(seen[:, 0]))
    return slice(y - wide // 2, y + wide // 2), slice(x - wide, x + wide)


def page_draws(tab: Tab, file: bytes) -> np.ndarray[Any, Any]:
    """(SIZE, SIZE, 3) what the page's renderer makes of a head's file, at rest."""
    address = tab.value(f"""(async () => {{
        const {{ Renderer }} = await import('./face/renderer.js');
        const {{ Rig, readHead }} = await import('./face/rig.js');
        const bytes = Uint8Array.from(atob('{base64.b64encode(file).decode()}'),
            (character) => character.charCodeAt(0));
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = {SIZE};
        const head = readHead(bytes.buffer);
        new Renderer(canvas, head, posetalk.face.renderer.look).draw(new Rig(head).drawn);
        return canvas.toDataURL('image/png'); }})()""")
    return pixels(base64.b64decode(address.split(",")[1]))


def test_nothing_of_the_mouth_comes_through_the_skin(tab: Tab) -> None:
    head = builtin_head()
    try:
        with Renderer(head, SIZE, SIZE) as renderer:
            window = renderer.render(POSES["neutral"].vertices(head)).astype(int)
    except GLError as error:
        pytest.skip(f"not run: {error}")
    page = page_draws(tab, make_site(head)["/head.bin"].body)
    rows, columns = lips_box(head)
    ours, theirs = (picture[rows, columns].mean(axis=2) for picture in (page, window))
    around = np.lib.stride_tricks.sliding_window_view(theirs, (5, 5))
    even = np.ptp(around, axis=(2, 3)) < EVEN
    darker = (theirs - ours)[2:-2, 2:-2]
    assert even.mean() > 0.6, "most of it is skin and lips"
    assert not (even & (darker > DARKER)).any()
    assert complaints(tab) == []
