"""Files in FLAME's format, as Python 2 wrote them, with chumpy and SciPy inside.

The head in them is the built-in one's face and eyes: no one else's data is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.hostile.opcodes import Chumpy, Sparse, code
from head.model import Head

Model = dict[str, Any]


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
