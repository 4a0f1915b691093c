"""The part of a head that figures look at: lips, upper face, the mouth's opening.

Vertices are metres, of the face with the head rotation set to zero; motion is raw, (n, D) with D =
expression channels, head rotation (3, radians) if there is one, jaw.  Pure numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.rig import Head
from head.skinning import skin

REGIONS = ("lips", "upper_face", "lip_gap_upper", "lip_gap_lower")

Array = NDArray[np.floating[Any]]


class PaperMetricError(PosetalkError, ValueError):
    """Motion or a head that cannot be measured; one line."""


@dataclass(frozen=True, eq=False)
class Face:
    """The part of a head that the figures look at, cheap to skin.

    Attributes:
        part: the head with these vertices only.
        lips: region `lips` (LVE); upper: region `upper_face` (FDD): indices into `part`.
        gap_upper, gap_lower: pairs of inner-lip vertices (MOD).
    """

    part: Head
    lips: NDArray[np.int64]
    upper: NDArray[np.int64]
    gap_upper: NDArray[np.int64]
    gap_lower: NDArray[np.int64]

    @staticmethod
    def of(head: Head) -> Face:
        """The masks of a head, which are the head's own regions.

        Raises:
            PaperMetricError: it has no such region.
        """
        for name in REGIONS:
            if name not in head.regions or not len(head.regions[name]):
                raise PaperMetricError(f"head {head.id!r} has no region {name!r} to measure")
        every = [np.asarray(head.regions[name], np.int64) for name in REGIONS]
        chosen = np.unique(np.concatenate(every))
        lips, upper, gap_upper, gap_lower = (np.searchsorted(chosen, one) for one in every)
        return Face(head.subset(chosen), np.unique(lips), np.unique(upper), gap_upper, gap_lower)

    def vertices(self, motion: Array, shape: Array | None = None) -> Array:
        """Vertices of (..., D) motion without head rotation: (..., V, 3) metres.

        Args:
            shape: (n_shape,) raw identity; the head's own if None.
        """
        expressions = len(self.part.expression_names)
        jaw = np.zeros((*motion.shape[:-1], 3), np.float32)
        jaw[..., 0] = motion[..., -1]
        expression = motion[..., :expressions].astype(np.float32)
        identity = None
        if shape is not None:
            known = np.asarray(shape, np.float32)[: self.part.shape_count]
            identity = np.broadcast_to(known, (*motion.shape[:-1], len(known)))
        out: Array = skin(self.part, expression, jaw_pose=jaw, shape=identity)
        return out

    def opening(self, vertices: Array) -> Array:
        """Mouth opening (...,), metres: mean distance of the middle pairs of inner-lip vertices."""
        between = vertices[..., self.gap_upper, :] - vertices[..., self.gap_lower, :]
        out: Array = np.linalg.norm(between, axis=-1).mean(-1)
        return out
