"""What a row of the blind test shows of a style: curves over a clip, numbers, moments of stills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.channels import INDEX
from head.measure import eye_opening, lip_gap
from head.model import Head
from training.live_figures import BLINK, OPEN_AGAIN, ROTATION, SHUT, head_range
from training.metrics import FPS, head_speed, vertices

Array = NDArray[np.floating[Any]]
FRAME = 640
STILLS = 8
LAGS = range(-4, 5)


@dataclass(frozen=True, eq=False)
class Curves:
    """Of n frames in one style.

    Attributes:
        lips: gap between the lips, mm (n,).
        head: nod (down), turn (to the subject's left), tilt in degrees (n, 3).
        brows: height of the brows, channel weight, drawn down is negative (n,).
        smile: corners of the mouth, channel weight, down is negative (n,).
        eyes: opening of the lids, mean of both eyes, mm (n,).
        blinks: frames at which a blink shuts the eyes.
        head_range, head_speed: degrees, and degrees per second.
        gaze_down: mean channel weight, up is negative.
    """

    lips: Array
    head: Array
    brows: Array
    smile: Array
    eyes: Array
    blinks: tuple[int, ...]
    head_range: float
    head_speed: float
    gaze_down: float


def curves(head: Head, motion: Array) -> Curves:
    """Of raw motion (n, 54) of the built-in head."""
    posed = vertices(head, motion)
    left, right = (np.asarray(eye_opening(head, posed, side)) for side in ("left", "right"))
    return Curves(
        lips=1e3 * np.asarray(lip_gap(head, posed)),
        head=np.degrees(motion[:, ROTATION]),
        brows=_both(motion, "browOuterUp") / 2 + motion[:, INDEX["browInnerUp"]] / 2
        - _both(motion, "browDown"),
        smile=_both(motion, "mouthSmile") - _both(motion, "mouthFrown"),
        eyes=500.0 * (left + right),
        blinks=blink_frames(motion[:, BLINK].mean(1)),
        head_range=head_range(motion),
        head_speed=float(FPS * head_speed(motion).mean()) if len(motion) > 1 else 0.0,
        gaze_down=float((_both(motion, "eyeLookDown") - _both(motion, "eyeLookUp")).mean()),
    )  # fmt: skip


def _both(motion: Array, stem: str) -> Array:
    """Mean of a channel's two sides."""
    return 0.5 * (motion[:, INDEX[f"{stem}Left"]] + motion[:, INDEX[f"{stem}Right"]])


def blink_frames(lids: Array) -> tuple[int, ...]:
    """Frames at which lids (n,) shut, once for each time that they opened again."""
    found, shut = [], False
    for frame, weight in enumerate(lids):
        if not shut and weight > SHUT:
            found.append(frame)
            shut = True
        elif shut and weight < OPEN_AGAIN:
            shut = False
    return tuple(found)


def moments(samples: NDArray[np.float32], count: int = STILLS) -> list[int]:
    """The loudest frame of each of `count` equal parts of a clip (640 n,): of the sound alone, so
    that every style is seen at the same ones."""
    loudness = np.square(samples.reshape(-1, FRAME)).mean(1)
    parts = np.array_split(np.arange(len(loudness)), count)
    return [int(part[loudness[part].argmax()]) for part in parts if len(part)]


def earlier(lips: Array, usual: Array) -> float:
    """Milliseconds by which a curve of the lips runs ahead of another one, to a part of a frame:
    the peak of their correlation, by a parabola."""
    edge = max(LAGS)
    middle = usual[edge : len(usual) - edge]
    moved = [lips[edge - lag : len(lips) - edge - lag] for lag in LAGS]
    if len(middle) < 2 or min(np.ptp(middle), *(np.ptp(one) for one in moved)) < 1e-6:
        return 0.0
    match = np.array([np.corrcoef(one, middle)[0, 1] for one in moved])
    best = int(np.clip(match.argmax(), 1, len(match) - 2))
    before, peak, after = match[best - 1 : best + 2]
    bend = before - 2 * peak + after
    return float(1000 / FPS * (LAGS[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0)))


def numbers(row: Curves, usual: Array) -> list[tuple[str, str]]:
    """(what, value) of a row, in the order of its curves.

    Args:
        usual: mean curve of the lips over all rows, which timing is told against.
    """
    nod, turn, tilt = row.head.mean(0)
    return [
        ("lips, 90 %", f"{np.percentile(row.lips, 90):.1f} mm"),
        ("lips earlier by", f"{earlier(row.lips, usual):+.0f} ms"),
        ("head speed", f"{row.head_speed:.1f} °/s"),
        ("head range", f"{row.head_range:.1f}°"),
        ("mean nod", f"{nod:+.1f}°"),
        ("mean turn", f"{turn:+.1f}°"),
        ("mean tilt", f"{tilt:+.1f}°"),
        ("mean brows", f"{row.brows.mean():+.2f}"),
        ("play of brows", f"{row.brows.std():.2f}"),
        ("mean smile", f"{row.smile.mean():+.2f}"),
        ("gaze down", f"{row.gaze_down:+.2f}"),
        ("eyes open", f"{np.median(row.eyes):.1f} mm"),
        ("blinks", str(len(row.blinks))),
    ]


def scales(rows: Sequence[Curves]) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every panel: one scale for all rows of both pictures."""
    return {
        "lips": _span([row.lips for row in rows], (0.0, 8.0)),
        "head": _span([row.head for row in rows], (-4.0, 4.0)),
        "face": _span([one for row in rows for one in (row.brows, row.smile)], (-0.2, 0.4)),
        "eyes": _span([row.eyes for row in rows], (-4.0, 8.0), room=0.45),  # blinks: below 0
    }


def _span(
    values: Sequence[Array], least: tuple[float, float], room: float = 0.3
) -> tuple[float, float]:
    """Around all values, with room above them for the names of the curves."""
    low = min(least[0], *(float(one.min()) for one in values))
    high = max(least[1], *(float(one.max()) for one in values))
    return low - 0.05 * (high - low), high + room * (high - low)
