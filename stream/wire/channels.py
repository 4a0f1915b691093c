"""What a frame looks like on the wire: the channel sets a client can choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from head.arkit.weights import arkit_weights
from head.channels import ARKIT_52
from head.model import Head, HeadError
from head.skinning import motion_to_parameters, skin
from stream.frames import Frame
from stream.wire.codec import Kind
from stream.wire.messages import ARKIT52, FLAME, VERTICES, Hello

_ROTATION = ("headRotationX", "headRotationY", "headRotationZ")
_JAW = ("jawX", "jawY", "jawZ")

Values = NDArray[np.float32]
Names = Callable[[Head], list[str] | None]
Payload = Callable[[Head, Frame, Values | None], Values]


@dataclass(frozen=True)
class ChannelSet:
    """One way to tell a frame on the wire.

    Attributes:
        kind: of its binary messages.
        names: of its channels for a head, in payload order; None where the head has no such set,
            empty where channels have numbers alone.
        values: a frame's payload for a head and its identity (n,), float32.
    """

    kind: int
    names: Names
    values: Payload


def _flame_names(head: Head) -> list[str]:
    return [*head.expression_names, *_ROTATION, *_JAW]


def _flame(head: Head, frame: Frame, shape: Values | None) -> Values:
    """(56,): expression, head rotation, jaw."""
    return np.concatenate(motion_to_parameters(frame.motion)).astype(np.float32)


def _arkit_names(head: Head) -> list[str] | None:
    try:
        arkit_weights(head, np.zeros(len(head.expression_names), np.float32), np.zeros(3))
    except HeadError:
        return None  # it has neither the channels nor a way to find them
    return [*ARKIT_52, *_ROTATION]


def _arkit(head: Head, frame: Frame, shape: Values | None) -> Values:
    """(55,): 52 weights, head rotation."""
    expression, rotation, jaw = motion_to_parameters(frame.motion)
    return np.concatenate([arkit_weights(head, expression, jaw), rotation]).astype(np.float32)


def _vertices(head: Head, frame: Frame, shape: Values | None) -> Values:
    """(3 V,): metres."""
    expression, rotation, jaw = motion_to_parameters(frame.motion)
    posed = skin(head, expression, global_rotation=rotation, jaw_pose=jaw, shape=shape)
    return np.asarray(posed, np.float32).ravel()


CHANNEL_SETS: dict[str, ChannelSet] = {
    FLAME: ChannelSet(Kind.FLAME, _flame_names, _flame),
    VERTICES: ChannelSet(Kind.VERTICES, lambda head: [], _vertices),
    ARKIT52: ChannelSet(Kind.ARKIT52, _arkit_names, _arkit),
}
"""The sets that clients can subscribe to; one that is put in here is offered and served."""


def channel_names(head: Head) -> dict[str, list[str]]:
    """Sets this head can offer -> channel names in payload order (vertices have none)."""
    found = {name: each.names(head) for name, each in CHANNEL_SETS.items()}
    return {name: names for name, names in found.items() if names is not None}


def channel_values(head: Head, name: str, frame: Frame, shape: Values | None = None) -> Values:
    """Payload of one frame in the set `name`: (56,), (55,) or (V * 3,) float32."""
    return CHANNEL_SETS[name].values(head, frame, shape)


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
