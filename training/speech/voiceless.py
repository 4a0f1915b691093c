"""Sound in which nobody speaks: tones, chords, hum, clicks, breath and laughter without a voice.

Lips have no reason to move for any of it, however loud it is and whatever gain it meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from stream.frames import SAMPLE_RATE
from training.speech import augment, lines

Samples = NDArray[np.float32]

QUIET_SHARE = 0.25
"""Of the pieces, silence with a room's noise."""


def without_a_voice(
    length: int, rng: np.random.Generator, noises: Sequence[Samples] = ()
) -> Samples:
    """`length` samples of pieces of 0.5 to 5 s, each one kind of sound at a level of its own."""
    kinds = (chord, chord, tone, hum, clicks, laughter, lines.music, augment.coloured_noise)
    out = (rng.standard_normal(length) * 1e-4).astype(np.float32)
    at = int(rng.uniform(0.0, 1.5) * SAMPLE_RATE)
    while at < length:
        count = min(int(rng.uniform(0.5, 5.0) * SAMPLE_RATE), length - at)
        if rng.random() > QUIET_SHARE:
            kind = int(rng.integers(len(kinds) + bool(noises)))
            piece: NDArray[np.floating[Any]]
            if kind == len(kinds):
                source = noises[int(rng.integers(len(noises)))]
                piece = np.resize(np.roll(source, -int(rng.integers(len(source)))), count)
            else:
                piece = kinds[kind](count, rng)
            piece = piece / (np.std(piece) + 1e-9) * 10 ** (rng.uniform(-45.0, -12.0) / 20)
            out[at : at + count] += (piece * _edges(count, rng)).astype(np.float32)
        at += count
    return out


def tone(length: int, rng: np.random.Generator) -> Samples:
    """One sine, steady, gliding or trembling: a whistle, a beep, a siren."""
    time = np.arange(length) / SAMPLE_RATE
    low, high = np.exp(rng.uniform(np.log(80.0), np.log(4000.0), 2))
    pitch = np.full(length, low) if rng.random() < 0.6 else np.geomspace(low, high, length)
    pitch = pitch * (1 + 0.03 * rng.random() * np.sin(2 * np.pi * rng.uniform(1.0, 7.0) * time))
    return np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE).astype(np.float32)


def chord(length: int, rng: np.random.Generator) -> Samples:
    """Two to five notes held together, each with overtones, plucked or sustained."""
    time = np.arange(length) / SAMPLE_RATE
    root = np.exp(rng.uniform(np.log(90.0), np.log(500.0)))
    steps = rng.choice([0, 3, 4, 7, 10, 12, 16, 19], int(rng.integers(2, 6)), replace=False)
    fall = rng.uniform(0.0, 4.0)
    out = np.zeros(length)
    for step in steps:
        pitch, steep = root * 2 ** (step / 12), rng.uniform(0.6, 2.5)
        for overtone in range(1, int(rng.integers(2, 9))):
            if pitch * overtone < 0.45 * SAMPLE_RATE:
                phase = 2 * np.pi * (pitch * overtone * time + rng.random())
                out += overtone**-steep * np.sin(phase) * np.exp(-fall * time)
    return out.astype(np.float32)


def hum(length: int, rng: np.random.Generator) -> Samples:
    """The mains and its overtones, a fan or an engine."""
    time = np.arange(length) / SAMPLE_RATE
    base = float(rng.choice([50.0, 60.0, rng.uniform(25.0, 160.0)]))
    out = sum(
        rng.random() / overtone**0.7 * np.sin(2 * np.pi * (base * overtone * time + rng.random()))
        for overtone in range(1, 13)
    )
    return np.asarray(out + 0.1 * rng.standard_normal(length), np.float32)


def clicks(length: int, rng: np.random.Generator) -> Samples:
    """Keys, knocks and dropped things: short bursts that ring."""
    out = np.zeros(length)
    at = 0
    while at < length:
        count = min(int(rng.uniform(0.004, 0.08) * SAMPLE_RATE), length - at)
        ring = np.sin(2 * np.pi * rng.uniform(100.0, 3500.0) * np.arange(count) / SAMPLE_RATE)
        burst = (rng.standard_normal(count) + ring) * np.exp(-6.0 * np.arange(count) / count)
        out[at : at + count] += rng.uniform(0.2, 1.0) * burst
        at += count + int(rng.exponential(0.18) * SAMPLE_RATE)
    return out.astype(np.float32)


def laughter(length: int, rng: np.random.Generator) -> Samples:
    """Breath in bursts, four to six a second, without a voice; or one long breath."""
    time = np.arange(length) / SAMPLE_RATE
    low = rng.uniform(300.0, 900.0)
    band = signal.butter(2, [low, low * rng.uniform(3.0, 7.0)], "bandpass", fs=SAMPLE_RATE)
    breath = signal.lfilter(*band, rng.standard_normal(length))
    if rng.random() < 0.3:
        return (breath * np.sin(np.pi * np.linspace(0, 1, length))).astype(np.float32)
    rate = rng.uniform(4.0, 6.0)
    bursts = np.clip(np.sin(2 * np.pi * rate * time), 0.0, None) ** 0.7
    return (breath * bursts * np.exp(-rng.uniform(0.0, 1.5) * time)).astype(np.float32)


def _edges(length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Up from nothing and back to it, within 5 to 200 ms."""
    ramp = max(1, min(length // 2, int(rng.uniform(0.005, 0.2) * SAMPLE_RATE)))
    out = np.ones(length)
    out[:ramp] = np.linspace(0.0, 1.0, ramp)
    out[length - ramp :] = np.linspace(1.0, 0.0, ramp)
    return out
