"""What a frame looks like on the wire: the channel sets a client can choose from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from head.arkit.weights import arkit_weights
from head.channels import ARKIT_52
from head.model import Head, HeadError
from head.skinning import motion_to_parameters, skin
from stream.frames import Frame
from stream.wire.messages import ARKIT52, FLAME, VERTICES, Hello

_ROTATION = ("headRotationX", "headRotationY", "headRotationZ")
_JAW = ("jawX", "jawY", "jawZ")


def channel_names(head: Head) -> dict[str, list[str]]:
    """Sets this head can offer -> channel names in payload order (vertices have none)."""
    names = {FLAME: [*head.expression_names, *_ROTATION, *_JAW], VERTICES: []}
    try:
        arkit_weights(head, np.zeros(len(head.expression_names), np.float32), np.zeros(3))
    except HeadError:
        return names  # a FLAME head has no ARKit channels
    return names | {ARKIT52: [*ARKIT_52, *_ROTATION]}


def channel_values(
    head: Head, name: str, frame: Frame, shape: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Payload of one frame in the set `name`: (56,), (55,) or (V * 3,) float32."""
    expression, rotation, jaw = motion_to_parameters(frame.motion)
    if name == FLAME:
        return np.concatenate([expression, rotation, jaw]).astype(np.float32)
    if name == ARKIT52:
        return np.concatenate([arkit_weights(head, expression, jaw), rotation]).astype(np.float32)
    vertices = skin(head, expression, global_rotation=rotation, jaw_pose=jaw, shape=shape)
    return np.asarray(vertices, np.float32).ravel()


def make_hello(
    head: Head,
    *,
    style: str = "",
    styles: Sequence[str] = (),
    shape: NDArray[np.float32] | None = None,
) -> Hello:
    """The hello of a server for this head."""
    return Hello(
        head=head.id,
        channels=channel_names(head),
        style=style,
        styles=list(styles),
        shape=[] if shape is None else [float(value) for value in shape],
        vertices=len(head.template),
        faces=len(head.faces),
    )
