"""Speaking styles: the continuous knobs of the label model, twelve named settings, a sampler."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class SpeakingStyle:
    """How somebody speaks. Factors are 1 for the neutral speaker, offsets are 0.

    Attributes:
        opening: factor on jaw and lip opening of vowels.
        jaw_share: factor on the jaw alone; the lips make up the difference (jaw-lip split as in
            JALI, Edwards et al. 2016).
        rounding: factor on pucker and funnel.
        spread: factor on the stretch of front vowels.
        effort: precision; strong consonants and fast transitions, or blurred ones.
        smile: resting smile, channel weight (negative: corners down).
        upper_lip: resting lift of the upper lip, channel weight.
        squint: resting squint of lids and cheeks, channel weight (negative: wide eyes).
        brow_rest: resting brow height, channel weight (negative: drawn down).
        brow_life: factor on brow movement with accents and pitch.
        head_amplitude: factor on all head movement.
        head_tempo: factor on the speed of head movement.
        nod: factor on nods at accents, on top of `head_amplitude`.
        head_pitch: resting pitch in radians, positive looks down.
        head_yaw, head_roll: radians by which the head turns and tilts aside, now to one side, now
            to the other, for some seconds; its mean stays in the middle.
        blink_rate: blinks per minute.
        blink_seconds: length of a blink in seconds.
        gaze_life: factor on rate and size of gaze shifts.
        gaze_down: resting eyeLookDown weight.
        lead: seconds by which lips and jaw run ahead of the sound (negative: behind).
        asymmetry: stronger left (positive) or right side of mouth and brows.
    """

    name: str = "neutral"
    opening: float = 1.0
    jaw_share: float = 1.0
    rounding: float = 1.0
    spread: float = 1.0
    effort: float = 1.0
    smile: float = 0.04
    upper_lip: float = 0.0
    squint: float = 0.0
    brow_rest: float = 0.0
    brow_life: float = 1.0
    head_amplitude: float = 1.0
    head_tempo: float = 1.0
    nod: float = 1.0
    head_pitch: float = 0.0
    head_yaw: float = 0.0
    head_roll: float = 0.0
    blink_rate: float = 16.0
    blink_seconds: float = 0.2
    gaze_life: float = 1.0
    gaze_down: float = 0.0
    lead: float = 0.0
    asymmetry: float = 0.05

    def vector(self) -> np.ndarray:
        """All numbers in field order, (22,) float32: what a style encoder should recover."""
        values = asdict(self)
        return np.array([values[key] for key in STYLE_FIELDS], np.float32)


STYLE_FIELDS = tuple(f.name for f in fields(SpeakingStyle) if f.name != "name")

# Bounds of the sampler and, with them, of everything the label model promises to keep alive.
STYLE_RANGES: MappingProxyType[str, tuple[float, float]] = MappingProxyType(
    {
        "opening": (0.68, 1.4),
        "jaw_share": (0.75, 1.2),
        "rounding": (0.55, 1.35),
        "spread": (0.4, 1.6),
        "effort": (0.7, 1.35),
        "smile": (-0.12, 0.4),
        "upper_lip": (0.0, 0.15),
        "squint": (-0.2, 0.3),
        "brow_rest": (-0.35, 0.25),
        "brow_life": (0.15, 2.2),
        "head_amplitude": (0.3, 1.9),
        "head_tempo": (0.65, 1.5),
        "nod": (0.3, 1.8),
        "head_pitch": (-0.09, 0.12),
        "head_yaw": (-0.08, 0.08),
        "head_roll": (-0.08, 0.08),
        "blink_rate": (10.0, 30.0),
        "blink_seconds": (0.16, 0.25),
        "gaze_life": (0.3, 1.8),
        "gaze_down": (0.0, 0.22),
        "lead": (-0.045, 0.02),
        "asymmetry": (-0.3, 0.3),
    }
)

_NAMED = (
    SpeakingStyle(),
    SpeakingStyle(
        name="lively",
        opening=1.25,
        spread=1.3,
        effort=1.15,
        smile=0.16,
        brow_rest=0.08,
        brow_life=1.9,
        head_amplitude=1.6,
        head_tempo=1.35,
        nod=1.4,
        blink_rate=22.0,
        gaze_life=1.5,
        lead=0.018,
        asymmetry=0.06,
    ),
    SpeakingStyle(
        name="calm",
        opening=0.8,
        rounding=0.95,
        spread=0.85,
        effort=0.88,
        smile=0.08,
        brow_life=0.45,
        head_amplitude=0.4,
        head_tempo=0.65,
        nod=0.6,
        head_roll=0.02,
        blink_rate=12.0,
        blink_seconds=0.24,
        gaze_life=0.5,
        lead=-0.025,
    ),
    SpeakingStyle(
        name="cheerful",
        opening=1.1,
        spread=1.55,
        rounding=0.85,
        smile=0.38,
        upper_lip=0.08,
        squint=0.2,
        brow_rest=0.14,
        brow_life=1.4,
        head_amplitude=1.2,
        head_tempo=1.15,
        head_roll=0.05,
        blink_rate=18.0,
        gaze_life=1.1,
        asymmetry=-0.05,
        lead=0.01,
    ),
    SpeakingStyle(
        name="serious",
        opening=0.92,
        spread=0.6,
        effort=1.15,
        smile=-0.1,
        squint=0.12,
        brow_rest=-0.32,
        brow_life=0.7,
        head_amplitude=0.7,
        head_tempo=0.85,
        nod=1.3,
        head_pitch=0.05,
        blink_rate=12.0,
        gaze_life=0.4,
    ),
    SpeakingStyle(
        name="broadcaster",
        opening=1.15,
        jaw_share=0.9,
        rounding=1.2,
        spread=1.15,
        effort=1.35,
        smile=0.1,
        brow_life=1.1,
        head_amplitude=0.9,
        nod=1.7,
        head_pitch=-0.02,
        blink_rate=13.0,
        blink_seconds=0.17,
        gaze_life=0.35,
        lead=0.018,
    ),
    SpeakingStyle(
        name="shy",
        opening=0.72,
        jaw_share=0.85,
        spread=0.7,
        effort=0.8,
        smile=0.1,
        brow_rest=0.16,
        brow_life=0.7,
        head_amplitude=0.8,
        head_tempo=0.8,
        nod=0.6,
        head_pitch=0.11,
        head_yaw=-0.06,
        head_roll=-0.06,
        blink_rate=27.0,
        gaze_life=1.6,
        gaze_down=0.2,
        lead=-0.03,
        asymmetry=0.08,
    ),
    SpeakingStyle(
        name="mumbling",
        opening=0.7,
        jaw_share=0.8,
        rounding=0.65,
        spread=0.5,
        effort=0.7,
        smile=-0.05,
        brow_life=0.3,
        head_amplitude=0.5,
        head_tempo=0.75,
        nod=0.4,
        head_pitch=0.06,
        blink_rate=14.0,
        blink_seconds=0.25,
        gaze_life=0.7,
        gaze_down=0.08,
        lead=-0.04,
        asymmetry=0.15,
    ),
    SpeakingStyle(
        name="theatrical",
        opening=1.4,
        jaw_share=1.1,
        rounding=1.35,
        spread=1.4,
        effort=1.3,
        upper_lip=0.05,
        brow_rest=0.05,
        brow_life=2.2,
        head_amplitude=1.9,
        head_tempo=0.9,
        nod=1.1,
        head_pitch=-0.05,
        blink_rate=12.0,
        gaze_life=1.3,
        lead=0.02,
    ),
    SpeakingStyle(
        name="whispering",
        opening=0.8,
        jaw_share=0.8,
        rounding=1.25,
        spread=0.9,
        effort=1.25,
        squint=0.15,
        brow_rest=0.2,
        brow_life=1.0,
        head_amplitude=0.45,
        head_tempo=0.8,
        nod=0.7,
        head_pitch=0.08,
        head_yaw=0.06,
        blink_rate=12.0,
        gaze_life=1.2,
        lead=-0.015,
    ),
    SpeakingStyle(
        name="skeptical",
        opening=0.95,
        spread=0.8,
        smile=-0.04,
        squint=0.28,
        brow_rest=-0.12,
        brow_life=1.5,
        head_amplitude=0.9,
        head_roll=-0.08,
        head_yaw=0.07,
        nod=0.7,
        blink_rate=12.0,
        gaze_life=0.8,
        asymmetry=0.3,
        lead=-0.01,
    ),
    SpeakingStyle(
        name="nervous",
        opening=0.85,
        jaw_share=0.9,
        effort=0.95,
        smile=0.06,
        squint=-0.18,
        brow_rest=0.22,
        brow_life=1.5,
        head_amplitude=0.9,
        head_tempo=1.5,
        nod=1.2,
        blink_rate=29.0,
        blink_seconds=0.16,
        gaze_life=1.8,
        lead=0.015,
        asymmetry=-0.12,
    ),
)
STYLES: MappingProxyType[str, SpeakingStyle] = MappingProxyType({s.name: s for s in _NAMED})


def random_style(rng: np.random.Generator, named_share: float = 0.35) -> SpeakingStyle:
    """A style for training: a varied named one (probability `named_share`) or a free one.

    Free ones are uniform inside `STYLE_RANGES`; varied ones move each number by a normal step
    of 8 % of its range, so that the neighbourhood of every name is densely seen.
    """
    if rng.random() < named_share:
        return vary(_NAMED[int(rng.integers(len(_NAMED)))], rng)
    return _with(
        SpeakingStyle(name="random"),
        {key: float(rng.uniform(*STYLE_RANGES[key])) for key in STYLE_FIELDS},
    )


def vary(style: SpeakingStyle, rng: np.random.Generator, amount: float = 0.08) -> SpeakingStyle:
    """`style` with each number moved by N(0, amount * range), kept inside the range."""
    changed = {}
    for key in STYLE_FIELDS:
        low, high = STYLE_RANGES[key]
        moved = getattr(style, key) + rng.normal() * amount * (high - low)
        changed[key] = float(np.clip(moved, low, high))
    return _with(style, changed)


def _with(style: SpeakingStyle, numbers: dict[str, float]) -> SpeakingStyle:
    return SpeakingStyle(style.name, **numbers)
