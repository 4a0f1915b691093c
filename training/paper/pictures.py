"""Pictures of a validation: faces and curves, the model's above the label's, as RGB arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from head.rig import Head
from stream.frames import FPS

Array = NDArray[np.floating]
_LIGHT = np.array([0.35, 0.45, 0.82])
_SKIN = np.array([0.86, 0.72, 0.63])


def curves(rows: Mapping[str, tuple[Array, Array]], fps: int = FPS) -> NDArray[np.uint8]:
    """One plot a row, (model (n,), label (n,)) by name: (H, W, 3)."""
    figure = Figure(figsize=(9, 1.5 * len(rows)), dpi=80, layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(rows), 1, sharex=True))
    for axis, (name, (model, label)) in zip(axes, rows.items(), strict=True):
        seconds = np.arange(len(label)) / fps
        axis.plot(seconds, label, color="0.55", linewidth=1.6, label="label")
        axis.plot(seconds, model, color="C3", linewidth=1.1, label="model")
        axis.set_ylabel(name, fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=7, loc="upper right", ncols=2, frameon=False)
    axes[-1].set_xlabel("s", fontsize=8)
    return _array(figure)


def faces(
    head: Head, rows: Mapping[str, Array], columns: list[str], size: float = 1.7
) -> NDArray[np.uint8]:
    """Faces side by side, rows of vertices (m, V, 3) metres by name: (H, W, 3).

    Framed by the lips, if the head names them: lips and jaw are what one looks at.
    """
    triangles = np.asarray(head.faces)
    count = len(columns)
    figure = Figure(figsize=(size * count, size * len(rows) + 0.2), dpi=110, layout="constrained")
    axes = np.atleast_2d(figure.subplots(len(rows), count, squeeze=False))
    low, high = np.quantile(np.asarray(head.template)[:, :2], [0.002, 0.998], axis=0)
    if "lips" in head.regions:
        lips = np.asarray(head.template)[head.region("lips"), :2]
        (x, y), width = lips.mean(0), np.ptp(lips[:, 0])
        low = np.array([x - 1.4 * width, y - 1.1 * width])
        high = np.array([x + 1.4 * width, y + 2.1 * width])
    for axis_row, (name, vertices) in zip(axes, rows.items(), strict=True):
        for axis, points, title in zip(axis_row, vertices, columns, strict=True):
            axis.add_collection(_shaded(points, triangles))
            axis.set_xlim(low[0], high[0])
            axis.set_ylim(low[1], high[1])
            axis.set_aspect("equal")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(f"{name} {title}", fontsize=7)
    return _array(figure)


def _shaded(points: Array, triangles: NDArray[np.integer]) -> PolyCollection:
    """Triangles that look this way, the far ones first, as bright as they face the light."""
    corners = points[triangles]  # (F, 3, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    seen = normal[:, 2] > 0
    corners, normal = corners[seen], normal[seen]
    order = np.argsort(corners[:, :, 2].mean(1))
    shade = 0.35 + 0.65 * np.clip(normal[order] @ _LIGHT, 0.0, 1.0)
    colours = np.clip(shade[:, None] * _SKIN, 0.0, 1.0)
    return PolyCollection(
        list(corners[order][:, :, :2]), facecolors=colours, edgecolors=colours, linewidths=0.2
    )


def _array(figure: Figure) -> NDArray[np.uint8]:
    canvas: Any = FigureCanvasAgg(figure)  # which carries no types
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
