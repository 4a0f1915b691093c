"""Files in FLAME's format, as Python 2 wrote them: opcode by opcode, with chumpy and SciPy inside.

The head in them is the built-in one's face and eyes: no one else's data is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from head.model import Head

Model = dict[str, Any]


class Raw:
    """Opcodes that are already there."""

    def __init__(self, code: bytes) -> None:
        self.code = code


class Chumpy:
    """An array that is pickled as `chumpy.ch.Ch`."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


class Sparse:
    """An array that is pickled as `scipy.sparse.csc.csc_matrix`."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


def text(value: str) -> bytes:
    """A Python 2 `str`."""
    data = value.encode("latin1")
    if len(data) < 256:
        return b"U" + bytes([len(data)]) + data
    return b"T" + struct.pack("<i", len(data)) + data


def reference(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def code(value: Any) -> bytes:
    """Opcodes of a value (protocol 2)."""
    if isinstance(value, Raw):
        return value.code
    if isinstance(value, Chumpy):
        dirty = Raw(reference("__builtin__", "set") + b"]\x85R")
        state = {"x": value.array, "_dirty_vars": dirty, "_itr": None, "_depends_on_deps": {}}
        return _object("chumpy.ch", "Ch") + code(state) + b"b"
    if isinstance(value, Sparse):
        columns = [np.flatnonzero(c) for c in value.array.T]
        state = {
            "_shape": tuple(int(n) for n in value.array.shape),
            "maxprint": 50,
            "indices": np.concatenate(columns).astype(np.int32),
            "indptr": np.cumsum([0, *map(len, columns)]).astype(np.int32),
            "data": np.concatenate([value.array[rows, k] for k, rows in enumerate(columns)]),
        }
        return _object("scipy.sparse.csc", "csc_matrix") + code(state) + b"b"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, tuple):
        return b"(" + b"".join(code(item) for item in value) + b"t"
    if isinstance(value, dict):
        items = b"".join(code(k) + code(v) for k, v in value.items())
        return b"}(" + items + b"u"
    raise TypeError(type(value))


def _object(module: str, name: str) -> bytes:
    made = reference(module, name) + reference("__builtin__", "object") + b"N\x87R"
    return reference("copy_reg", "_reconstructor") + made


def _array(value: np.ndarray) -> bytes:
    kind = value.dtype.str[1:]
    dtype = (
        reference("numpy", "dtype")
        + code((kind, 0, 1))
        + b"R"
        + code((3, "<", None, None, None, -1, -1, 0))
        + b"b"
    )
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    data = value.tobytes("F" if fortran else "C")
    empty = reference("numpy", "ndarray") + code((0,)) + code("b")
    made = reference("numpy.core.multiarray", "_reconstruct") + b"(" + empty + b"tR"
    sizes = tuple(int(n) for n in value.shape)
    state = (1, sizes, Raw(dtype), bool(fortran), data.decode("latin1"))
    return made + code(state) + b"b"


def pickled(model: Mapping[str, Any]) -> bytes:
    """The whole file."""
    return b"\x80\x02" + code(dict(model)) + b"."


def flame_model(head: Head, seed: int = 0, mixing: np.ndarray | None = None) -> Model:
    """A FLAME dictionary of a head's skin and eyeballs.

    Its expressions are the head's channels mixed by an orthogonal matrix (50, 50), as anonymous as
    FLAME's; its 300 shapes and its correctives are small and smooth.
    """
    rng = np.random.default_rng(seed)
    keep = np.concatenate([head.regions[name] for name in ("skin", "eye_left", "eye_right")])
    part = head.subset(keep)
    count = part.vertex_count
    if mixing is None:
        mixing = np.linalg.qr(rng.normal(size=(50, 50)))[0]
    waves = rng.normal(0, 40, (3, 400))
    ripple = np.sin(part.template @ waves + rng.uniform(0, 6, 400))  # (V, 400)
    shapedirs = 0.001 * ripple[:, None, :] * rng.normal(size=(3, 400))
    shapedirs[:, :, 20:300] = 0  # small files are quick to write
    shapedirs[:, :, 300:350] = part.expression_basis @ mixing
    shapedirs = shapedirs.astype(np.float32)
    posedirs = 0.0008 * ripple[:, None, :36] * rng.normal(size=(3, 36))
    near = np.zeros((5, count))
    for k, joint in enumerate(np.asarray(head.rest_joints)):
        index = np.argsort(np.linalg.norm(part.template - joint, axis=1))[:60]
        system = np.vstack([part.template[index].T, np.ones(60)])
        near[k, index] = np.linalg.pinv(system) @ np.append(joint, 1.0)
    kintree = np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.uint32)
    return {
        "v_template": Chumpy(part.template.astype(np.float64)),
        "f": part.faces.astype(np.uint32),
        "shapedirs": Chumpy(shapedirs),
        "posedirs": posedirs,
        "J_regressor": Sparse(near),
        "J": near @ part.template,
        "kintree_table": kintree,
        "weights": Chumpy(part.skin_weights.astype(np.float64)),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def plain(model: Model) -> dict[str, np.ndarray]:
    """The arrays of a model, as they were before pickling."""
    return {
        key: value.array if isinstance(value, Chumpy | Sparse) else value
        for key, value in model.items()
        if not isinstance(value, str)
    }
