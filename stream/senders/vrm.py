"""The expressions that every VRM avatar has, from ARKit weights: five vowels and blinks.

An avatar without the 52 shapes of perfect sync speaks by these. The vowels share one mouth, so that
together they are at most 1, and none opens lips that are shut.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import ARKIT_52

Floats = NDArray[np.float32]

VRM_0: Final = ("A", "I", "U", "E", "O", "Blink", "Blink_L", "Blink_R")
VRM_1: Final = ("aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight")
"""The same, as files of VRM 1 call them."""

JAW_GAIN: Final = 2.0
"""`jawOpen` of 0.5, as wide as speech goes, is a vowel at full strength."""
ROUND_GAIN, SPREAD_GAIN, PARTED_GAIN = 1.5, 2.0, 4.0

_AT: Final = {name: index for index, name in enumerate(ARKIT_52)}


def vrm_expressions(weights: Floats) -> Floats:
    """ARKit weights (..., 52) to (..., 8) in 0..1, in the order of `VRM_0` and `VRM_1`."""

    def weight(name: str) -> Floats:
        return np.asarray(weights, np.float32)[..., _AT[name]]

    def both(name: str) -> Floats:
        return np.asarray((weight(f"{name}Left") + weight(f"{name}Right")) / 2)

    open_lips = weight("jawOpen") - weight("mouthClose")
    jaw = np.clip(JAW_GAIN * open_lips, 0, 1)
    parted = np.clip(PARTED_GAIN * open_lips + both("mouthLowerDown") + both("mouthUpperUp"), 0, 1)
    rounded = np.clip(ROUND_GAIN * np.maximum(weight("mouthFunnel"), weight("mouthPucker")), 0, 1)
    spread = np.clip(SPREAD_GAIN * np.maximum(both("mouthStretch"), both("mouthSmile")), 0, 1)
    spread = spread * (1 - rounded)
    vowels = (
        jaw * (1 - rounded - spread),
        parted * (1 - jaw) * spread,
        parted * (1 - jaw) * rounded,
        jaw * spread,
        jaw * rounded,
    )
    left, right = weight("eyeBlinkLeft"), weight("eyeBlinkRight")
    # Blink is both eyes; what one has beyond it is that eye's own, as programs add them up.
    shared = np.minimum(left, right)
    blinks = (shared, left - shared, right - shared)
    return np.clip(np.stack([*vowels, *blinks], axis=-1), 0, 1).astype(np.float32)
