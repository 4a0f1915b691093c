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

from head.channels import CHANNELS, JAW, ROTATION
from head.geometry.measure import lip_gap, mouth_width
from head.rig import Head
from head.skinning import skin
from stream.frames import FPS
from training.labels.phones import BILABIALS, SILENCE, VOWELS, Phone

CLOSED_MM = 1.0
"""Lips nearer than this are closed."""
OPEN_MM = 2.0
"""Lips further apart than this are open in silence."""
LABIODENTALS, ROUNDED, DENTALS = ("F", "V"), ("UW", "OW", "W"), ("TH", "DH")
NEAR_MM = 1.0
"""A lower lip at the teeth may be so much farther from the upper one than the label's."""
TONGUE = CHANNELS.index("tongueOut")
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
        labiodentals: F and V; met: those where the lips come as near as the label's.
        narrowing, label_narrowing: (n,) mm by which the mouth is narrower than at rest in the
            middle of UW, OW and W.
        tongue, label_tongue: (n,) how far the tongue is out in the middle of TH and DH, of 1.
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
    labiodentals: int
    met: int
    narrowing: Array
    label_narrowing: Array
    tongue: Array
    label_tongue: Array


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
    closures = closed = vowels = vowels_closed = labiodentals = met = 0
    rounded: list[int] = []
    dental: list[int] = []
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
        if phone.name in LABIODENTALS and near.any():
            labiodentals += 1
            met += int(gap[near].min() < label_gap[near].min() + NEAR_MM)
        k = int(phone.middle * FPS)
        if k >= n:
            continue
        if phone.name in VOWELS:
            vowels += 1
            vowels_closed += int(gap[k] < CLOSED_MM)
        if phone.name in ROUNDED:
            rounded.append(k)
        if phone.name in DENTALS:
            dental.append(k)
    lips = np.asarray(head.region("lips"))
    error = 1000.0 * np.linalg.norm(ours[:, lips] - truth[:, lips], axis=-1).max(-1)
    width, label_width = (1000.0 * np.asarray(mouth_width(head, v[rounded])) for v in (ours, truth))
    rest = 1000.0 * float(mouth_width(head, head.template[None])[0])
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
        labiodentals,
        met,
        rest - width,
        rest - label_width,
        motion[dental, TONGUE],
        label[dental, TONGUE],
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
    jump at hops over the mean jump elsewhere; labiodentals: F and V whose lips come as near as the
    label's; rounding, tongue: narrowing of the mouth and reach of the tongue over the label's.
    """
    m = measured
    return {
        "closures": 100.0 * m.closed / max(m.closures, 1),
        "vowels_closed": 100.0 * m.vowels_closed / max(m.vowels, 1),
        "jaw_r": correlation(m.jaw, m.label_jaw),
        "gap_r": correlation(m.gap, m.label_gap),
        "silent_open": 100.0 * m.silent_open / max(m.silent, 1),
        "labiodentals": 100.0 * m.met / max(m.labiodentals, 1),
        "rounding": 100.0 * _share(m.narrowing, m.label_narrowing),
        "tongue": 100.0 * _share(m.tongue, m.label_tongue),
        "lve_mm": float(m.lip_error.mean()),
        "head_life": float(m.head_speed.mean() / max(m.label_head_speed.mean(), 1e-9)),
        # With a hop of one frame every jump is at a seam, with one window a clip none is.
        "seam": float(m.seam_jump.mean() / m.other_jump.mean())
        if m.other_jump.any() and len(m.seam_jump)
        else 1.0,
    }


def _share(ours: Array, label: Array) -> float:
    """The sum of one over that of the other; 1 where the label has none."""
    whole = float(label.sum())
    return float(ours.sum()) / whole if abs(whole) > 1e-6 else 1.0


def correlation(a: Array, b: Array) -> float:
    """Pearson's r; 0 where either does not move."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)  # a mean of float32 is not exact
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
