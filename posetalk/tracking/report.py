"""What came out of a film, for people: how much can be believed, range, tempo, smile, head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from head.channels import INDEX
from head.geometry.measure import lip_gap
from head.model import Head
from head.rig import builtin_head, load_head
from head.skinning import skin
from posetalk.tracking.quality import Bools, believed, shares
from posetalk.tracking.track import FPS, Tracked

Floats = NDArray[np.float32]

OPENING_MM: Final = 1.5
"""Rise of the lips' gap that counts as an opening of the mouth."""
BLINK: Final = 0.5
CHUNK: Final = 10000
"""Frames whose lips are looked at together."""
SWAY: Final = 50
"""Frames within which the head's range is looked at: longer ones tell where somebody looked."""


@dataclass(frozen=True)
class Habits:
    """How somebody moves.

    Attributes:
        opening_mm: the gap of the lips that one frame in ten exceeds, on the built-in head.
        tempo: openings of the mouth a second: the speech has its say in it.
        lip_speed: millimetres a second by which the lips part or close on average.
        smile: mean weight of smiling, both sides, less that of frowning.
        brows: spread of the brows' weights.
        blinks: a minute.
        head_degrees: spread of pitch, yaw and roll.
        head: how far the head moves within two seconds: the spread of its rotation in degrees,
            all three axes together, where it goes to in between left out.
        head_speed: degrees a second by which the head turns on average.
    """

    opening_mm: float
    tempo: float
    lip_speed: float
    smile: float
    brows: float
    blinks: float
    head_degrees: tuple[float, float, float]
    head: float
    head_speed: float


def habits(exp: Floats, pose: Floats, good: Bools | None = None, head: str = "builtin") -> Habits:
    """What exp (L, 50) and pose (L, 6) of a head with ARKit's channels show where `good` (L,)."""
    good = np.ones(len(exp), bool) if good is None else good
    if not good.any():
        return Habits(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0), 0.0, 0.0)
    rig = builtin_head() if head in ("builtin", builtin_head().id) else load_head(head)
    lips = np.unique(np.concatenate([rig.regions["lip_gap_upper"], rig.regions["lip_gap_lower"]]))
    small = rig.subset(lips.astype(np.int64))
    gap = _gap(small, exp, pose)
    seconds = good.sum() / FPS
    smile = exp[:, [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]].mean(1)
    frown = exp[:, [INDEX["mouthFrownLeft"], INDEX["mouthFrownRight"]]].mean(1)
    raised = exp[:, [INDEX["browInnerUp"], INDEX["browOuterUpLeft"], INDEX["browOuterUpRight"]]]
    lowered = exp[:, [INDEX["browDownLeft"], INDEX["browDownRight"]]]
    shut = exp[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].mean(1) > BLINK
    blinks = (shut[1:] & ~shut[:-1] & good[1:]).sum()
    turns = np.degrees(pose[:, :3])
    spread = turns[good].std(0)
    pairs = good[1:] & good[:-1]
    turned = np.linalg.norm(np.diff(turns, axis=0), axis=1)[pairs]
    return Habits(
        float(np.quantile(gap[good], 0.9)),
        float(_openings(gap, good) / seconds),
        float(np.abs(np.diff(gap))[pairs].mean() * FPS) if pairs.any() else 0.0,
        float((smile - frown)[good].mean()),
        float((raised.mean(1) - lowered.mean(1))[good].std()),
        float(60 * blinks / seconds),
        (float(spread[0]), float(spread[1]), float(spread[2])),
        _within(turns, good),
        float(turned.mean() * FPS) if pairs.any() else 0.0,
    )


def habits_of(films: Sequence[Tracked]) -> Habits:
    """The habits of one person over all that can be believed of some films."""
    good = np.concatenate([believed(film.marks) for film in films])
    exp = np.concatenate([film.exp for film in films])
    pose = np.concatenate([film.pose for film in films])
    return habits(exp, pose, good)


def _gap(lips: Head, exp: Floats, pose: Floats) -> NDArray[np.float64]:
    """(L,) millimetres between the lips; some minutes at a time, so that hours need little."""
    parts = [
        lip_gap(lips, skin(lips, exp[first:last], jaw_pose=pose[first:last, 3:]))
        for first, last in ((at, at + CHUNK) for at in range(0, len(exp), CHUNK))
    ]
    return 1000 * np.concatenate(parts).astype(np.float64)


def _within(turns: Floats, good: Bools) -> float:
    """The mean spread (over the axes of (L, 3)) of pieces of `SWAY` frames that are good."""
    pieces = [
        float(np.linalg.norm(turns[first : first + SWAY].std(0)))
        for run in runs(good, SWAY)
        for first in range(run.start, run.stop - SWAY + 1, SWAY // 2)
    ]
    return float(np.mean(pieces)) if pieces else float(np.linalg.norm(turns[good].std(0)))


def _openings(gap: NDArray[np.float64], good: Bools) -> int:
    """How often the gap rises by `OPENING_MM` from a low and falls again, within good frames."""
    count, low, high, rising = 0, np.inf, -np.inf, True
    for value, kept in zip(gap, good, strict=True):
        if not kept:
            low, high, rising = np.inf, -np.inf, True
            continue
        if rising:
            low = min(low, value)
            if value > low + OPENING_MM:
                rising, high = False, value
                count += 1
        else:
            high = max(high, value)
            if value < high - OPENING_MM:
                rising, low = True, value
    return count


def lines(tracked: Tracked, name: str) -> list[str]:
    """The page: one line a thing."""
    good = believed(tracked.marks)
    seconds = len(tracked) / FPS
    out = [
        f"{name}: {seconds:.1f} s, {tracked.pictures} pictures at {tracked.rate:.3g} a second, "
        f"{tracked.cuts} cuts",
        f"believed   {100 * good.mean():.0f} % of the frames{_doubts(tracked)}",
    ]
    if not good.any():
        return out
    moves = habits(tracked.exp, tracked.pose, good)
    pitch, yaw, roll = moves.head_degrees
    return [
        *out,
        f"range      the lips part by up to {moves.opening_mm:.1f} mm (nine frames in ten)",
        f"tempo      {moves.tempo:.1f} openings of the mouth a second",
        f"smile      {moves.smile:+.2f} on average, of -1 to 1",
        f"brows      {moves.brows:.2f} spread; {moves.blinks:.0f} blinks a minute",
        f"head       nods {pitch:.1f}°, turns {yaw:.1f}°, tilts {roll:.1f}° (spread), "
        f"{moves.head:.1f}° within two seconds",
    ]


def _doubts(tracked: Tracked) -> str:
    found = shares(tracked.marks)
    return ": " + ", ".join(f"{100 * s:.0f} % {t}" for t, s in found.items()) if found else ""


def runs(good: Bools, least: int) -> Sequence[slice]:
    """The runs of at least `least` frames in which all are good."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [slice(int(a), int(b)) for a, b in pairs if b - a >= least]
