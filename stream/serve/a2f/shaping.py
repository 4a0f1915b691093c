"""The 52 weights as a client of Audio2Face wants them: strengths, offsets, multipliers, smoothing.

The service's blend shapes are ARKit's in ARKit's order, each name with a capital.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from head.channels import ARKIT_52
from head.errors import WrongValue
from stream.frames import FPS

Floats = NDArray[np.float32]

NAMES = tuple(name[:1].upper() + name[1:] for name in ARKIT_52)
"""What the service calls the 52 shapes."""
MOST = 100.0
"""Size of a parameter: no weight is made of larger ones."""
MOST_NAMED = 12
"""Names that one warning lists."""

_PLACES = {name.lower(): place for place, name in enumerate(ARKIT_52)}


def _where(condition: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.array([condition(name) for name in ARKIT_52])


UPPER = _where(lambda name: name.startswith(("eye", "brow", "cheekSquint")))
LOWER = ~UPPER
SKIN = _where(lambda name: not name.startswith(("eyeLook", "jaw", "tongue")))
BLINK = _where(lambda name: name.startswith("eyeBlink"))

NEUTRAL = {
    "faceMaskLevel": 0.6,
    "faceMaskSoftness": 0.0085,
    "tongueStrength": 1.3,
    "tongueHeightOffset": 0.0,
    "tongueDepthOffset": 0.0,
}
"""Parameters of the face that mean nothing here, and what NVIDIA's own clients send unasked: nobody
is warned of that."""
_EPSILON = 1e-6


@dataclass(frozen=True)
class Shape:
    """What is done to the weights of each frame; all (52,).

    Attributes:
        gain, offset: weight * gain + offset.
        clamp: to 0..1 afterwards.
        smoothing: time constants in seconds; 0: none.
    """

    gain: Floats = field(default_factory=lambda: np.ones(52, np.float32))
    offset: Floats = field(default_factory=lambda: np.zeros(52, np.float32))
    clamp: bool = False
    smoothing: Floats = field(default_factory=lambda: np.zeros(52, np.float32))


class Shaper:
    """Applies a `Shape` to frames that follow each other.

    Args:
        shape: what is done.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        slow = shape.smoothing > 0.0
        seconds = np.where(slow, shape.smoothing, 1.0)
        self._share = np.where(slow, 1.0 - np.exp(-1.0 / (FPS * seconds)), 1.0).astype(np.float32)
        self._past: Floats | None = None

    def __call__(self, weights: Floats) -> Floats:
        """The next frame's weights (52,) in 0..1 -> as they are sent, (52,) float32."""
        shape = self._shape
        past = weights if self._past is None else self._past
        self._past = past + self._share * (weights - past)
        shaped = self._past * shape.gain + shape.offset
        if shape.clamp:
            shaped = shaped.clip(0.0, 1.0)
        return np.asarray(shaped, np.float32)


def read_shape(
    face: Mapping[str, float],
    multipliers: Mapping[str, float],
    offsets: Mapping[str, float],
    clamp: bool,
) -> tuple[Shape, list[str]]:
    """What a header's parameters ask for, and the names of those that mean nothing here.

    Args:
        face: parameters of the face, as `lowerFaceStrength`.
        multipliers, offsets: of blend shapes, whatever case their names are written in.
        clamp: whether weights stay within 0 to 1.

    Raises:
        ValueError: a number that cannot be; one sentence.
    """
    for given in (face, multipliers, offsets):
        for name, value in given.items():
            if not (math.isfinite(value) and abs(value) <= MOST):
                raise WrongValue(f"{name[:80]!a} is no number up to {MOST:g}")
    gain, offset, smoothing = _read_face(face)
    ignored = [name for name, value in sorted(face.items()) if _means_nothing(name, value)]
    for name, value in multipliers.items():
        place = _PLACES.get(name.lower())
        if place is None:
            ignored.append(name)
        else:
            gain[place] *= value
            offset[place] *= value
    for name, value in offsets.items():
        place = _PLACES.get(name.lower())
        if place is None:
            ignored.append(name)
        else:
            offset[place] += value
    return Shape(gain, offset, clamp, smoothing), ignored


def _read_face(face: Mapping[str, float]) -> tuple[Floats, Floats, Floats]:
    """Gain, offset and smoothing (52,) that the parameters of the face ask for."""
    gain, offset, smoothing = (np.full(52, value, np.float32) for value in (1.0, 0.0, 0.0))
    gain[UPPER] *= face.get("upperFaceStrength", 1.0)
    gain[LOWER] *= face.get("lowerFaceStrength", 1.0)
    gain[SKIN] *= face.get("skinStrength", 1.0)
    gain[BLINK] *= face.get("blinkStrength", 1.0)
    offset[BLINK] += face.get("blinkOffset", 0.0) - face.get("eyelidOpenOffset", 0.0)
    lips = face.get("lipOpenOffset", 0.0)
    offset[_PLACES["jawopen"]] += max(lips, 0.0)
    offset[_PLACES["mouthclose"]] += max(-lips, 0.0)
    smoothing[UPPER] = max(face.get("upperFaceSmoothing", 0.0), 0.0)
    smoothing[LOWER] = max(face.get("lowerFaceSmoothing", 0.0), 0.0)
    return gain, offset, smoothing


HONOURED = (
    "upperFaceStrength",
    "lowerFaceStrength",
    "skinStrength",
    "blinkStrength",
    "blinkOffset",
    "eyelidOpenOffset",
    "lipOpenOffset",
    "upperFaceSmoothing",
    "lowerFaceSmoothing",
)
"""Parameters of the face that `read_shape` knows."""


def _means_nothing(name: str, value: float) -> bool:
    if name in HONOURED:
        return False
    return name not in NEUTRAL or abs(value - NEUTRAL[name]) > _EPSILON


def named(names: Sequence[str]) -> str:
    """Names as a sentence lists them: a dozen at most, what a client sent made harmless."""
    shown = ", ".join(ascii(name[:40])[1:-1] for name in names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return shown + (f" and {more} more" if more > 0 else "")
