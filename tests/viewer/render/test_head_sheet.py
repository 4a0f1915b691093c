"""The model sheet: drawn off-screen, one square per pose, and every pose can be told apart."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from head.poses import POSES
from head.rig import builtin_head

ROOT = Path(__file__).resolve().parents[3]


def test_every_pose_looks_different() -> None:
    gl = pytest.importorskip(
        "viewer.render.gl", reason="not run: the viewer's packages are missing"
    )
    from viewer.render.sheet import COLUMNS, sheet

    size = 96
    try:
        picture = sheet(builtin_head(), size=size, scale=1)
    except gl.GLError as error:
        pytest.skip(f"not run: {error}")
    rows = -(-len(POSES) // COLUMNS)
    assert picture.shape == (rows * size, COLUMNS * size, 3) and picture.dtype == np.uint8
    squares = (
        picture.reshape(rows, size, COLUMNS, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    )
    for (one, a), (other, b) in combinations(zip(POSES, squares, strict=False), 2):
        changed = np.abs(a.astype(int) - b).max(axis=-1) > 24
        assert changed.sum() > 25, f"{one} and {other} look alike"


def test_the_sheet_in_docs_is_small() -> None:
    assert (ROOT / "docs" / "head_sheet.png").stat().st_size < 1e6
