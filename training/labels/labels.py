"""Motion labels: phones, prosody and a style in, 54 channels at 25 fps out.

Frame k covers samples [640 k, 640 (k + 1)) and is read at its middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from head.channels import CHANNELS, MOUTH_CLOSE_RADIANS
from head.eye_turns import GAZE_RADIANS
from stream.frames import FPS
from training.labels import coarticulation as co
from training.labels import gestures, lip_contact
from training.labels.gaze import gaze
from training.labels.label_styles import SpeakingStyle
from training.labels.mouth_constants import MouthConstants
from training.labels.phones import BILABIALS, SILENCE, VOWELS, Phone, tidy
from training.labels.prosody import Prosody, smooth

MOTION_SIZE = len(CHANNELS) + 4  # expression, global rotation (3), jaw
JAW_LIMIT_RADIANS = 0.32
# How far each channel parts the inner lips, mm per unit, per radian for the jaw. Measured on a
# head like the built-in one; a fifth more or less moves no closure and closes no vowel
# (tests/training/labels/test_labels.py measures the lips themselves).
GAP_MM = {
    "jaw": 83.0,
    "mouthFunnel": 7.3,
    "mouthRollLower": -2.0,
    "mouthRollUpper": -2.0,
    "mouthPress": -4.0,
    "mouthLowerDown": 8.2,
    "mouthUpperUp": 6.4,
}
WIDTH_MM = {"mouthFunnel": 16.0, "mouthPucker": 21.8}
"""How far a channel draws the corners of the mouth together, mm per unit."""
SPREAD_MM = 16.2
"""How far the stretch, smile and dimple of one unit of spread draw them apart."""
LOWER_WITH_JAW_MM = 10.0
"""How much further than the chin a radian of jaw takes the lower lip."""
YIELD_MM = 1.5  # lips pressed with all force overlap by this much
# Recorded jaws are part phones, part how loud. Fitted by hand to the takes that `real_faces` names;
# docs/starter.md tells what it brings.
LOUD_SHARE = 0.2  # 0.4 is nearer to recorded jaws, but the starter that ships learnt from this
LOUD_JAW_RADIANS = 0.12  # at full voice: that deviates about as much as the phones' part
LOUD_LAG_SECONDS, LOUD_BLUR_SECONDS, LOUD_GATE = 0.02, 0.04, 0.3
EYE_TURN_RADIANS = (GAZE_RADIANS["LookOut"], GAZE_RADIANS["LookUp"])
"""What eyeLook... = 1 turns the eyes by: sideways, up and down."""
_OF = {name: i for i, name in enumerate(CHANNELS)}


def make_motion(
    phones: Sequence[Sequence[object]],
    n_frames: int,
    style: SpeakingStyle,
    rng: np.random.Generator,
    prosody: Prosody,
    *,
    lookahead: float | None = None,
    numbers: MouthConstants | None = None,
) -> np.ndarray:
    """Motion of a speaker in `style` saying `phones`: (n_frames, 54) float32, raw units.

    phones: [(ARPABET name, start s, length s), ...]; gaps are silence, loose edges are repaired.
    rng: the only source of chance (head, brows, blinks, gaze). The same state gives the same
        motion.
    lookahead: seconds by which lips may part before a word that ends a pause, as what is live
        hears no further; None parts them as people do, for what is known in full.
    numbers: other constants of the mouth than those that ship.
    Raises ValueError for an unknown phone name or a negative lookahead.
    """
    spoken = tidy(phones, prosody)
    stressed = gestures.accents(spoken, prosody)
    rotation = gestures.head_rotation(spoken, n_frames, style, rng, prosody, stressed)
    lift, inner = gestures.brows(n_frames, style, rng, prosody, stressed)
    lids = gestures.blinks(spoken, n_frames, style, rng)
    eyes = gaze(spoken, n_frames, style, rng, rotation)

    motion = np.zeros((n_frames, MOTION_SIZE))
    # No mouth is frozen in silence.
    life = 0.015 * gestures.smooth_noise(n_frames, rng, 1.2, 1)[:, 0]
    mouth = articulation(spoken, n_frames, style, prosody, lookahead=lookahead, numbers=numbers)
    set_mouth(motion, mouth, life, style)
    _set_brows(motion, lift, inner, style)
    _set_eyes(motion, lids, eyes, style)
    motion[:, len(CHANNELS) : len(CHANNELS) + 3] = rotation
    return motion.astype(np.float32)


def articulation(
    spoken: Sequence[Phone],
    n_frames: int,
    style: SpeakingStyle,
    prosody: Prosody,
    *,
    lookahead: float | None = None,
    numbers: MouthConstants | None = None,
) -> np.ndarray:
    """(n_frames, P) articulators at 25 fps with every closure and every vowel kept.

    At 40 ms a frame, a short closure can fall between two frames. The frame nearest to its
    middle is read at the deepest point of the closure, and the frame at a vowel's middle is
    kept open, as an animator would time the keys. Arguments are those of `make_motion`.
    """
    parts = co.segments(spoken, style, gestures.vigour(spoken, prosody), numbers)
    duration = max(n_frames / FPS, prosody.duration)
    fine = co.trajectories(parts, duration)
    times = (np.arange(n_frames) + 0.5) / FPS
    read = lip_contact.opened_in_time(times, spoken, lookahead)
    values = co.at_times(fine, read + style.lead)
    loud = style.opening * style.jaw_share * loud_jaw(spoken, n_frames, prosody, style.lead)
    values[:, co.JAW] = (1.0 - LOUD_SHARE) * values[:, co.JAW] + LOUD_SHARE * loud
    # Lips part with the jaw but close with the sound: a closure is never late, in any style.
    lead = max(style.lead, 0.0)
    values[:, co.APERTURE] = lip_contact.met(values[:, co.APERTURE], times + lead, spoken, style)
    if lead > 0.0:
        values[:, co.APERTURE] = lip_contact.met(values[:, co.APERTURE], times, spoken, style)
    sealed = np.zeros(n_frames, bool)
    for phone in spoken:
        if phone.name not in BILABIALS:
            continue
        start, end = lip_contact.closure_span(phone)
        k = int(0.5 * (start + end) * FPS)
        if 0 <= k < n_frames:
            goal = lip_contact.SEALED_MM * (0.5 + 0.4 * style.effort)
            values[k, co.APERTURE] = min(values[k, co.APERTURE], goal)
            sealed[k] = True
    for phone in spoken:
        k = int(phone.middle * FPS)
        if phone.name in VOWELS and 0 <= k < n_frames and not sealed[k]:
            values[k, co.APERTURE] = max(values[k, co.APERTURE], co.least_aperture(style))
    return values


def loud_jaw(spoken: Sequence[Phone], n_frames: int, prosody: Prosody, lead: float) -> np.ndarray:
    """(n_frames,) radians by which the loudness of what is spoken opens the jaw, `lead` s early."""
    if prosody.loudness.size == 0:
        return np.zeros(n_frames)
    above = np.clip((prosody.loudness - LOUD_GATE) / (1.0 - LOUD_GATE), 0.0, 1.3)
    for phone in spoken:
        if phone.name == SILENCE:  # a door, a breath, somebody else
            above[round(phone.start * prosody.rate) : round(phone.end * prosody.rate)] = 0.0
    blurred = smooth(above, LOUD_BLUR_SECONDS * prosody.rate)
    times = (np.arange(n_frames) + 0.5) / FPS + lead - LOUD_LAG_SECONDS
    at = np.interp(times * prosody.rate - 0.5, np.arange(blurred.size), blurred)
    return np.asarray(LOUD_JAW_RADIANS * at)


def set_mouth(
    motion: np.ndarray, values: np.ndarray, life: np.ndarray, style: SpeakingStyle
) -> None:
    """Move the mouth of frames (n, 54), in place, as articulators (n, P) of `coarticulation` say.

    life: (n,) what the corners do besides, channel weights.
    """
    jaw = _soft_limit(values[:, co.JAW])
    # The target lies beyond contact (Loefqvist and Gracco 1997), the lips do not: met, they yield.
    aperture = np.maximum(values[:, co.APERTURE], 0.0)
    aperture -= YIELD_MM * np.tanh(np.maximum(-values[:, co.APERTURE], 0.0) / YIELD_MM)
    # Rounded lips reach forward as far as this head's shapes take them for their width.
    narrow = np.maximum(-values[:, co.WIDTH], 0.0)
    funnel = values[:, co.FUNNEL] * narrow / WIDTH_MM["mouthFunnel"]
    pucker = (1.0 - values[:, co.FUNNEL]) * narrow / WIDTH_MM["mouthPucker"]
    spread = np.maximum(values[:, co.WIDTH], 0.0) / SPREAD_MM
    low = np.maximum(values[:, co.LOWER] - LOWER_WITH_JAW_MM * jaw, 0.0) / GAP_MM["mouthLowerDown"]
    high = np.maximum(values[:, co.UPPER], 0.0) / GAP_MM["mouthUpperUp"] + style.upper_lip
    parted = (
        GAP_MM["jaw"] * jaw
        + GAP_MM["mouthFunnel"] * funnel
        + GAP_MM["mouthRollLower"] * values[:, co.ROLL_LOWER]
        + GAP_MM["mouthRollUpper"] * values[:, co.ROLL_UPPER]
        + GAP_MM["mouthPress"] * values[:, co.PRESS]
        + GAP_MM["mouthLowerDown"] * low
        + GAP_MM["mouthUpperUp"] * high
    )
    # Wider than jaw and lip shapes make it: the lips draw apart. Narrower: they reach together.
    wide = np.maximum(aperture - parted, 0.0)
    lower = low + 0.6 * wide / GAP_MM["mouthLowerDown"]
    upper = high + 0.4 * wide / GAP_MM["mouthUpperUp"]
    reach = np.maximum(parted - aperture, 0.0) / (GAP_MM["jaw"] * MOUTH_CLOSE_RADIANS)
    motion[:, -1] = jaw
    put = _Writer(motion, style.asymmetry)
    put.one("mouthClose", reach)
    put.one("mouthPucker", pucker)
    put.one("mouthFunnel", funnel)
    put.one("mouthRollLower", values[:, co.ROLL_LOWER])
    put.one("mouthRollUpper", values[:, co.ROLL_UPPER])
    put.one("tongueOut", values[:, co.TONGUE])
    put.pair("mouthLowerDown", lower)
    put.pair("mouthUpperUp", upper)
    put.pair("mouthPress", values[:, co.PRESS])
    # Rounded lips cannot smile at full width.
    free = 1.0 - 0.6 * np.clip(2.0 * (pucker + funnel), 0.0, 1.0)
    smile = (style.smile + life) * free
    put.pair("mouthStretch", 0.55 * spread)
    put.pair("mouthSmile", np.maximum(smile, 0.0) + 0.35 * spread)
    put.pair("mouthFrown", np.maximum(-style.smile - life, 0.0))
    put.pair("mouthDimple", 0.10 * spread + 0.25 * np.maximum(smile, 0.0))
    put.pair("cheekSquint", 0.7 * np.maximum(smile, 0.0) + 0.5 * max(style.squint, 0.0))
    put.pair("noseSneer", 0.25 * upper)
    put.one("jawForward", 0.25 * funnel)
    side = 0.25 * style.asymmetry * np.clip(aperture / 8.0, 0.0, 1.0)
    put.one("mouthLeft", np.maximum(side, 0.0))
    put.one("mouthRight", np.maximum(-side, 0.0))
    put.one("jawLeft", 0.5 * np.maximum(side, 0.0))
    put.one("jawRight", 0.5 * np.maximum(-side, 0.0))


def _soft_limit(jaw: np.ndarray) -> np.ndarray:
    """Jaw angles in radians, untouched up to 0.18, from there bent towards JAW_LIMIT_RADIANS."""
    knee = 0.18
    room = JAW_LIMIT_RADIANS - knee
    over = np.maximum(jaw - knee, 0.0)
    return np.asarray(np.clip(jaw, 0.0, knee) + room * np.tanh(over / room))


def _set_brows(
    motion: np.ndarray, lift: np.ndarray, inner: np.ndarray, style: SpeakingStyle
) -> None:
    put = _Writer(motion, style.asymmetry)
    put.one("browInnerUp", np.maximum(0.8 * lift + inner, 0.0))
    put.pair("browOuterUp", np.maximum(lift - 0.5 * inner, 0.0))
    put.pair("browDown", np.maximum(-lift, 0.0))


def _set_eyes(motion: np.ndarray, lids: np.ndarray, eyes: np.ndarray, style: SpeakingStyle) -> None:
    put = _Writer(motion, 0.0)
    left, up = (eyes / EYE_TURN_RADIANS).T
    up = up - style.gaze_down
    put.one("eyeLookOutLeft", np.maximum(left, 0.0))
    put.one("eyeLookInRight", np.maximum(left, 0.0))
    put.one("eyeLookInLeft", np.maximum(-left, 0.0))
    put.one("eyeLookOutRight", np.maximum(-left, 0.0))
    put.pair("eyeLookUp", np.maximum(up, 0.0))
    put.pair("eyeLookDown", np.maximum(-up, 0.0))
    # Lids follow the gaze down and up; a blink takes a trace of the brows and cheeks with it.
    put.pair("eyeBlink", np.maximum(lids, 0.45 * np.maximum(-up, 0.0)))
    put.pair("eyeSquint", max(style.squint, 0.0) + 0.12 * lids)
    put.pair("eyeWide", (max(-style.squint, 0.0) + 0.3 * np.maximum(up, 0.0)) * (1.0 - lids))


class _Writer:
    """Adds to named channels, left and right with the speaker's asymmetry, kept in 0..1."""

    def __init__(self, motion: np.ndarray, asymmetry: float) -> None:
        self._motion = motion
        self._sides = (("Left", 1.0 + 0.5 * asymmetry), ("Right", 1.0 - 0.5 * asymmetry))

    def one(self, name: str, values: np.ndarray) -> None:
        self._motion[:, _OF[name]] = np.clip(values, 0.0, 1.0)

    def pair(self, stem: str, values: np.ndarray) -> None:
        for side, factor in self._sides:
            self._motion[:, _OF[stem + side]] = np.clip(values * factor, 0.0, 1.0)
