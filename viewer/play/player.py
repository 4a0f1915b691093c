"""From what arrives on the wire to vertices: which head, which shape, which motion. No I/O."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from head.model import Head, HeadError
from head.rig import load_head
from head.skinning import motion_to_parameters, skin
from stream.wire import messages

Floats = NDArray[np.float32]

EXPRESSIONS, FLAME_VALUES = 50, 56


class PlayerError(PosetalkError, ValueError):
    """The server's motion does not fit a head that is here; one line that says what to do."""


def head_for(hello: messages.Hello) -> Head:
    """The head that the server's motion belongs to; raises PlayerError."""
    try:
        return load_head(hello.head)
    except (HeadError, OSError) as error:
        raise PlayerError(
            f"the server animates the head {str(hello.head)[:60]!r}, which is not here ({error});"
            " give its file with --head"
        ) from error


def check_head(hello: messages.Hello, head: Head) -> Head:
    """`head`, if the server's motion belongs to it; raises PlayerError."""
    if head.id != hello.head:
        raise PlayerError(
            f"the server animates the head {str(hello.head)[:60]!r}, the file given holds"
            f" {head.id[:60]!r}: give the server's own with --head, or leave --head out"
        )
    return head


def shape_for(hello: messages.Hello, head: Head) -> Floats | None:
    """Identity weights (S,) that the server names, cut to the head's own; None for neutral."""
    shape = np.asarray(hello.shape, np.float32)[: head.shape_count]
    return shape if np.any(shape) else None


def vertices_of(head: Head, shape: Floats | None, values: Floats) -> Floats:
    """Vertices (V, 3) of one frame of FLAME parameters or of bare vertices as they arrived.

    Raises:
        PlayerError: neither.
    """
    if values.size == 3 * head.vertex_count:
        return values.reshape(-1, 3)
    if values.size != FLAME_VALUES or len(head.expression_names) != EXPRESSIONS:
        raise PlayerError(f"a frame of {values.size} values does not fit the head {head.id!r}")
    vertices: Floats = skin(
        head,
        values[:EXPRESSIONS],
        global_rotation=values[EXPRESSIONS : EXPRESSIONS + 3],
        jaw_pose=values[EXPRESSIONS + 3 :],
        shape=shape,
    )
    return vertices


def rest_like(head: Head, shape: Floats | None, values: Floats) -> Floats:
    """The head at rest, as values of the kind that these are."""
    if values.size == FLAME_VALUES:
        return np.zeros_like(values)
    return vertices_of(head, shape, np.zeros(FLAME_VALUES, np.float32)).reshape(-1)


def vertices_of_motion(head: Head, motion: Floats, shape: Floats | None = None) -> Floats:
    """Vertices (..., V, 3) of motion vectors (..., 54)."""
    expression, rotation, jaw = motion_to_parameters(np.asarray(motion, np.float32))
    vertices: Floats = skin(head, expression, global_rotation=rotation, jaw_pose=jaw, shape=shape)
    return vertices
