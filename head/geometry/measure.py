"""Distances on a posed face, in metres. Vertices are (..., V, 3), numpy or torch."""

from __future__ import annotations

from typing import Any

from head.model import Head, HeadError

Array = Any


def lip_gap(head: Head, vertices: Array) -> Array:
    """Signed opening between the lips (...,): the least height of the upper inner lip over the
    lower one among the middle pairs. About 0 when sealed, negative when pressed together.
    """
    upper, lower = _region(head, "lip_gap_upper"), _region(head, "lip_gap_lower")
    gap = vertices[..., upper, 1] - vertices[..., lower, 1]
    least = gap.min(-1)
    return least if not hasattr(least, "values") else least.values  # torch returns a pair


def mouth_width(head: Head, vertices: Array) -> Array:
    """Distance between the corners of the mouth (...,)."""
    return _distance(head, vertices, "mouth_left", "mouth_right")


def lip_protrusion(head: Head, vertices: Array) -> Array:
    """How far the middle of the lips is in front of the eyes (...,), along z."""
    upper, lower = _landmark(head, "lip_upper_mid"), _landmark(head, "lip_lower_mid")
    left, right = _landmark(head, "eye_outer_left"), _landmark(head, "eye_outer_right")
    lips = (vertices[..., upper, 2] + vertices[..., lower, 2]) / 2
    return lips - (vertices[..., left, 2] + vertices[..., right, 2]) / 2


def eye_opening(head: Head, vertices: Array, side: str) -> Array:
    """Height (...,) of the opening between the lids of the eye on `side`, 'left' or 'right'."""
    upper, lower = _landmark(head, f"eye_upper_{side}"), _landmark(head, f"eye_lower_{side}")
    return vertices[..., upper, 1] - vertices[..., lower, 1]


def _distance(head: Head, vertices: Array, one: str, other: str) -> Array:
    between = vertices[..., _landmark(head, one), :] - vertices[..., _landmark(head, other), :]
    return (between * between).sum(-1) ** 0.5


def _landmark(head: Head, name: str) -> int:
    if name not in head.landmarks:
        raise HeadError(f"head {head.id!r} has no landmark {name!r}")
    return head.landmarks[name]


def _region(head: Head, name: str) -> list[int]:
    if name not in head.regions:
        raise HeadError(f"head {head.id!r} has no region {name!r}")
    return [int(index) for index in head.regions[name]]
