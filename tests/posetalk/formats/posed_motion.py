"""Motion to write into files, and the head posed by it: what readers must find."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from head.rig import builtin_head
from head.skinning import rotation_matrices, skin
from posetalk.formats import Clip

HEAD = builtin_head()


def some_motion(frames: int = 3) -> list[NDArray[np.float32]]:
    """Frames that use every channel and joint."""
    random = np.random.default_rng(3)
    rows = np.zeros((frames, 54), np.float32)
    rows[:, :50] = random.uniform(0, 1, (frames, 50)) * (random.uniform(size=(frames, 50)) > 0.5)
    rows[:, 50:53] = random.normal(0, 0.25, (frames, 3))
    rows[:, 53] = random.uniform(0, 0.35, frames)
    return list(rows)


def posed(clip: Clip, frame: int) -> NDArray[np.float32]:
    """(V, 3) the frame by our own skinning."""
    vertices = skin(
        clip.head,
        clip.expression[frame],
        global_rotation=clip.rotation[frame],
        jaw_pose=clip.jaw[frame],
        shape=clip.shape if len(clip.shape) else None,
    )
    return np.asarray(vertices)


def about(axis: int, angle: float) -> NDArray[np.float64]:
    turn = np.zeros(3)
    turn[axis] = angle
    return np.asarray(rotation_matrices(turn))


def corners_of(vertices: NDArray[np.float32], head: Head = HEAD) -> NDArray[np.float32]:
    """(3 F, 3) corners of all triangles, by material."""
    order = np.argsort(head.face_material, kind="stable")
    return vertices[head.faces[order].ravel()]


class Gltf:
    """Reads accessors and poses, from the glTF specification and pygltflib's parsing."""

    def __init__(self, data: bytes) -> None:
        from pygltflib import GLTF2

        self.it = GLTF2.load_from_bytes(data)
        self.binary = self.it.binary_blob()

    def _view(self, view: int, dtype: str, count: int, offset: int = 0) -> NDArray[Any]:
        start = self.it.bufferViews[view].byteOffset + offset
        assert start % np.dtype(dtype).itemsize == 0, "accessors are aligned"
        return np.frombuffer(self.binary, dtype, count, start)

    def read(self, index: int) -> NDArray[Any]:
        accessor = self.it.accessors[index]
        dtype = {5126: "<f4", 5125: "<u4", 5123: "<u2", 5121: "u1"}[accessor.componentType]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
        count = accessor.count
        if accessor.bufferView is None:
            values = np.zeros((count, width), dtype)
        else:
            values = self._view(accessor.bufferView, dtype, count * width, accessor.byteOffset or 0)
            values = values.reshape(count, width).copy()
        if accessor.sparse is not None:
            sparse = accessor.sparse
            kind = {5125: "<u4", 5123: "<u2"}[sparse.indices.componentType]
            at = self._view(sparse.indices.bufferView, kind, sparse.count)
            assert (np.diff(at.astype(int)) > 0).all()
            new = self._view(sparse.values.bufferView, dtype, sparse.count * width)
            values[at] = new.reshape(-1, width)
        if accessor.min:
            np.testing.assert_allclose(values.min(axis=0), accessor.min, rtol=1e-6)
            np.testing.assert_allclose(values.max(axis=0), accessor.max, rtol=1e-6)
        return values

    def pose(self, seconds: float) -> NDArray[np.float64]:
        """(3 F, 3) corners of all triangles by material at a time, as a player interpolates."""
        node = next(n for n in self.it.nodes if n.mesh is not None)
        primitives = self.it.meshes[node.mesh].primitives
        weights = np.zeros(len(primitives[0].targets))
        turns = {j: np.array([0, 0, 0, 1.0]) for j in range(len(self.it.nodes))}
        places: dict[int, Any] = {}
        animation = self.it.animations[0]
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            times = self.read(sampler.input)[:, 0]
            values = self.read(sampler.output).reshape(len(times), -1)
            before = int(np.clip(np.searchsorted(times, seconds, "right") - 1, 0, len(times) - 2))
            part = (seconds - times[before]) / (times[before + 1] - times[before])
            value = values[before] * (1 - part) + values[before + 1] * part
            if channel.target.path == "weights":
                weights = value
            elif channel.target.path == "translation":
                places[channel.target.node] = value
            else:
                turns[channel.target.node] = value / np.linalg.norm(value)
        skin_ = self.it.skins[node.skin]
        inverse = self.read(skin_.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        world = self._world(skin_.joints[0], np.eye(4), turns, places)
        matrices = np.stack(
            [world[j] @ inverse[i].astype(np.float64) for i, j in enumerate(skin_.joints)]
        )
        corners = []
        for primitive in primitives:
            points = self.read(primitive.attributes.POSITION).astype(np.float64)
            for weight, target in zip(weights, primitive.targets, strict=True):
                points += weight * self.read(target["POSITION"])
            joints = self.read(primitive.attributes.JOINTS_0)
            blended = np.einsum(
                "vk,vkij->vij", self.read(primitive.attributes.WEIGHTS_0), matrices[joints]
            )
            points = np.einsum("vij,vj->vi", blended[:, :3, :3], points) + blended[:, :3, 3]
            corners.append(points[self.read(primitive.indices)[:, 0]])
        return np.concatenate(corners)

    def _world(
        self, index: int, above: NDArray[Any], turns: dict[int, Any], places: dict[int, Any]
    ) -> dict[int, Any]:
        node = self.it.nodes[index]
        x, y, z, w = turns[index]
        local = np.eye(4)
        local[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        local[:3, 3] = places.get(index, node.translation)
        here = above @ local
        world = {index: here}
        for child in node.children or []:
            world |= self._world(child, here, turns, places)
        return world


def with_correctives() -> Head:
    """A head in FLAME's form: pose correctives, names without meaning, five joints a vertex."""
    from dataclasses import replace

    random = np.random.default_rng(0)
    weights = HEAD.skin_weights + random.uniform(0, 1e-4, HEAD.skin_weights.shape).astype("f4")
    return replace(
        HEAD,
        id="flame-like",
        expression_names=tuple(f"expression {i}" for i in range(50)),
        pose_basis=random.normal(0, 2e-3, (HEAD.vertex_count, 3, 36)).astype("f4"),
        skin_weights=weights / weights.sum(axis=1, keepdims=True),
        joints_follow_expression=True,
        rest_joints=None,
        joint_shape_basis=None,
    )
