"""A head as one binary file for the web page: little-endian arrays after a JSON index. Pure numpy.

    "PTH1" | u32 length of the index | index, JSON, padded to 4 bytes | arrays, each padded to 4

The index holds names and numbers, and under `arrays` for each one its type, shape and offset from
the file's first array. Bases are quantised to 16 bits per channel; what a channel does not move is
left out. `viewer/web/face/rig.js` reads it.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from viewer.scene.framing import CAMERAS, FIELD_OF_VIEW_DEGREES, frame_head

if TYPE_CHECKING:
    from head.model import Head

MAGIC = b"PTH1"
STILL_METRES = 2e-6
"""Displacements below this, a hundredth of a pixel, are left out."""
JOINTS_PER_VERTEX = 4


def pack_head(head: Head, shape: NDArray[np.float32] | None = None) -> bytes:
    """The file of a head, with the identity `shape` (S,) built in."""
    template, joints = head.template, np.asarray(head.rest_joints)
    if shape is not None:
        count = min(len(shape), head.shape_count)
        template = template + head.shape_basis[..., :count] @ shape[:count]
        assert head.joint_shape_basis is not None, "a head computes it"
        joints = joints + head.joint_shape_basis[..., :count] @ shape[:count]
    arrays: dict[str, NDArray[Any]] = {
        "template": np.asarray(template, np.float32),
        "joints": np.asarray(joints, np.float32),
        "pose_from_expression": np.asarray(head.pose_from_expression, np.float32),
        **_strongest_joints(head.skin_weights),
        **_sparse("expression", head.expression_basis),
        **_drawn(head),
    }
    if head.joint_expression_basis is not None:
        moved = np.moveaxis(head.joint_expression_basis, -1, 0)
        arrays["joints_from_expression"] = np.asarray(moved, np.float32)  # (E, J, 3)
    if head.pose_basis is not None:
        arrays |= _sparse("pose", head.pose_basis)
    index = {
        "id": head.id,
        "vertices": head.vertex_count,
        "channels": list(head.expression_names),
        "parents": list(head.parents),
        "joint_names": list(head.joint_names),
        "turning_joint": head.joint_names.index(head.turning_joint),
        "cameras": {name: _camera(head, name) for name in CAMERAS},
    }
    return _file(index, arrays)


def _camera(head: Head, name: str) -> dict[str, Any]:
    framing = frame_head(head, name)
    return {
        "target": [float(v) for v in framing.target],
        "height": float(framing.height),
        "turn": framing.turn,
        "slender": framing.slender,
        "size": float(np.linalg.norm(np.ptp(head.template, axis=0))),
        "field_of_view": FIELD_OF_VIEW_DEGREES,
    }


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Index and arrays of a file; what the page's JavaScript does, for tests."""
    magic, length = struct.unpack_from("<4sI", data)
    if magic != MAGIC:
        raise WrongValue("not a packed head")
    index = json.loads(data[8 : 8 + length])
    base = 8 + length
    arrays = {}
    for name, place in index["arrays"].items():
        dtype = np.dtype(place["type"]).newbyteorder("<")
        count = int(np.prod(place["shape"]))
        flat = np.frombuffer(data, dtype, count, base + place["offset"])
        arrays[name] = flat.reshape(place["shape"])
    return index, arrays


def _file(index: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    places, pieces, offset = {}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        data += b"\0" * (-len(data) % 4)
        places[name] = {"type": array.dtype.name, "shape": list(array.shape), "offset": offset}
        pieces.append(data)
        offset += len(data)
    text = json.dumps(index | {"arrays": places}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *pieces])


def _strongest_joints(weights: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """The joints that move each vertex most, and their weights, which sum to one."""
    order = np.argsort(-weights, axis=1)[:, :JOINTS_PER_VERTEX]
    strongest = np.take_along_axis(weights, order, axis=1)
    strongest = strongest / strongest.sum(axis=1, keepdims=True)
    return {"bone": order.astype(np.uint8), "bone_weight": strongest.astype(np.float32)}


def _sparse(name: str, basis: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """A basis (V, 3, C) by channel: which vertices it moves, and by how much in 16 bits."""
    starts, vertices, moves, scales = [0], [], [], []
    for channel in range(basis.shape[2]):
        column = basis[:, :, channel]
        moved = np.flatnonzero(np.abs(column).max(axis=1) > STILL_METRES)
        scale = float(np.abs(column[moved]).max(initial=0.0)) / 32767 or 1.0
        vertices.append(moved.astype(np.uint32))
        moves.append(np.rint(column[moved] / scale).astype(np.int16))
        scales.append(scale)
        starts.append(starts[-1] + len(moved))
    return {
        f"{name}_start": np.array(starts, np.uint32),
        f"{name}_vertex": np.concatenate(vertices),
        f"{name}_move": np.concatenate(moves),
        f"{name}_scale": np.array(scales, np.float32),
    }


def _drawn(head: Head) -> dict[str, NDArray[Any]]:
    """Drawn vertices and triangles with their paint; light is baked where scipy is there."""
    try:
        from viewer.scene.drawing_order import drawing_order
        from viewer.scene.shading import SmoothNormals, split_by_material
        from viewer.scene.surface import paint, surface
    except ImportError:
        return _drawn_plainly(head)
    mesh = split_by_material(head.faces, head.face_material)
    normals = SmoothNormals(head.faces, head.vertex_count)
    order, ranges = drawing_order(head)
    trait = np.clip(surface(head, mesh, normals), 0, 1)
    return {
        "source": mesh.source.astype(np.uint32),
        "triangles": mesh.triangles[order].astype(np.uint32),
        "ranges": ranges.astype(np.uint32),
        "trait": np.rint(trait * 255).astype(np.uint8),
        "paint": paint(head, mesh).astype(np.float32),
    }


def _drawn_plainly(head: Head) -> dict[str, NDArray[Any]]:
    corners = head.faces.reshape(-1)
    looks = np.array([(*m.rgb, m.roughness) for m in head.materials], np.float32)
    return {
        "source": corners.astype(np.uint32),
        "triangles": np.arange(len(corners), dtype=np.uint32).reshape(-1, 3),
        "ranges": np.array([0, 0, 0, len(head.faces)], np.uint32),
        "trait": np.tile(np.array([255, 128, 255, 255], np.uint8), (len(corners), 1)),
        "paint": looks[np.repeat(head.face_material, 3)],
    }
