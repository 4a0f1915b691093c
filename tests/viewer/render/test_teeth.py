"""Teeth in an open mouth are white down to their biting edges."""

from __future__ import annotations

import numpy as np
import pytest

from head.rig import builtin_head
from head.skinning import skin
from viewer.render.gl import GLError
from viewer.render.renderer import Renderer

GREY, EVEN = (50, 150), 32
"""Mean of red, green and blue of a grey pixel, and how far these are apart at most."""


def test_biting_edges_are_no_brace() -> None:
    head = builtin_head()
    weights = np.zeros(len(head.expression_names), np.float32)
    vertices = skin(head, weights, jaw_pose=np.array([0.16, 0.0, 0.0], np.float32))
    try:
        with Renderer(head, 900, 900) as renderer:
            picture = renderer.render(np.asarray(vertices, np.float32)).astype(int)
    except GLError as error:
        pytest.skip(f"not run: {error}")
    mouth = picture[540:720, 340:560]
    mean, apart = mouth.mean(axis=2), np.ptp(mouth, axis=2)
    white = (mean > 180) & (apart < 60)
    grey = (mean > GREY[0]) & (mean < GREY[1]) & (apart < EVEN)
    assert white.sum() > 300, "there are teeth"
    assert grey.sum() < white.sum()
