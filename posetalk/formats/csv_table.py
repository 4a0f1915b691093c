"""`.csv`: a table of ARKit weights, in the form that Live Link Face exports.

Importers of that app read it: Unreal's, Blender's, Maya's add-ons. It has no place for a remark,
nor for its frame rate: they take a row for a sixtieth of a second, as the app records.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from head.arkit.weights import arkit_weights
from head.errors import WrongValue
from posetalk.formats.clip import Clip
from stream.resample import at_rate
from stream.senders.livelink import NAMES, face_values

_PAIRS: Final = {"JawLeft": "JawRight", "MouthLeft": "MouthRight"}
"""The app's table has these the other way round than its packets."""
COLUMNS: Final = tuple(
    _PAIRS.get(name, {right: left for left, right in _PAIRS.items()}.get(name, name))
    for name in NAMES
)


APP_FPS: Final = 60


def write(clip: Clip, fps: int = APP_FPS) -> bytes:
    """One line per frame: timecode from 00:00:00:00, the number of values, the values.

    Angles are in radians, as in the app's packets. Between the clip's frames weights and head
    rotation are interpolated linearly; after its last one they stay.

    Raises:
        HeadError: the head has no ARKit channels.
        ValueError: no such frame rate.
    """
    check_fps(fps)
    weights = arkit_weights(clip.head, clip.expression, clip.jaw)
    weights, rotation = (at_rate(rows, clip.fps, fps) for rows in (weights, clip.rotation))
    values = face_values(weights, rotation)
    values = values[:, [NAMES.index(name) for name in COLUMNS]]
    lines = [",".join(("Timecode", "BlendShapeCount", *COLUMNS))]
    for number, row in enumerate(np.round(values.astype(np.float64), 8) + 0.0):
        cells = (timecode(number, fps), str(len(COLUMNS)), *(f"{value:.8f}" for value in row))
        lines.append(",".join(cells))
    return ("\n".join(lines) + "\n").encode("ascii")


def check_fps(fps: int) -> None:
    """Refuse a frame rate that a table can't have, with a ValueError."""
    if not 1 <= fps <= 240:
        raise WrongValue(f"--fps {fps}: choose 1 to 240 rows per second")


def timecode(frame: int, fps: int) -> str:
    """Frame number to `HH:MM:SS:FF.000`; frames count 0 to `fps` - 1."""
    seconds, part = divmod(frame, fps)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}:{part:02}.000"
