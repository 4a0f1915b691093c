"""How a track is heard: by which microphone, in which room, among what, and as which streams.

A hearing is one stream or several: at its restarts a microphone is opened while somebody may be
speaking already, and everything that an encoder remembers, gain and level, begins anew there.  So
what crops learn of a stream's first seconds is what live sessions have.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffposetalk.network.mel import mel_columns, normalise
from diffposetalk.network.mel_front import (
    COLUMNS,
    FLOOR_DB,
    PRIOR_LEVEL_DB,
    TAIL_SAMPLES,
    mel_filterbank,
)
from stream.core.hearing.input_gain import InputGain
from stream.frames import FRAME_SAMPLES
from training.corpora.utterances import Utterance, load_audio
from training.speech import augment, lines

PLAIN_ROOM, MEASURED_ROOM = 0.2, 0.35
ANOTHER_VOICE = 0.45
"""Disturbed hearings in which one other person talks in the background."""
SUPPRESSED = 0.2
"""Disturbed hearings that came through a noise suppression, as browsers have it."""
CODED = 0.4
"""Hearings through a telephone, a mobile codec, Opus or a cheap line."""
WHISPERED = 0.05
"""Hearings in which all is whispered: lips move as they do for a voice."""
RESTARTED = 0.5
MOST_RESTARTS = 3
_LEAST_STREAM_FRAMES = 60

Samples = NDArray[np.float32]


def hear(
    samples: Samples,
    rng: np.random.Generator,
    noises: Sequence[Samples],
    crowd: Sequence[Utterance],
    hearing: int,
) -> Samples:
    """The samples as a microphone may hear them.

    Hearing 0 changes the level alone, 1 adds a room, a line or a codec, later ones disturb.
    """
    if rng.random() < WHISPERED:
        samples = augment.whispered(samples, rng)
    if hearing > 0:
        where = rng.random()
        if where < PLAIN_ROOM:
            samples = augment.room(samples, rng)
        elif where < PLAIN_ROOM + MEASURED_ROOM:
            samples = lines.measured_room(samples, rng)
        if hearing > 1 and rng.random() < 0.9:
            # Half below 11 dB: what a laptop hears in a kitchen.
            snr = 3.0 + 27.0 * rng.random() ** 1.8
            samples = augment.mix(samples, background(len(samples), rng, noises, crowd), snr)
        if hearing > 1 and rng.random() < ANOTHER_VOICE:
            # Somebody else in the room is not who speaks, but farther away.
            other = load_audio(crowd[int(rng.integers(len(crowd)))])
            under = augment.babble([other], len(samples), rng)
            samples = augment.mix(samples, under, rng.uniform(10.0, 26.0))
        if hearing > 1 and rng.random() < SUPPRESSED:
            samples = augment.suppress(samples, rng)
        if rng.random() < 0.5:
            samples = augment.line(samples, rng)
        if rng.random() < CODED:
            samples = coded(samples, rng)
    # The level before any rounding: a quiet voice has few steps left.
    if rng.random() < 0.6:
        samples = lines.wandering_level(samples, rng)
    else:
        samples = lines.at_level(samples, rng.uniform(*lines.LEVELS_DB))
    return lines.coarse(samples)


def coded(samples: Samples, rng: np.random.Generator) -> Samples:
    """Through one of the ways by which voices travel."""
    way = int(rng.integers(4))
    if way == 0:
        return lines.telephone(samples, rng)
    if way == 1:
        return lines.cellular(samples, rng)
    if way == 2:
        loud = float(np.max(np.abs(samples))) + 1e-9  # codecs are fed near full scale
        return lines.opus(samples / loud * 0.5, int(rng.choice(lines.OPUS_BITS))) * (2.0 * loud)
    return augment.codec(samples, rng)


def background(
    length: int, rng: np.random.Generator, noises: Sequence[Samples], crowd: Sequence[Utterance]
) -> Samples:
    """Coloured noise, a recorded room, people talking, music, or two of them."""
    kinds = rng.choice(4, size=int(rng.choice([1, 2], p=[0.7, 0.3])), replace=False)
    total = np.zeros(length, np.float32)
    for kind in kinds:
        if kind == 0:
            part = augment.coloured_noise(length, rng)
        elif kind == 1 and noises:
            source = noises[int(rng.integers(len(noises)))]
            part = np.resize(np.roll(source, -int(rng.integers(len(source)))), length)
        elif kind == 2 and crowd:
            chosen = rng.integers(len(crowd), size=int(rng.integers(2, 7)))
            part = augment.babble([load_audio(crowd[i]) for i in chosen], length, rng)
        else:
            part = lines.music(length, rng)
        total += rng.uniform(0.3, 1.0) * part / (np.std(part) + 1e-9)
    return total


def drawn_restarts(frames: int, rng: np.random.Generator) -> list[int]:
    """Frames, in order, at which a stream begins anew within a hearing; often none."""
    if rng.random() >= RESTARTED or frames < 2 * _LEAST_STREAM_FRAMES:
        return []
    count = int(rng.integers(1, MOST_RESTARTS + 1))
    chosen = np.sort(
        rng.integers(_LEAST_STREAM_FRAMES, frames - _LEAST_STREAM_FRAMES + 1, count)
    ).tolist()
    kept: list[int] = []
    for frame in chosen:
        if not kept or frame - kept[-1] >= _LEAST_STREAM_FRAMES:
            kept.append(frame)
    return kept


def columns_heard(
    sound: Samples,
    n_mels: int,
    rng: np.random.Generator,
    restarts: Sequence[int] = (),
    *,
    input_gain: bool = False,
) -> Any:
    """`columns_of` a throat a little longer or shorter, as streams that begin at `restarts`.

    The first one begins at the track's first frame, half of the time with a level that the voice
    has set before, as when a pause ends.
    """
    warp = float(np.exp(rng.uniform(np.log(0.9), np.log(1.12))))
    known = rng.random() < 0.5
    edges = [0, *restarts, len(sound) // FRAME_SAMPLES]
    out = []
    for number, (first, last) in enumerate(pairwise(edges)):
        part = sound[first * FRAME_SAMPLES : last * FRAME_SAMPLES]
        settled = known and number == 0
        if input_gain:
            gain = InputGain()
            if settled:
                gain.apply(part[: 250 * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES))
            part = gain.apply(part.reshape(-1, FRAME_SAMPLES)).reshape(-1)
        level = [PRIOR_LEVEL_DB, 0.0, FLOOR_DB]
        if settled:
            guess = columns_db(part, n_mels)
            level = [float(np.quantile(guess, 0.75) + rng.normal(0, 2)), 100.0, float(guess.min())]
        out.append(columns_of(part, n_mels, warp, level))
    return np.concatenate(out)


def columns_of(samples: Samples, n_mels: int, warp: float, level: list[float]) -> Any:
    """Normalised mel columns of whole frames, float16: as the live encoder would make them."""
    n = len(samples) // FRAME_SAMPLES
    pcm = torch.from_numpy(
        np.concatenate([np.zeros(TAIL_SAMPLES, np.float32), samples[: n * FRAME_SAMPLES]])
    )[None]
    filters = torch.from_numpy(mel_filterbank(n_mels, warp))
    columns, _ = normalise(mel_columns(pcm, filters), torch.tensor([level]))
    return columns[0].to(torch.float16).numpy()


def columns_db(samples: Samples, n_mels: int) -> NDArray[np.float32]:
    """Loudness of each frame as `diffposetalk.network.mel.normalise` sees it: (n,) decibels."""
    n = len(samples) // FRAME_SAMPLES
    pcm = torch.from_numpy(
        np.concatenate([np.zeros(TAIL_SAMPLES, np.float32), samples[: n * FRAME_SAMPLES]])
    )[None]
    columns = mel_columns(pcm, torch.from_numpy(mel_filterbank(n_mels)))[0]
    return np.asarray(columns.view(n, COLUMNS, n_mels).amax(1).mean(-1).numpy())
