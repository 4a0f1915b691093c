"""Whether head, brows and lids go with the speech: at stresses and phrase ends, beside the labels.

Every figure compares frames near an event of the speech with all others, so motion that knows
nothing of the speech has a ratio of 1 whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from head.channels import CHANNELS
from stream.backends.protocol import Backend
from stream.frames import FPS
from training.evaluation.heldout import TITLED_SETS, Condition, HeldoutClip, clips_of, stream_all
from training.evaluation.live_figures import BLINK, OPEN_AGAIN, SHUT
from training.evaluation.motion_metrics import head_speed
from training.labels.gestures import accents
from training.labels.phones import phrases
from training.labels.prosody import extract_prosody

Array = NDArray[np.floating]

BROWS = [CHANNELS.index(name) for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")]
AT_ACCENT, AT_END = (-0.04, 0.24), (-0.2, 0.4)
"""Seconds from and to which an event is near."""
CLIPS = 40


class Spoken(NamedTuple):
    """A clip's motion, and when in it something happens in the speech."""

    motion: Array
    accents: Sequence[float]
    ends: Sequence[float]


def near(events: Sequence[float], n: int, span: tuple[float, float]) -> NDArray[np.bool_]:
    """(n,) which frames' middles lie within `span` seconds of an event."""
    middles = (np.arange(n) + 0.5) / FPS
    found = np.zeros(n, bool)
    for time in events:
        found |= (middles >= time + span[0]) & (middles <= time + span[1])
    return found


def blink_starts(motion: Array) -> tuple[list[int], list[int]]:
    """First frame of every whole blink, and how many frames its lids are lower than OPEN_AGAIN."""
    lids = motion[:, BLINK].mean(1)
    lowered = np.diff(np.pad(lids > OPEN_AGAIN, 1).astype(int))
    spans = zip(np.flatnonzero(lowered > 0), np.flatnonzero(lowered < 0), strict=True)
    whole = [(a, b) for a, b in spans if lids[a:b].max() > SHUT and a > 0 and b < len(lids)]
    return [int(a) for a, _ in whole], [int(b - a) for a, b in whole]


def figures(clips: Sequence[Spoken]) -> dict[str, float]:
    """The table's figures over all clips; NaN where there is nothing to compare."""

    def at(curve: Callable[[Array], Array], of: str, span: tuple[float, float]) -> float:
        """Mean of a curve near the events over its mean elsewhere."""
        inside, outside = [], []
        for clip in clips:
            values = curve(clip.motion)
            mask = near(getattr(clip, of), len(values), span)
            inside.append(values[mask])
            outside.append(values[~mask])
        usual = float(np.concatenate(outside).mean())
        return float(np.concatenate(inside).mean()) / usual if usual > 1e-9 else float("nan")

    def starting(motion: Array) -> Array:
        out = np.zeros(len(motion))
        out[blink_starts(motion)[0]] = 1.0
        return out

    lengths = [n for clip in clips for n in blink_starts(clip.motion)[1]]
    minutes = sum(len(clip.motion) for clip in clips) / FPS / 60.0
    return {
        "head": at(lambda m: np.append(head_speed(m), 0.0), "accents", AT_ACCENT),
        "nod": at(lambda m: np.abs(np.gradient(m[:, 50])), "accents", AT_ACCENT),
        "brows": at(lambda m: np.abs(np.gradient(m[:, BROWS].sum(1))), "accents", AT_ACCENT),
        "blinks_at_ends": at(starting, "ends", AT_END),
        "blinks": len(lengths) / minutes,
        "blink_ms": 1000.0 / FPS * float(np.mean(lengths)) if lengths else float("nan"),
    }


MEANING = {
    "head": "speed of the head at stressed vowels over that elsewhere",
    "nod": "speed of nodding alone, likewise",
    "brows": "speed of the brows, likewise",
    "blinks_at_ends": "blinks that begin around the end of a phrase, over as long a time elsewhere",
    "blinks": "blinks a minute",
    "blink_ms": "length of a blink, ms",
}


def spoken(clip: HeldoutClip, motion: Array) -> Spoken:
    """A clip's motion with the events of its undisturbed speech."""
    prosody = extract_prosody(clip.samples)
    times = [accent.time for accent in accents(clip.phones, prosody)]
    return Spoken(motion, times, [phrase.end for phrase in phrases(clip.phones)])


def gesture_table(model: Backend) -> str:
    """Labels and the model's own motion on held-out sentences, as a Markdown table."""
    clips = [
        clip
        for name in TITLED_SETS
        if "sentences" in name
        for clip in clips_of(name, Condition("clean"), CLIPS)
    ]
    motion = stream_all(model, clips)
    told = figures([spoken(clip, clip.label) for clip in clips])
    own = figures([spoken(clip, run) for clip, run in zip(clips, motion, strict=True)])
    lines = ["| figure | labels | starter |", "|---|---:|---:|"]
    lines += [f"| {MEANING[name]} | {told[name]:.2f} | {own[name]:.2f} |" for name in MEANING]
    return "\n".join(lines)
