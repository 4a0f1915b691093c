"""Live Link Face packets: what Epic's phone app sends, so that a MetaHuman moves without a plugin.

The layout as published by those who read it off the engine and off real packets: version 6, device
id, subject name, frame time and rate, then 61 values, everything big-endian. Order of the values:
the 52 ARKit shapes, then head yaw, pitch, roll and the same for the left and the right eye.
"""

from __future__ import annotations

import struct
import time
import uuid
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import ARKIT_52
from head.errors import WrongValue
from stream.frames import FPS, SAMPLE_RATE, Frame
from stream.senders.angles import eye_angles, yaw_pitch_roll

Floats = NDArray[np.float32]

VERSION: Final = 6
ANGLES: Final = tuple(
    part + angle for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll")
)
NAMES: Final = (*(name[0].upper() + name[1:] for name in ARKIT_52), *ANGLES)
"""The 61 values, as the app and the engine call them."""

_TIME: Final = struct.Struct(">ifii")  # frame, part of a frame, rate as a fraction
SECONDS_OF_DAY: Final = 86_400


def face_values(weights: Floats, rotation: Floats) -> Floats:
    """(..., 52) ARKit weights and (..., 3) head rotation, axis-angle, to the (..., 61) values.

    Angles are radians in ARKit's face axes, which are ours: head yaw > 0 turns to the head's left,
    pitch > 0 looks down. Eye yaw has the other sign in the app's packets: > 0 looks to the right.
    """
    eyes = eye_angles(weights)
    still = np.zeros_like(eyes[..., :1])
    eyes = np.concatenate([-eyes[..., :1], eyes[..., 1:], still], axis=-1)  # yaw, pitch, roll
    eyes = eyes.reshape(*eyes.shape[:-2], 6)
    parts = (np.asarray(weights, np.float32), yaw_pitch_roll(rotation), eyes)
    return np.concatenate(parts, axis=-1)


def packet(
    values: Floats, *, device: str, subject: str, frame: int, part: float = 0.0, fps: int = FPS
) -> bytes:
    """One datagram: (61,) values of the subject, at `frame` + `part` frames since midnight.

    Raises:
        ValueError: not 61 values, or some that are not finite.
    """
    if values.shape != (len(NAMES),) or not np.isfinite(values).all():
        raise WrongValue(f"Live Link Face takes {len(NAMES)} finite values, not {values.shape}")
    return b"".join(
        (
            struct.pack(">B", VERSION),
            _text(device),
            _text(subject),
            _TIME.pack(frame, part, fps, 1),
            struct.pack(">B", len(NAMES)),
            values.astype(">f4").tobytes(),
        )
    )


def _text(text: str) -> bytes:
    """A string as the engine's archives hold it: its length in bytes, then UTF-8."""
    data = text.encode("utf-8")
    return struct.pack(">i", len(data)) + data


class LiveLinkEncoder:
    """Frames as datagrams of one subject; its clock is the time of day of the first frame.

    Args:
        subject: what the engine lists as the subject.
        device: id of the sending device; a new one if None.
        fps: of the frames that it is given; the app's own is 60.
    """

    def __init__(
        self, subject: str = "posetalk", device: str | None = None, fps: int = FPS
    ) -> None:
        self._fps = fps
        self.subject = subject
        self.device = device or str(uuid.uuid4()).upper()
        self._first: int | None = None

    def __call__(self, frame: Frame, values: Floats, captured: float) -> list[bytes]:
        """The datagram of a frame.

        Args:
            frame: gives the time that has passed since the first frame.
            values: (55,) 52 ARKit weights and the head rotation.
            captured: Unix seconds at which the frame's sound was captured.
        """
        number = round(frame.sample * self._fps / SAMPLE_RATE)
        if self._first is None:
            local = time.localtime(captured)
            seconds = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec + captured % 1
            self._first = int(seconds * self._fps) - number
        at = (self._first + number) % (SECONDS_OF_DAY * self._fps)
        face = face_values(values[:52], values[52:55])
        return [packet(face, device=self.device, subject=self.subject, frame=at, fps=self._fps)]
