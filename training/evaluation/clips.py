"""Clips of held-out speech to measure on: all of one length, each labelled in a style of its own.

One length lets a batch hold many clips and seeds; the voices were held out of training whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.frames import FPS, FRAME_SAMPLES
from training.corpora.utterances import CorpusError, Utterance, held_out_voices, load_audio
from training.labels.label_styles import STYLES
from training.labels.labels import make_motion
from training.labels.lip_contact import LIVE_LOOKAHEAD_SECONDS
from training.labels.phones import SILENCE, Phone, tidy
from training.labels.prosody import extract_prosody

SETS = {"sentences": "picovoice_s2i", "words": "picovoice_wake", "known-voice": "kathleen_cc0"}
"""Names of evaluation sets: new voices with sentences, with single words; a known voice."""
LEAD_IN = 0.32
"""Seconds before the first sound."""
LEAST_SPEECH = 0.45
"""Share of a clip that is spoken, at least."""


@dataclass(frozen=True, eq=False)
class EvaluationClip:
    """n frames of speech with their label.

    Attributes:
        name: of the utterance; set: its evaluation set; style: of the label, by name.
        samples: (640 n,) float32; label: (n, 54) raw motion; phones: in seconds from its start.
        style_motion: (m, 54) other motion of the same person, for a style encoder, where the style
            has no name; shape: (n_shape,) raw identity, where it is known.
    """

    name: str
    set: str
    style: str
    samples: NDArray[np.float32]
    label: NDArray[np.float32]
    phones: tuple[Phone, ...]
    style_motion: NDArray[np.float32] | None = None
    shape: NDArray[np.float32] | None = None


class ClipError(PosetalkError, ValueError):
    """A choice of clips that cannot be had; one line."""


def held_out_clips(
    sets: Sequence[str], count: int, frames: int = 100, styles: Sequence[str] = tuple(STYLES)
) -> list[EvaluationClip]:
    """`count` clips of every set, spread evenly over its held-out utterances.

    Args:
        styles: given to the clips in turn, across the sets.

    Raises:
        ClipError: an unknown set or style, or fewer clips than asked for.
        CorpusError: there is no data folder, or something in it cannot be read.
    """
    for name in sets:
        if name not in SETS:
            raise ClipError(f"no evaluation set {name!r}: there are {', '.join(SETS)}")
    for name in styles:
        if name not in STYLES:
            raise ClipError(f"no label style {name!r}: there are {', '.join(STYLES)}")
    if count < 1 or frames < 25 or not sets or not styles:
        raise ClipError("measuring takes a set, a style, a clip and 25 frames of it at least")
    _, held = held_out_voices()
    out: list[EvaluationClip] = []
    for name in sets:
        fitting = [u for u in held if u.speaker_set == SETS[name] and _fits(u, frames)]
        if len(fitting) < count:
            raise ClipError(f"set {name} has {len(fitting)} clips of {frames} frames, not {count}")
        for place in np.linspace(0, len(fitting) - 1, count).round().astype(int):
            style = styles[len(out) % len(styles)]
            out.append(read_clip(fitting[place], name, style, frames))
    return out


def _first_frame(utterance: Utterance) -> int:
    """Where a clip of an utterance starts: a little before its first sound."""
    spoken = [p.start for p in utterance.phones if p.name != SILENCE]
    return int(max(0.0, min(spoken, default=0.0) - LEAD_IN) * FPS)


def _fits(utterance: Utterance, frames: int) -> bool:
    """Whether the utterance is long enough and enough of it is spoken."""
    start = _first_frame(utterance) / FPS
    stop = start + frames / FPS
    said = sum(
        max(0.0, min(p.end, stop) - max(p.start, start))
        for p in utterance.phones
        if p.name != SILENCE
    )
    return utterance.duration >= stop + 0.1 and said >= LEAST_SPEECH * frames / FPS


def read_clip(utterance: Utterance, name: str, style: str, frames: int) -> EvaluationClip:
    """Load, label and cut an utterance; its label's chance is its own, whatever else is read.

    Raises:
        CorpusError: not readable, or shorter than its list says.
    """
    samples = load_audio(utterance)
    if not np.isfinite(samples).all():
        raise CorpusError(f"{utterance.path} holds samples that are not finite")
    prosody = extract_prosody(samples)
    seed = [ord(letter) for letter in utterance.id]
    whole = make_motion(
        utterance.phones,
        len(samples) // FRAME_SAMPLES,
        STYLES[style],
        np.random.default_rng(seed),
        prosody,
        lookahead=LIVE_LOOKAHEAD_SECONDS,
    )
    first = _first_frame(utterance)
    if len(whole) < first + frames:
        raise CorpusError(f"{utterance.path} is shorter than its alignment says")
    shift = first / FPS
    phones = tuple(
        phone._replace(start=phone.start - shift)
        for phone in tidy(utterance.phones, prosody)
        if 0.0 <= phone.start - shift < frames / FPS
    )
    return EvaluationClip(
        utterance.id,
        name,
        style,
        np.ascontiguousarray(samples[first * FRAME_SAMPLES : (first + frames) * FRAME_SAMPLES]),
        whole[first : first + frames].astype(np.float32),
        phones,
    )
