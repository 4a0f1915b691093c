"""The VMC protocol over OSC: what VTuber programs listen for, usually on UDP port 39539.

Per frame: status, time, the head's and the eyes' bones, the ARKit ("perfect sync") values, the
expressions that every VRM avatar has, and the message that applies them. Axes are Unity's:
left-handed, x to the right, y up, z forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from stream.frames import SAMPLE_RATE, Frame
from stream.senders.angles import eye_angles, quaternion
from stream.senders.livelink import NAMES
from stream.senders.vrm import VRM_0, VRM_1, vrm_expressions

if TYPE_CHECKING:
    from pythonosc.osc_message import OscMessage

Floats = NDArray[np.float32]

BUNDLE_BYTES: Final = 1400
"""One datagram that no network cuts in pieces; the protocol asks for less than 1500."""
BUNDLE_HEADER: Final = 16
SHAPES: Final = NAMES[:52]
"""Names of the values: ARKit's, capitalised as avatars with perfect sync call them."""


def unity_rotation(rotation: Floats) -> Floats:
    """Axis-angle (..., 3) in our axes to Unity's quaternions (..., 4) x, y, z, w.

    Our x points to the head's left, Unity's to the right: a mirror, which turns round the rotations
    about y and z and leaves those about x.
    """
    return quaternion(rotation) * np.array([1, -1, -1, 1], np.float32)


VmcNames = Literal["all", "arkit", "vrm"]
"""Which values are sent: an avatar with perfect sync that is given both opens its mouth twice."""


class VmcEncoder:
    """Frames as OSC bundles; the first frame is at time 0.

    Args:
        names: whether the 52 of perfect sync are sent, VRM's own expressions, or both.
    """

    def __init__(self, names: VmcNames = "all") -> None:
        self._names = names
        self._first: int | None = None

    def __call__(self, frame: Frame, values: Floats, captured: float) -> list[bytes]:
        """The datagrams of a frame, the one that applies it last.

        Args:
            frame: gives the time.
            values: (55,) 52 ARKit weights and the head rotation.
            captured: not needed: the protocol's time is relative.
        """
        if self._first is None:
            self._first = frame.sample
        seconds = (frame.sample - self._first) / SAMPLE_RATE
        weights, rotation = values[:52], values[52:55]
        eyes = eye_angles(weights)
        messages = [
            # Loaded; calibrated; normal mode; tracking is fine.
            _message("/VMC/Ext/OK", 1, 3, 0, 1),
            _message("/VMC/Ext/T", float(seconds)),
            _bone("Head", rotation),
            _bone("LeftEye", _look(eyes[0])),
            _bone("RightEye", _look(eyes[1])),
        ]
        values_of: list[tuple[str, float]] = []
        if self._names != "vrm":
            values_of += zip(SHAPES, weights.tolist(), strict=True)
        if self._names != "arkit":
            own = vrm_expressions(weights).tolist()
            values_of += [*zip(VRM_0, own, strict=True), *zip(VRM_1, own, strict=True)]
        messages += [_message("/VMC/Ext/Blend/Val", name, value) for name, value in values_of]
        messages.append(_message("/VMC/Ext/Blend/Apply"))
        return _bundles(messages)


def _look(angles: Floats) -> Floats:
    """(2,) yaw and pitch of an eye as axis-angle; they are small enough to be added up."""
    return np.array([angles[1], angles[0], 0], np.float32)


def _bone(name: str, rotation: Floats) -> OscMessage:
    """A bone's local pose: where it is bound, turned by axis-angle (3,) in our axes."""
    turn = (float(value) for value in unity_rotation(rotation))
    return _message("/VMC/Ext/Bone/Pos", name, 0.0, 0.0, 0.0, *turn)


def _message(address: str, *values: str | float | int) -> OscMessage:
    from pythonosc.osc_message_builder import OscMessageBuilder

    builder = OscMessageBuilder(address)
    for value in values:
        kind = {str: "s", int: "i", float: "f"}[type(value)]
        builder.add_arg(value, kind)
    return builder.build()


def _bundles(messages: list[OscMessage]) -> list[bytes]:
    """As few datagrams as hold all messages, in order."""
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder

    bundles: list[bytes] = []
    builder, size = OscBundleBuilder(IMMEDIATELY), BUNDLE_HEADER
    for message in messages:
        need = message.size + 4
        if size + need > BUNDLE_BYTES:
            bundles.append(builder.build().dgram)
            builder, size = OscBundleBuilder(IMMEDIATELY), BUNDLE_HEADER
        builder.add_content(message)
        size += need
    bundles.append(builder.build().dgram)
    return bundles
