"""Teeth: white down to their edges, no grey far ends, hardly seen in OO, an upper row in EE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from head.model import Head, Material
from head.poses import POSES, Pose
from head.rig import CHARACTERS, builtin_head, load_head
from head.skinning import skin
from viewer.render.gl import GLError
from viewer.render.renderer import Renderer

GREY, EVEN = (50, 150), 32
"""Mean of red, green and blue of a grey pixel, and how far these are apart at most."""
OO = Pose({"mouthPucker": 0.7, "mouthFunnel": 0.4}, jaw=0.08)
EE = Pose(
    {"mouthSmile": 0.4, "mouthStretch": 0.5, "mouthUpperUp": 0.25, "mouthLowerDown": 0.3}, jaw=0.06
)
YAWS = (-35.0, 0.0, 35.0)


def _drawn(head: Head, pose: Pose, yaws: Sequence[float]) -> list[np.ndarray]:
    """A picture (h, w, 3), integers, from each side."""
    vertices = pose.vertices(head)
    try:
        with Renderer(head, 480, 480, camera="head") as renderer:
            return [renderer.render(vertices, yaw=yaw, zoom=1.6).astype(int) for yaw in yaws]
    except GLError as error:
        pytest.skip(f"not run: {error}")


def _seen(head: Head, region: str, pose: Pose, yaws: Sequence[float]) -> list[np.ndarray]:
    """Where crowns of a region are seen, (h, w) bool: what changes with their colour."""
    crowns = np.isin(head.faces, head.regions[region]).all(axis=1)
    crowns &= head.face_material == [m.name for m in head.materials].index("teeth")
    mark = np.where(crowns, len(head.materials), head.face_material).astype(np.uint8)
    pair = []
    for level in (0.0, 20.0):
        paints = (*head.materials, Material("teeth", (level, level, level), 1.0))
        pair.append(_drawn(replace(head, face_material=mark, materials=paints), pose, yaws))
    return [np.abs(dark - bright).max(axis=2) > 24 for dark, bright in zip(*pair, strict=True)]


def _grey(picture: np.ndarray) -> np.ndarray:
    mean = picture.mean(axis=-1)
    return np.asarray((mean > GREY[0]) & (mean < GREY[1]) & (np.ptp(picture, axis=-1) < EVEN))


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
    assert white.sum() > 300, "there are teeth"
    assert _grey(mouth).sum() < white.sum()


@pytest.mark.parametrize("name", CHARACTERS)
def test_far_teeth_in_a_wide_open_mouth_are_warm(name: str) -> None:
    """Dark towards the throat, but of the mouth's colour: grey ends look broken off."""
    head, pose = load_head(name), POSES["jaw open"]
    for yaw, picture, teeth in zip(
        YAWS, _drawn(head, pose, YAWS), _seen(head, "teeth_lower", pose, YAWS), strict=True
    ):
        assert teeth.sum() > 200, "there are teeth"
        assert _grey(picture[teeth]).mean() < 0.12, yaw


@pytest.mark.parametrize("name", CHARACTERS)
def test_rounded_lips_hide_teeth_and_spread_ones_show_the_upper_row(name: str) -> None:
    head = load_head(name)

    def area(region: str, pose: Pose) -> int:
        return int(_seen(head, region, pose, (0.0,))[0].sum())

    upper, lower = area("teeth_upper", EE), area("teeth_lower", EE)
    assert upper > 600 and lower < 0.45 * upper, (upper, lower)
    assert area("teeth_upper", OO) + area("teeth_lower", OO) < 0.05 * upper
