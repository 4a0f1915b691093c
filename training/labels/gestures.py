"""What a face does besides articulating: head, brows and blinks, driven by the prosody.

All functions return values at the centres of frames at 25 fps, draw from the generator they are
given, and stay alive in silence. Head movement follows what is known of talkers: nods and brow
flashes at pitch accents (Graf et al. 2002; Krahmer and Swerts 2007), a new posture per phrase,
slow sway between; blinks last 150 to 250 ms, close faster than they open and gather at phrase
ends (Nakano and Kitazawa 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stream.frames import FPS
from training.labels.label_styles import SpeakingStyle
from training.labels.phones import VOWELS, Phone, phrases
from training.labels.prosody import Prosody, smooth

NOD_WITH_VOICE = 0.015
"""Radians that the head goes down with a voice that swells from silence to its full."""


TO_THE_OTHER_SIDE = 0.85
"""Poses that turn away from the last one's side."""


class Accent(NamedTuple):
    """A stressed vowel: seconds, and strength 0..1."""

    time: float
    strength: float


def vigour(phones: Sequence[Phone], prosody: Prosody) -> np.ndarray:
    """(len(phones),) how strongly each phone is spoken: 1 usual, 0.55 weak, 1.45 loud.

    The slope is that of recorded faces: their jaws open with loudness beyond what phones ask for.
    """
    loud = np.array([_peak(prosody.loudness, p, prosody.rate) for p in phones])
    spoken = np.array([p.name in VOWELS for p in phones])
    if not spoken.any():
        return np.ones(len(phones))
    usual = np.median(loud[spoken])
    return np.where(spoken, np.clip(1.0 + 3.0 * (loud - usual), 0.55, 1.45), 1.0)


def accents(phones: Sequence[Phone], prosody: Prosody) -> list[Accent]:
    """Vowels that stand out from their neighbours in level, pitch and length."""
    vowels = [p for p in phones if p.name in VOWELS]
    if not vowels:
        return []
    level = np.array([_peak(prosody.loudness, p, prosody.rate) for p in vowels])
    pitch = np.array([_peak(prosody.f0, p, prosody.rate) for p in vowels])
    voiced = pitch > 0.0
    tone = np.zeros(len(vowels))
    if voiced.any():
        tone[voiced] = 12.0 * np.log2(pitch[voiced] / np.median(pitch[voiced]))
    length = np.log2(np.array([p.length for p in vowels]) / 0.09)
    prominence = 2.2 * (level - np.median(level)) + np.clip(tone, -4.0, 6.0) / 6.0
    prominence += 0.45 * np.clip(length, -1.0, 1.3)
    found = []
    for i, phone in enumerate(vowels):
        near = [j for j, q in enumerate(vowels) if abs(q.middle - phone.middle) < 0.28]
        if prominence[i] >= max(prominence[j] for j in near) and prominence[i] > 0.05:
            strength = float(np.clip(0.35 + 0.6 * prominence[i], 0.0, 1.0))
            found.append(Accent(phone.start + 0.4 * phone.length, strength))
    return found


def head_rotation(
    phones: Sequence[Phone],
    n_frames: int,
    style: SpeakingStyle,
    rng: np.random.Generator,
    prosody: Prosody,
    stressed: Sequence[Accent],
) -> np.ndarray:
    """(n_frames, 3) axis-angle radians: x nods down, y turns left, z tilts."""
    times = _times(n_frames)
    speech = prosody.at_frames(smooth(prosody.activity, 0.25 * prosody.rate), n_frames)
    alive = 0.55 + 0.45 * speech
    tempo = style.head_tempo
    slow = smooth_noise(n_frames, rng, 0.55 / tempo, 3) * np.array([0.019, 0.030, 0.016])
    quick = smooth_noise(n_frames, rng, 0.16 / tempo, 3) * np.array([0.0045, 0.0055, 0.0035])
    rotation = slow * alive[:, None] + quick * (0.3 + 0.7 * speech[:, None])
    rotation += _postures(phones, times, style, rng)
    for accent in stressed:
        if rng.random() > 0.45 + 0.55 * accent.strength:
            continue
        size = accent.strength * rng.uniform(0.7, 1.2)
        rise, fall = 0.085 / tempo, 0.16 / tempo
        late = accent.time + 0.03
        width = np.where(times < late, rise, fall)
        pulse = np.exp(-0.5 * ((times - late) / width) ** 2)
        # A nod is prepared by a small lift and followed by a return past the start.
        lift = np.exp(-0.5 * ((times - late + 0.24 / tempo) / (0.11 / tempo)) ** 2)
        rotation[:, 0] += 0.050 * style.nod * size * (pulse - 0.28 * lift)
        rotation[:, 1] += 0.012 * size * rng.normal() * pulse
        rotation[:, 2] += 0.008 * size * rng.normal() * pulse
    rotation[:, 0] += NOD_WITH_VOICE * style.nod * _voice_swell(prosody, n_frames)
    rotation *= style.head_amplitude
    rotation[:, 0] += style.head_pitch
    leaning = np.array([style.head_yaw, style.head_roll])
    rotation[:, 1:] += _leaning(phones, times, style, rng)[:, None] * leaning
    return np.asarray(rotation)


def _voice_swell(prosody: Prosody, n_frames: int) -> np.ndarray:
    """(n_frames,) loudness above that of the half second around, smoothed as a head is slow."""
    slow = smooth(prosody.loudness, 0.35 * prosody.rate)
    quick = smooth(prosody.loudness, 0.06 * prosody.rate)
    return prosody.at_frames(np.clip(quick - slow, -0.6, 0.6), n_frames).astype(float)


def _leaning(
    phones: Sequence[Phone], times: np.ndarray, style: SpeakingStyle, rng: np.random.Generator
) -> np.ndarray:
    """(len(times),) -1..1 how far and to which side a style that turns or tilts its head does.

    From one side to the other and back to the middle: nobody looks aside for long, and nobody's
    mean is off. With no speech the head comes to the middle.
    """
    spoken = phrases(phones, pause=2.0)
    lean = np.zeros(len(times))
    side, at, time = (1.0 if rng.random() < 0.5 else -1.0), 0.0, 0.0
    end = float(times[-1]) if len(times) else 0.0
    while time < end:
        speaking = any(p.start - 0.3 <= time <= p.end for p in spoken)
        goal = side * float(rng.uniform(0.8, 1.1)) if speaking and at == 0.0 else 0.0
        if goal != 0.0:
            side = -side
        step = np.clip((times - time) * style.head_tempo / 0.9, 0.0, 1.0)
        lean += _eased(step) * (goal - at)
        at = goal
        time += float(rng.uniform(2.5, 6.0)) if goal != 0.0 else float(rng.uniform(0.4, 1.6))
    return lean


def _eased(step: np.ndarray) -> np.ndarray:
    """Minimum jerk from 0 to 1."""
    return np.asarray(step**3 * (10.0 - 15.0 * step + 6.0 * step**2))


def _postures(
    phones: Sequence[Phone], times: np.ndarray, style: SpeakingStyle, rng: np.random.Generator
) -> np.ndarray:
    """A new pose of the head for every phrase, most of it given back in pauses."""
    pose = np.zeros((len(times), 3))
    at = np.zeros(3)
    moves: list[tuple[float, np.ndarray]] = []
    side = np.array([1.0, 1.0, 1.0])

    def drawn(size: tuple[float, float, float]) -> np.ndarray:
        # Mostly to the other side than before: nobody looks aside for long.
        nonlocal side
        side = np.where(rng.random(3) < TO_THE_OTHER_SIDE, -side, side)
        side[0] = 1.0 if rng.random() < 0.5 else -1.0
        return side * np.abs(rng.normal(size=3)) * np.array(size)

    for phrase in phrases(phones):
        moves.append((phrase.start - 0.15, drawn((0.020, 0.050, 0.025))))
        middle = phrase.start + 1.6
        while middle < phrase.end - 0.8:  # long phrases are not spoken in one pose
            moves.append((middle, drawn((0.018, 0.042, 0.022))))
            middle += rng.uniform(1.2, 2.4)
        moves.append((phrase.end + 0.1, 0.35 * moves[-1][1]))
        moves.append((phrase.end + 2.0, 0.0 * moves[-1][1]))
    for time, goal in moves:
        step = np.clip((times - time) * style.head_tempo / rng.uniform(0.5, 0.8), 0.0, 1.0)
        pose += _eased(step)[:, None] * (goal - at)
        at = goal
    return pose


def brows(
    n_frames: int,
    style: SpeakingStyle,
    rng: np.random.Generator,
    prosody: Prosody,
    stressed: Sequence[Accent],
) -> tuple[np.ndarray, np.ndarray]:
    """(n_frames,) raise (negative lowers) and (n_frames,) inner lift beyond it, channel weights."""
    times = _times(n_frames)
    voiced = prosody.f0 > 0.0
    tone = np.zeros(len(prosody.f0))
    if voiced.any():
        tone[voiced] = np.log2(prosody.f0[voiced] / np.median(prosody.f0[voiced]))
    contour = prosody.at_frames(smooth(np.clip(tone, -0.4, 0.6), 0.14 * prosody.rate), n_frames)
    lift = 0.30 * contour + 0.035 * smooth_noise(n_frames, rng, 0.6, 1)[:, 0]
    inner = 0.03 * smooth_noise(n_frames, rng, 0.8, 1)[:, 0]
    for accent in stressed:
        if rng.random() > 0.25 + 0.6 * accent.strength:
            continue
        size = 0.24 * accent.strength * rng.uniform(0.6, 1.3)
        late = accent.time + 0.02
        width = np.where(times < late, 0.09, 0.22)
        lift += size * np.exp(-0.5 * ((times - late) / width) ** 2)
    return style.brow_rest + style.brow_life * lift, style.brow_life * inner


def blinks(
    phones: Sequence[Phone], n_frames: int, style: SpeakingStyle, rng: np.random.Generator
) -> np.ndarray:
    """(n_frames,) lid closure 0..1."""
    times = _times(n_frames)
    end = n_frames / FPS
    closure = np.zeros(n_frames)
    for time in _blink_times(phones, end, style, rng):
        depth = rng.uniform(0.92, 1.0) if rng.random() > 0.12 else rng.uniform(0.5, 0.8)
        length = style.blink_seconds * rng.uniform(0.85, 1.2)
        shut, leave = 0.30 * length, 0.50 * length + 0.02
        knots = time + np.array([0.0, shut, leave, leave + 0.3 * length, length + 0.06])
        shape = np.interp(times, knots, [0.0, 1.0, 1.0, 0.35, 0.0])
        closure = np.maximum(closure, depth * shape)
    return closure


def _blink_times(
    phones: Sequence[Phone], end: float, style: SpeakingStyle, rng: np.random.Generator
) -> list[float]:
    """Log-normal intervals, plus a pull of blinks towards the ends of phrases."""
    interval = 60.0 / max(style.blink_rate, 1.0)
    found: list[float] = []
    boundaries = [phrase.end for phrase in phrases(phones)]
    # Begun long before the clip: a short one has its share of blinks, too.
    time = -5.0 * interval * float(rng.uniform(0.9, 1.1))
    while True:
        time += interval * float(np.exp(rng.normal(-0.18, 0.6)))
        if time >= end:
            break
        near = [b for b in boundaries if abs(b - time) < 0.9]
        pulled = time
        if near and rng.random() < 0.65:
            pulled = min(near, key=lambda b: abs(b - time)) + float(rng.normal(0.04, 0.07))
        if found and pulled - found[-1] < 0.45:
            pulled = max(time, found[-1] + 0.45)  # another one has that end
        if 0.0 < pulled < end:
            found.append(pulled)
    return found


def smooth_noise(n_frames: int, rng: np.random.Generator, seconds: float, axes: int) -> np.ndarray:
    """(n_frames, axes) smooth noise of unit variance that changes within about `seconds`."""
    sigma = max(seconds * FPS, 0.5)
    edge = int(3 * sigma) + 1
    noise = smooth(rng.normal(size=(axes, n_frames + 2 * edge)), sigma)[:, edge : edge + n_frames]
    return np.asarray(noise.T * np.sqrt(2.0 * np.sqrt(np.pi) * sigma))


def _times(n_frames: int) -> np.ndarray:
    return (np.arange(n_frames) + 0.5) / FPS


def _peak(values: np.ndarray, phone: Phone, rate: float) -> float:
    part = values[int(phone.start * rate) : max(int(phone.end * rate), int(phone.start * rate) + 1)]
    if part.size == 0:
        return 0.0
    return float(np.percentile(part, 80))
