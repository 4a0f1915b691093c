"""`.glb`: the head with materials, morph targets, joints and animation, as glTF 2.0.

glTF poses as the head does, morph targets first and then the joints, so it is the same motion and
no likeness of it. Opens in Blender, Godot, three.js, Windows and macOS.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from posetalk.formats.clip import GENERATOR, SYNTHETIC, Clip, Floats, influences, vertex_normals
from stream.senders.angles import quaternion

# https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 3.6, 3.7 and 4.4
FLOAT, UINT32, UINT16, UINT8 = 5126, 5125, 5123, 5121
VERTEX_DATA, INDEX_DATA = 34962, 34963
_CODES: Final = {"f4": FLOAT, "u4": UINT32, "u2": UINT16, "u1": UINT8}
MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
SMALLEST: Final = 1e-7
"""Metres below which a morph target leaves a vertex where it is."""


class _Buffer:
    """Grows the one binary buffer, and the lists that say what is where in it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, array: NDArray[Any], target: int | None = None) -> int:
        """Add the bytes of an array; returns the index of its view."""
        self.data += b"\0" * (-len(self.data) % 4)
        entry: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data)}
        entry["byteLength"] = array.nbytes
        if target is not None:
            entry["target"] = target
        self.data += np.ascontiguousarray(array).tobytes()
        self.views.append(entry)
        return len(self.views) - 1

    def add(
        self,
        array: NDArray[Any],
        kind: str,
        *,
        target: int | None = None,
        limits: bool = False,
        normalized: bool = False,
    ) -> int:
        """Add an accessor of (n, ...) elements of `kind`, `SCALAR` to `MAT4`; returns its index."""
        entry: dict[str, Any] = {
            "bufferView": self.view(array, target),
            "componentType": _CODES[array.dtype.str[1:]],
            "count": len(array),
            "type": kind,
        }
        if normalized:
            entry["normalized"] = True
        if limits:
            entry |= _limits(array)
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def add_sparse(self, offsets: Floats) -> int:
        """Add (V, 3) of which most are zero, by those that are not; returns the accessor."""
        kept = np.flatnonzero(np.abs(offsets).max(axis=1) > SMALLEST)
        entry: dict[str, Any] = {"componentType": FLOAT, "count": len(offsets), "type": "VEC3"}
        values = np.where(np.abs(offsets).max(axis=1, keepdims=True) > SMALLEST, offsets, 0)
        entry |= _limits(values)
        if len(kept):
            small = len(offsets) <= 65535
            entry["sparse"] = {
                "count": len(kept),
                "indices": {
                    "bufferView": self.view(kept.astype("<u2" if small else "<u4")),
                    "componentType": UINT16 if small else UINT32,
                },
                "values": {"bufferView": self.view(offsets[kept].astype("<f4"))},
            }
        self.accessors.append(entry)
        return len(self.accessors) - 1


def _limits(array: NDArray[Any]) -> dict[str, list[float]]:
    rows = array.reshape(len(array), -1).astype(np.float32)
    return {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}


def write(clip: Clip) -> bytes:
    """The whole file."""
    buffer = _Buffer()
    names, morphs, weights = clip.morphs
    head, joints = clip.head, len(clip.head.joint_names)
    document: dict[str, Any] = {
        "asset": {
            "version": "2.0",
            "generator": GENERATOR,
            "extras": {"synthetic": True, "remark": SYNTHETIC, "head": head.id},
        },
        "scene": 0,
        "scenes": [{"name": head.id, "nodes": [joints, 0]}],
        # The joints' nodes come first, so that node and joint have one number.
        "nodes": [*_joint_nodes(clip), {"name": "face", "mesh": 0, "skin": 0}],
        "meshes": [_mesh(clip, buffer, names, morphs)],
        "materials": [
            {
                "name": material.name,
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*map(float, material.rgb), 1.0],
                    "roughnessFactor": float(material.roughness),
                    "metallicFactor": float(material.metallic),
                },
            }
            for material in (head.materials[number] for number in _worn(head))
        ],
        "skins": [
            {
                "name": head.id,
                "joints": list(range(joints)),
                "skeleton": 0,
                "inverseBindMatrices": buffer.add(_inverse_bind(clip), "MAT4"),
            }
        ],
        "animations": [_animation(clip, buffer, weights)],
    }
    document["accessors"], document["bufferViews"] = buffer.accessors, buffer.views
    document["buffers"] = [{"byteLength": len(buffer.data)}]
    return _pack(document, bytes(buffer.data))


def _joint_nodes(clip: Clip) -> list[dict[str, Any]]:
    nodes = []
    for joint, (name, parent) in enumerate(
        zip(clip.head.joint_names, clip.head.parents, strict=True)
    ):
        origin = clip.joints[parent] if parent >= 0 else np.zeros(3, np.float32)
        node: dict[str, Any] = {"name": name, "translation": (clip.joints[joint] - origin).tolist()}
        children = [child for child, p in enumerate(clip.head.parents) if p == joint]
        nodes.append(node | ({"children": children} if children else {}))
    return nodes


def _inverse_bind(clip: Clip) -> Floats:
    """(J, 4, 4) matrices by columns, as glTF has them: rest joints to the origin."""
    matrices = np.tile(np.eye(4, dtype="<f4"), (len(clip.joints), 1, 1))
    matrices[:, 3, :3] = -clip.joints
    return matrices


def _worn(head: Head) -> list[int]:
    """The materials that some triangle wears."""
    return [int(number) for number in np.unique(head.face_material)]


def _mesh(clip: Clip, buffer: _Buffer, names: tuple[str, ...], morphs: Floats) -> dict[str, Any]:
    """A primitive for each material, with the vertices that its triangles use."""
    head = clip.head
    normals = vertex_normals(clip.rest, head.faces)  # of the whole, so that no seam shows
    joints, weights = influences(head.skin_weights)
    primitives = []
    for place, material in enumerate(_worn(head)):
        corners = head.faces[head.face_material == material].ravel()
        used, indices = np.unique(corners, return_inverse=True)
        attributes = {
            "POSITION": buffer.add(clip.rest[used], "VEC3", target=VERTEX_DATA, limits=True),
            "NORMAL": buffer.add(normals[used], "VEC3", target=VERTEX_DATA),
            "JOINTS_0": buffer.add(joints[used], "VEC4", target=VERTEX_DATA),
            "WEIGHTS_0": buffer.add(weights[used], "VEC4", target=VERTEX_DATA),
        }
        if head.vertex_tint is not None:
            tint = np.full((len(used), 4), 255, np.uint8)
            tint[:, :3] = head.vertex_tint[used]
            attributes["COLOR_0"] = buffer.add(tint, "VEC4", target=VERTEX_DATA, normalized=True)
        still = buffer.add_sparse(np.zeros((len(used), 3), np.float32))
        targets = [
            still if np.abs(offsets).max() <= SMALLEST else buffer.add_sparse(offsets)
            for offsets in morphs[:, used]
        ]
        primitives.append(
            {
                "attributes": attributes,
                "indices": buffer.add(indices.astype("<u4").ravel(), "SCALAR", target=INDEX_DATA),
                "material": place,
                "targets": [{"POSITION": accessor} for accessor in targets],
            }
        )
    return {
        "name": "face",
        "primitives": primitives,
        "weights": [0.0] * len(names),
        "extras": {"targetNames": list(names)},
    }


def _animation(clip: Clip, buffer: _Buffer, weights: Floats) -> dict[str, Any]:
    """Weights of the morph targets; rotation, and for some heads place, of joints that move."""
    times = (np.arange(len(clip), dtype=np.float64) / clip.fps).astype("<f4")
    time = buffer.add(times, "SCALAR", limits=True)
    face = len(clip.joints)
    samplers = [{"input": time, "output": buffer.add(weights.astype("<f4").ravel(), "SCALAR")}]
    channels: list[dict[str, Any]] = [{"sampler": 0, "target": {"node": face, "path": "weights"}}]
    turns = quaternion(clip.pose).astype("<f4")
    for joint in np.flatnonzero(np.abs(clip.pose).max(axis=(0, 2)) > 0):
        channels.append(
            {"sampler": len(samplers), "target": {"node": int(joint), "path": "rotation"}}
        )
        rows = np.ascontiguousarray(turns[:, joint])
        samplers.append({"input": time, "output": buffer.add(rows, "VEC4")})
    moved = clip.translations.astype("<f4")
    follow = clip.head.joint_expression_basis is not None
    for place in range(len(clip.joints) if follow else 0):
        channels.append(
            {"sampler": len(samplers), "target": {"node": place, "path": "translation"}}
        )
        rows = np.ascontiguousarray(moved[:, place])
        samplers.append({"input": time, "output": buffer.add(rows, "VEC3")})
    return {"name": "speech", "channels": channels, "samplers": samplers}


def _pack(document: dict[str, Any], binary: bytes) -> bytes:
    """The container: header, JSON padded with spaces, buffer padded with zeros."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    length = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        (
            struct.pack("<III", MAGIC, 2, length),
            struct.pack("<II", len(text), JSON_CHUNK),
            text,
            struct.pack("<II", len(binary), BINARY_CHUNK),
            binary,
        )
    )
