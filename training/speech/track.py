"""One track: utterances of a voice joined, cut short, heard several times, and labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
from training.corpora.teacher import teacher_features
from training.corpora.utterances import Utterance, load_audio
from training.labels.label_styles import STYLES, SpeakingStyle, random_style
from training.labels.labels import make_motion
from training.labels.phones import INVENTORY, SILENCE
from training.labels.prosody import extract_prosody
from training.speech.hearings import columns_heard, drawn_restarts, hear
from training.speech.voiceless import without_a_voice

PHONES = (SILENCE, *sorted(INVENTORY - {SILENCE}))
"""Every phone; its place is its class for the speech encoder."""

N_STYLES = 96
"""Styles in training: the named ones first, then random ones."""
CUT_SHORT = 0.12
"""Utterances that break off."""

Phones = list[tuple[str, float, float]]


def style_table(seed: int) -> list[SpeakingStyle]:
    """The styles that training draws from: every named one, then random ones."""
    rng = np.random.default_rng(seed)
    named = list(STYLES.values())
    return named + [random_style(rng) for _ in range(N_STYLES - len(named))]


def join(
    utterances: list[Utterance], seconds: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Phones]:
    """Utterances one after another with pauses, resampled by one factor: samples, phone times."""
    # Playing a voice slower or faster moves pitch and formants together: another speaker.
    factor = float(np.exp(rng.uniform(np.log(0.86), np.log(1.18))))
    parts: list[NDArray[np.float32]] = []
    phones: Phones = []
    at = 0
    while at < seconds * SAMPLE_RATE:
        usual = rng.choice([0.05, 0.2, 0.5, 1.5, 4.0], p=[0.3, 0.3, 0.2, 0.15, 0.05])
        pause = int(usual * rng.uniform(0.5, 1.5) * SAMPLE_RATE)
        parts.append((rng.standard_normal(pause) * 1e-4).astype(np.float32))
        at += pause
        utterance = utterances[int(rng.integers(len(utterances)))]
        samples = load_audio(utterance)
        samples = soxr.resample(samples, SAMPLE_RATE, SAMPLE_RATE * factor).astype(np.float32)
        said = [(p, s * factor, d * factor) for p, s, d in utterance.phones]
        if rng.random() < CUT_SHORT:
            samples, said = cut(samples, said, rng)
        phones += [(p, at / SAMPLE_RATE + s, d) for p, s, d in said]
        parts.append(samples)
        at += len(samples)
    return np.concatenate(parts), phones


def cut(
    samples: NDArray[np.float32], phones: Phones, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Phones]:
    """An utterance that breaks off in the middle of something, as speakers and lines do."""
    stop = int(rng.uniform(0.3, 1.0) * len(samples))
    kept = [
        (p, s, min(d, stop / SAMPLE_RATE - s))
        for p, s, d in phones
        if s + 0.01 < stop / SAMPLE_RATE
    ]
    return samples[:stop], kept


def frame_phones(phones: Phones, n: int) -> NDArray[np.uint8]:
    """Index into PHONES at every frame's middle."""
    out = np.zeros(n, np.uint8)
    for name, start, length in phones:
        first = int(np.ceil((start * SAMPLE_RATE - 320) / FRAME_SAMPLES))
        last = int(np.ceil(((start + length) * SAMPLE_RATE - 320) / FRAME_SAMPLES))
        out[max(first, 0) : max(last, 0)] = PHONES.index(name)
    return out


def make_track(job: dict[str, Any]) -> dict[str, Any]:
    """One track; a pure function of its job (the seed in it)."""
    torch.set_num_threads(1)
    # Motion has a generator of its own: other labels leave the sound as it was.
    rng, gestures = (np.random.default_rng([*job["seed"], part]) for part in (0, 1))
    if job["utterances"]:
        samples, phones = join(job["utterances"], job["seconds"], rng)
    else:
        length = int(job["seconds"] * SAMPLE_RATE)
        samples, phones = without_a_voice(length, rng, job["noises"]), []
    n = len(samples) // FRAME_SAMPLES
    style_id = int(rng.integers(len(STYLES))) if rng.random() < 0.4 else int(rng.integers(N_STYLES))
    style = style_table(job["style_seed"])[style_id]
    prosody = extract_prosody(samples[: n * FRAME_SAMPLES])
    motion = make_motion(phones, n, style, gestures, prosody, lookahead=job["lookahead"])
    if job["motion_only"]:
        return {"motion": motion.astype(np.float32)}
    heard = [
        hear(samples, rng, job["noises"], job["crowd"], hearing)
        for hearing in range(job["hearings"])
    ]
    restarts = [drawn_restarts(n, rng) for _ in heard]
    told = teacher_features(samples[: n * FRAME_SAMPLES]) if job["teacher"] else None
    return {
        "teacher": told,
        "columns": np.stack(
            [
                columns_heard(sound, job["n_mels"], rng, begun, input_gain=job["input_gain"])
                for sound, begun in zip(heard, restarts, strict=True)
            ]
        ),
        "restarts": restarts,
        "motion": motion.astype(np.float32),
        "phone": frame_phones(phones, n),
        "style": style_id,
        "set": job["set"],
    }
