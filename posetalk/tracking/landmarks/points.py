"""The landmarks by what they mark, and where they lie on the built-in head.

Numbers are those of MediaPipe's mesh of 478 points. `left` is the subject's left.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

FILE: Final = Path(__file__).with_name("points.json")

SIDES: Final = ("left", "right")
LIPS_UPPER: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
"""The inner edge of the upper lip, from the right corner of the mouth to the left."""
LIPS_LOWER: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_OUTER: Final = (
    61,
    185,
    40,
    39,
    37,
    0,
    267,
    269,
    270,
    409,
    291,
    375,
    321,
    405,
    314,
    17,
    84,
    181,
    91,
    146,
)
LIDS_UPPER: Final = {
    "right": (133, 173, 157, 158, 159, 160, 161, 246, 33),
    "left": (362, 398, 384, 385, 386, 387, 388, 466, 263),
}
"""From the inner corner of the eye to the outer one."""
LIDS_LOWER: Final = {
    "right": (133, 155, 154, 153, 145, 144, 163, 7, 33),
    "left": (362, 382, 381, 380, 374, 373, 390, 249, 263),
}
UPPER_LID: Final = {side: LIDS_UPPER[side][2:7] for side in SIDES}
LOWER_LID: Final = {side: LIDS_LOWER[side][2:7] for side in SIDES}
"""Their middles, which a blink moves most."""
IRIS: Final = {"right": 468, "left": 473}
"""The middle of each iris."""
BROWS: Final = (
    46,
    53,
    52,
    65,
    55,
    70,
    63,
    105,
    66,
    107,
    276,
    283,
    282,
    295,
    285,
    300,
    293,
    334,
    296,
    336,
)
RIGID: Final = (
    10,
    338,
    297,
    332,
    109,
    67,
    103,
    151,
    9,
    8,
    168,
    6,
    197,
    195,
    5,
    21,
    251,
    33,
    133,
    362,
    263,
    93,
    323,
    4,
    1,
    45,
    275,
    220,
    440,
)
"""What hardly moves on the skull, whatever the face does."""
CHIN: Final = (152, 148, 377, 175, 199, 200, 171, 396, 140, 369, 208, 428, 201, 421)
CHEEKS: Final = (
    50,
    280,
    205,
    425,
    36,
    266,
    187,
    411,
    207,
    427,
    216,
    436,
    212,
    432,
    203,
    423,
    206,
    426,
    92,
    322,
    186,
    410,
    57,
    287,
    43,
    273,
    165,
    391,
    164,
    202,
    422,
    210,
    430,
    214,
    434,
)
NOSE: Final = (49, 279, 64, 294, 98, 327, 2, 102, 331)

LIDS: Final = tuple(dict.fromkeys(k for side in SIDES for k in LIDS_UPPER[side] + LIDS_LOWER[side]))
LIPS: Final = tuple(dict.fromkeys(LIPS_UPPER + LIPS_LOWER + LIPS_OUTER))
LOWER: Final = LIPS + CHIN + CHEEKS
"""What the mouth and the jaw move."""
USED: Final = tuple(
    dict.fromkeys((*LOWER, *NOSE, *BROWS, *LIDS, *RIGID, *(IRIS[side] for side in SIDES)))
)
"""The landmarks that are kept of every picture, in this order."""
PLACE: Final = {landmark: place for place, landmark in enumerate(USED)}


def places(landmarks: tuple[int, ...]) -> NDArray[np.int64]:
    """(N,) where these landmarks stand in `USED`."""
    return np.array([PLACE[k] for k in landmarks], np.int64)


@functools.cache
def vertices_of(head: str) -> dict[int, int]:
    """Vertex by landmark, of the head with this id.

    Raises:
        KeyError: the table is of another head.
    """
    table = json.loads(FILE.read_text("utf-8"))
    if table["head"] != head:
        raise KeyError(head)
    return {int(k): int(v) for k, v in table["vertices"].items()}
