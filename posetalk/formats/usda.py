"""`.usda`: the head with materials, blend shapes, skeleton and animation, as UsdSkel text.

UsdSkel poses as the head does, blend shapes first and then the joints. Opens in usdview, Omniverse,
Houdini, Maya and Blender.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from posetalk.formats.clip import GENERATOR, SYNTHETIC, Clip, Floats, influences, vertex_normals
from stream.senders.angles import quaternion

SMALLEST = 1e-7
"""Metres below which a blend shape leaves a vertex where it is."""


def write(clip: Clip) -> bytes:
    """The whole file."""
    names, morphs, weights = clip.morphs
    names = tuple(map(_name, names))
    parts = [
        _header(clip),
        'def SkelRoot "Head"\n{\n',
        _skeleton(clip),
        _animation(clip, names, weights),
        _mesh(clip, names, morphs),
        _materials(clip),
        "}\n",
    ]
    return "\n".join(parts).encode("utf-8")


def _header(clip: Clip) -> str:
    return f"""#usda 1.0
(
    customLayerData = {{
        string generator = "{GENERATOR}"
        string head = "{clip.head.id}"
        bool synthetic = 1
    }}
    defaultPrim = "Head"
    doc = "{SYNTHETIC}"
    endTimeCode = {len(clip) - 1}
    framesPerSecond = {clip.fps}
    metersPerUnit = 1
    startTimeCode = 0
    timeCodesPerSecond = {clip.fps}
    upAxis = "Y"
)
"""


def _paths(clip: Clip) -> list[str]:
    """Joints as paths from the root."""
    paths: list[str] = []
    for name, parent in zip(clip.head.joint_names, clip.head.parents, strict=True):
        paths.append(f"{paths[parent]}/{name}" if parent >= 0 else name)
    return paths


def _local(clip: Clip) -> Floats:
    """(J, 3) joints at rest, from their parents."""
    parents = np.array(clip.head.parents)
    return np.where(parents[:, None] < 0, clip.joints, clip.joints - clip.joints[parents])


def _skeleton(clip: Clip) -> str:
    def matrices(places: Floats) -> str:
        return ", ".join(
            f"( (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), ({_numbers(place)}, 1) )"
            for place in places
        )

    return f"""    def Skeleton "Joints" (
        prepend apiSchemas = ["SkelBindingAPI"]
    )
    {{
        uniform token[] joints = [{_tokens(_paths(clip))}]
        uniform matrix4d[] bindTransforms = [{matrices(clip.joints)}]
        uniform matrix4d[] restTransforms = [{matrices(_local(clip))}]
        rel skel:animationSource = </Head/Speech>
    }}
"""


def _animation(clip: Clip, names: tuple[str, ...], weights: Floats) -> str:
    turns = quaternion(clip.pose)[..., [3, 0, 1, 2]]  # w first
    joints = clip.head.joint_count
    places = f" = [{_tuples(_local(clip))}]"
    if clip.head.joint_expression_basis is not None:
        rows = (f"            {k}: [{_tuples(row)}]," for k, row in enumerate(clip.translations))
        places = ".timeSamples = {\n" + "\n".join(rows) + "\n        }"
    rotations = "\n".join(
        f"            {frame}: [{_tuples(row)}]," for frame, row in enumerate(turns)
    )
    blends = "\n".join(
        f"            {frame}: [{_numbers(row)}]," for frame, row in enumerate(weights)
    )
    return f"""    def SkelAnimation "Speech"
    {{
        uniform token[] joints = [{_tokens(_paths(clip))}]
        float3[] translations{places}
        half3[] scales = [{", ".join(["(1, 1, 1)"] * joints)}]
        quatf[] rotations.timeSamples = {{
{rotations}
        }}
        uniform token[] blendShapes = [{_tokens(names)}]
        float[] blendShapeWeights.timeSamples = {{
{blends}
        }}
    }}
"""


def _mesh(clip: Clip, names: tuple[str, ...], morphs: Floats) -> str:
    head = clip.head
    joints, weights = influences(head.skin_weights)
    low, high = clip.rest.min(axis=0) - 0.05, clip.rest.max(axis=0) + 0.05
    binding = ", ".join(f"</Head/Face/{name}>" for name in names)
    shapes = "\n".join(
        _blend_shape(name, offsets) for name, offsets in zip(names, morphs, strict=True)
    )
    subsets = "\n".join(
        f"""        def GeomSubset "{_name(material.name)}" (
            prepend apiSchemas = ["MaterialBindingAPI"]
        )
        {{
            uniform token elementType = "face"
            uniform token familyName = "materialBind"
            int[] indices = [{_numbers(triangles)}]
            rel material:binding = </Head/Materials/{_name(material.name)}>
        }}
"""
        for number, material in enumerate(head.materials)
        if len(triangles := np.flatnonzero(head.face_material == number))
    )
    return f"""    def Mesh "Face" (
        prepend apiSchemas = ["SkelBindingAPI"]
    )
    {{
        uniform bool doubleSided = 1
        float3[] extent = [{_tuples(np.stack([low, high]))}]
        int[] faceVertexCounts = [{", ".join(["3"] * len(head.faces))}]
        int[] faceVertexIndices = [{_numbers(head.faces.ravel())}]
        point3f[] points = [{_tuples(clip.rest)}]
        normal3f[] normals = [{_tuples(vertex_normals(clip.rest, head.faces))}] (
            interpolation = "vertex"
        )
        uniform token subdivisionScheme = "none"
        int[] primvars:skel:jointIndices = [{_numbers(joints.ravel())}] (
            elementSize = {joints.shape[1]}
            interpolation = "vertex"
        )
        float[] primvars:skel:jointWeights = [{_numbers(weights.ravel())}] (
            elementSize = {weights.shape[1]}
            interpolation = "vertex"
        )
        rel skel:skeleton = </Head/Joints>
        uniform token[] skel:blendShapes = [{_tokens(names)}]
        rel skel:blendShapeTargets = [{binding}]
        uniform token subsetFamily:materialBind:familyType = "partition"

{shapes}
{subsets}
    }}
"""


def _blend_shape(name: str, offsets: Floats) -> str:
    kept = np.flatnonzero(np.abs(offsets).max(axis=1) > SMALLEST)
    return f"""        def BlendShape "{name}"
        {{
            uniform vector3f[] offsets = [{_tuples(offsets[kept])}]
            uniform int[] pointIndices = [{_numbers(kept)}]
        }}
"""


def _materials(clip: Clip) -> str:
    shaders = "\n".join(
        f"""        def Material "{name}"
        {{
            token outputs:surface.connect = </Head/Materials/{name}/Surface.outputs:surface>

            def Shader "Surface"
            {{
                uniform token info:id = "UsdPreviewSurface"
                color3f inputs:diffuseColor = ({_numbers(material.rgb)})
                float inputs:roughness = {material.roughness:.4g}
                float inputs:metallic = {material.metallic:.4g}
                token outputs:surface
            }}
        }}
"""
        for material in clip.head.materials
        for name in [_name(material.name)]
    )
    return f'    def Scope "Materials"\n    {{\n{shaders}    }}\n'


def _name(name: str) -> str:
    """A name that USD takes for a prim."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{name}" if name[:1].isdigit() else name


def _numbers(values: ArrayLike) -> str:
    array = np.asarray(values)
    form = "d" if array.dtype.kind in "iu" else ".7g"
    return ", ".join(format(value, form) for value in array.tolist())


def _tuples(rows: Floats) -> str:
    return ", ".join(f"({_numbers(row)})" for row in rows)


def _tokens(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
