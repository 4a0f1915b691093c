"""Held-out utterances with their labels, as the starter's report hears them: clean or disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import Backend
from stream.core.options import SessionOptions
from stream.frames import FRAME_SAMPLES
from training.corpora.alignment import well_aligned
from training.corpora.utterances import Utterance, held_out_voices, load_audio
from training.evaluation.batch_rollout import Rollout, rollout
from training.evaluation.clips import SETS
from training.labels.label_styles import STYLES
from training.labels.labels import make_motion
from training.labels.lip_contact import LIVE_LOOKAHEAD_SECONDS
from training.labels.phones import Phone, tidy
from training.labels.prosody import extract_prosody
from training.speech import augment

TITLED_SETS = {
    "new voices, sentences": (SETS["sentences"],),
    "new voices, five words": (SETS["words"],),
    "known voice, new sentences": (SETS["known-voice"],),
}
"""Evaluation sets by what the starter's page calls them, and whose voices each has."""
STYLE = "neutral"
BATCH = 16
"""Clips that are streamed side by side."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """What lies under the speech.

    Attributes:
        name: for the tables.
        snr_db: speech over the disturbance, None = clean.
        voice: the disturbance is one other speaker, not noise.
        suppressed: a noise suppression has heard it first.
    """

    name: str
    snr_db: float | None = None
    voice: bool = False
    suppressed: bool = False


CONDITIONS = (
    Condition("clean"),
    Condition("noise at 20 dB", 20.0),
    Condition("noise at 10 dB", 10.0),
    Condition("noise at 5 dB", 5.0),
    Condition("noise at 10 dB, suppressed", 10.0, suppressed=True),
    Condition("another voice at 15 dB", 15.0, voice=True),
)


@dataclass(frozen=True)
class HeldoutClip:
    """A held-out utterance with its label in the neutral style."""

    samples: Array
    label: Array
    phones: list[Phone]


def disturbed(
    utterance: Utterance, number: int, condition: Condition, others: Sequence[Utterance]
) -> HeldoutClip:
    """Load and label an utterance, then put a disturbance under it.

    Args:
        number: seeds label and noise.
        others: who else may speak.
    """
    rng = np.random.default_rng([7, number])
    samples = load_audio(utterance)
    prosody = extract_prosody(samples)
    n = len(samples) // FRAME_SAMPLES
    label = make_motion(
        utterance.phones, n, STYLES[STYLE], rng, prosody, lookahead=LIVE_LOOKAHEAD_SECONDS
    )
    phones = tidy(utterance.phones, prosody)
    if condition.snr_db is not None:
        if condition.voice:
            other = load_audio(others[int(rng.integers(len(others)))])
            under = augment.babble([other], len(samples), rng)
        else:
            under = augment.coloured_noise(len(samples), rng)
        samples = augment.mix(samples, under, condition.snr_db)
        if condition.suppressed:
            samples = augment.suppress(samples, rng)
    return HeldoutClip(samples[: n * FRAME_SAMPLES], label, phones)


def clips_of(set_name: str, condition: Condition, most: int) -> list[HeldoutClip]:
    """Clips of a set in one condition: at most so many, spread evenly over the set.

    What is not `well_aligned` is left out: its label is wrong.
    """
    found, others = _found(TITLED_SETS[set_name]), _found(("picovoice_s2i",))
    places = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    chosen = [found[place] for place in places]
    return [disturbed(u, number, condition, others) for number, u in enumerate(chosen)]


@lru_cache
def _found(sets: tuple[str, ...]) -> list[Utterance]:
    _, held = held_out_voices()
    return [u for u in held if u.speaker_set in sets and well_aligned(u)]


def stream_all(
    backend: Backend, clips: Sequence[HeldoutClip], options: SessionOptions | None = None
) -> list[Array]:
    """The motion of every clip, (n, 54) each, as live sessions emit it.

    Clips of like length go side by side, the shorter ones followed by silence, which is cut off.
    """
    order = sorted(range(len(clips)), key=lambda index: len(clips[index].samples))
    motion: dict[int, Array] = {}
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        longest = len(clips[batch[-1]].samples)
        rollouts = [
            Rollout(np.pad(clips[i].samples, (0, longest - len(clips[i].samples))), STYLE, 0)
            for i in batch
        ]
        for index, run in zip(batch, rollout(backend, rollouts, options), strict=True):
            motion[index] = run[: len(clips[index].label)]
    return [motion[index] for index in range(len(clips))]
