"""USD: read back by Pixar's own library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from posed_motion import HEAD, posed, some_motion, with_correctives

from head.channels import CHANNELS
from posetalk.formats import Clip, usda


@pytest.mark.parametrize("flame", [False, True])
def test_usd_bakes_our_motion(clip: Clip, flame: bool, tmp_path: Path) -> None:
    """Pixar's own library skins the file."""
    usd = pytest.importorskip("pxr.Usd", reason="not run: usd-core is not installed")
    from pxr import UsdGeom, UsdSkel

    clip = Clip.of(with_correctives(), some_motion(3)) if flame else clip
    path = tmp_path / "head.usda"
    path.write_bytes(usda.write(clip))
    stage = usd.Stage.Open(str(path))
    assert stage.GetRootLayer().customLayerData["synthetic"] is True
    assert stage.GetTimeCodesPerSecond() == 25 and stage.GetEndTimeCode() == len(clip) - 1
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetPrimAtPath("/Head")))
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Face")).GetPointsAttr()
    for frame in range(len(clip)):
        baked = np.array(points.Get(frame))
        np.testing.assert_allclose(baked, posed(clip, frame), atol=1e-4 if flame else 5e-6)


def test_usd_names_channels_and_materials(clip: Clip, tmp_path: Path) -> None:
    usd = pytest.importorskip("pxr.Usd", reason="not run: usd-core is not installed")
    from pxr import UsdGeom, UsdShade

    path = tmp_path / "head.usda"
    path.write_bytes(usda.write(clip))
    stage = usd.Stage.Open(str(path))
    face = stage.GetPrimAtPath("/Head/Face")
    assert list(face.GetAttribute("skel:blendShapes").Get()) == list(CHANNELS)
    subsets = UsdGeom.Subset.GetAllGeomSubsets(UsdGeom.Imageable(face))
    assert sum(len(s.GetIndicesAttr().Get()) for s in subsets) == len(HEAD.faces)
    for subset in subsets:
        material, _ = UsdShade.MaterialBindingAPI(subset.GetPrim()).ComputeBoundMaterial()
        shader = material.ComputeSurfaceSource()[0]
        known = next(m for m in HEAD.materials if m.name == subset.GetPrim().GetName())
        colour = shader.GetInput("diffuseColor").Get()
        np.testing.assert_allclose(list(colour), known.rgb, atol=1e-5)
