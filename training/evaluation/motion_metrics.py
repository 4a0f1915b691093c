"""Figures of generated motion against a label: closures, jaw, silence, lips, head, seams.

Pure functions of arrays; lengths in millimetres, times in seconds, motion in raw units.  Frame k is
read at its middle, (k + 1/2) / fps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.channels import JAW, ROTATION
from head.geometry.measure import lip_gap
from head.rig import Head
from head.skinning import skin
from stream.frames import FPS
from training.labels.phones import BILABIALS, SILENCE, VOWELS, Phone

CLOSED_MM = 1.0
"""Lips nearer than this are closed."""
OPEN_MM = 2.0
"""Lips further apart than this are open in silence."""
CLOSURE_MARGIN = 0.02
"""A closure counts within the phone and this much around it."""
AFTER_WORD, BEFORE_WORD = 0.2, 0.3
"""Seconds of a pause that are not its silence."""

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Measured:
    """What one clip's motion measures; counts are added up and arrays joined over clips.

    Attributes:
        closures: P, B and M that the label closes; closed: those that the motion closes too.
        vowels: vowel middles; vowels_closed: those where the motion's lips are closed.
        jaw, label_jaw: (n,) at non-silent frames, radians.
        silent, silent_open: frames inside pauses, and those with open lips.
        lip_error: (n,) largest distance of a lip vertex from the label's, mm (LVE, not squared).
        head_speed, label_head_speed: (n - 1,) degrees per frame.
        seam_jump, other_jump: change of the lip gap from frame to frame, mm, at hops and elsewhere.
        gap, label_gap: (n,) mm at non-silent frames.
    """

    closures: int
    closed: int
    vowels: int
    vowels_closed: int
    jaw: Array
    label_jaw: Array
    silent: int
    silent_open: int
    lip_error: Array
    head_speed: Array
    label_head_speed: Array
    seam_jump: Array
    other_jump: Array
    gap: Array
    label_gap: Array


def vertices(head: Head, motion: Array) -> Array:
    """Vertices of (n, 54) motion without head rotation: (n, V, 3) metres."""
    jaw = np.pad(motion[:, JAW:], ((0, 0), (0, 2)))
    out: Array = skin(head, motion[:, :50], jaw_pose=jaw)
    return out


def measure(head: Head, motion: Array, label: Array, phones: Sequence[Phone], hop: int) -> Measured:
    """Measure a clip's (n, 54) motion against its label.

    Args:
        head: with the regions of `head.geometry.measure`.
        phones: of the clip, tidied as for the label.
        hop: frames between model calls, for the seams.
    """
    n = min(len(motion), len(label))
    motion, label = motion[:n], label[:n]
    ours, truth = vertices(head, motion), vertices(head, label)
    return measure_vertices(head, ours, truth, motion, label, phones, hop)


def measure_vertices(
    head: Head,
    ours: Array,
    truth: Array,
    motion: Array,
    label: Array,
    phones: Sequence[Phone],
    hop: int,
) -> Measured:
    """`measure` of motion whose vertices are known: those of `head`, (n, V, 3) metres."""
    n = len(motion)
    gap, label_gap = (1000.0 * np.asarray(lip_gap(head, v)) for v in (ours, truth))
    middles = (np.arange(n) + 0.5) / FPS
    spoken = np.zeros(n, bool)
    silent = np.zeros(n, bool)
    closures = closed = vowels = vowels_closed = 0
    for phone in phones:
        inside = (middles >= phone.start) & (middles < phone.end)
        if phone.name == SILENCE:
            # The middle of a pause: lips take a moment to close, and open before the next word.
            silent |= (middles >= phone.start + AFTER_WORD) & (middles < phone.end - BEFORE_WORD)
            continue
        spoken |= inside
        near = (middles >= phone.start - CLOSURE_MARGIN) & (middles <= phone.end + CLOSURE_MARGIN)
        if phone.name in BILABIALS and near.any() and label_gap[near].min() < CLOSED_MM:
            closures += 1
            closed += int(gap[near].min() < CLOSED_MM)
        k = int(phone.middle * FPS)
        if phone.name in VOWELS and k < n:
            vowels += 1
            vowels_closed += int(gap[k] < CLOSED_MM)
    lips = np.asarray(head.region("lips"))
    error = 1000.0 * np.linalg.norm(ours[:, lips] - truth[:, lips], axis=-1).max(-1)
    jump = np.abs(np.diff(gap))
    at_seam = np.arange(1, n) % hop == 0
    return Measured(
        closures,
        closed,
        vowels,
        vowels_closed,
        motion[spoken, JAW],
        label[spoken, JAW],
        int(silent.sum()),
        int((gap[silent] > OPEN_MM).sum()),
        error,
        head_speed(motion),
        head_speed(label),
        jump[at_seam],
        jump[~at_seam],
        gap[spoken],
        label_gap[spoken],
    )


def head_speed(motion: Array) -> Array:
    """Change of the head rotation from frame to frame: (n, 54) -> (n - 1,) degrees."""
    out: Array = np.degrees(np.linalg.norm(np.diff(motion[:, ROTATION], axis=0), axis=1))
    return out


def total(parts: Sequence[Measured]) -> Measured:
    """All clips as one: counts added, arrays joined."""
    values: dict[str, Any] = {}
    for item in fields(Measured):
        each = [getattr(part, item.name) for part in parts]
        values[item.name] = np.concatenate(each) if isinstance(each[0], np.ndarray) else sum(each)
    return Measured(**values)


def summary(measured: Measured) -> dict[str, float]:
    """The figures of a table; shares in per cent.

    closures: closed P/B/M; vowels_closed; jaw_r and gap_r: Pearson correlation with the label at
    non-silent frames; silent_open; lve_mm; head_life: mean head speed over the label's; seam: mean
    jump at hops over the mean jump elsewhere.
    """
    m = measured
    return {
        "closures": 100.0 * m.closed / max(m.closures, 1),
        "vowels_closed": 100.0 * m.vowels_closed / max(m.vowels, 1),
        "jaw_r": correlation(m.jaw, m.label_jaw),
        "gap_r": correlation(m.gap, m.label_gap),
        "silent_open": 100.0 * m.silent_open / max(m.silent, 1),
        "lve_mm": float(m.lip_error.mean()),
        "head_life": float(m.head_speed.mean() / max(m.label_head_speed.mean(), 1e-9)),
        # With a hop of one frame every jump is at a seam, with one window a clip none is.
        "seam": float(m.seam_jump.mean() / m.other_jump.mean())
        if m.other_jump.any() and len(m.seam_jump)
        else 1.0,
    }


def correlation(a: Array, b: Array) -> float:
    """Pearson's r; 0 where either does not move."""
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
