"""The 50 expression channels of the built-in head, and the angles the mouth channels are tuned to.

They are the 52 blend shapes of ARKit in ARKit's order, without `jawOpen` (the jaw is a joint here)
and without `cheekPuff` (it has no place among 50 and speech does not need it).
"""

from __future__ import annotations

from typing import Final

ARKIT_52: Final[tuple[str, ...]] = (
    "eyeBlinkLeft",
    "eyeLookDownLeft",
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookUpLeft",
    "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight",
    "eyeLookDownRight",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookUpRight",
    "eyeSquintRight",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)
"""Apple's names, in the order in which games and trackers send them."""

CHANNELS: Final[tuple[str, ...]] = tuple(
    name for name in ARKIT_52 if name not in ("jawOpen", "cheekPuff")
)
"""Names of `expression[..., 0..49]`, in order."""

INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(CHANNELS)}

EXPRESSION: Final = slice(0, len(CHANNELS))
ROTATION: Final = slice(len(CHANNELS), len(CHANNELS) + 3)
JAW: Final = len(CHANNELS) + 3
"""What a motion vector (54,) holds: expression weights, the head's rotation, the jaw's angle."""

ARTICULATION: Final[tuple[int, ...]] = tuple(
    index for name, index in INDEX.items() if name.startswith(("jaw", "mouth", "tongue"))
)
"""Channels that speech articulates, as indices into `expression`."""

LIDS: Final = (INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"])
"""Channels that shut the eyes."""

JAW_OPEN_RADIANS: Final = 0.35
"""Jaw angle about +x that counts as fully open (ARKit's jawOpen = 1)."""

MOUTH_CLOSE_RADIANS: Final = 0.20
"""`mouthClose` = w brings the lips together over a jaw opened by w times this angle."""


def mirrored(name: str) -> str:
    """The channel that does on the other side of the face what `name` does on this one."""
    for ending, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(ending):
            return name.removesuffix(ending) + other
    return name
