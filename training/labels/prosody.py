"""What the voice does besides phones: level, pitch and speech activity at 100 Hz.

Pitch is the peak of the normalised autocorrelation divided by that of the window (P. Boersma
1993, eq. 9), on 40 ms windows of the signal at 8 kHz, all frames of a clip at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from head.errors import WrongValue
from stream.frames import FPS, SAMPLE_RATE

PROSODY_RATE_HZ = 100
PROSODY_HOP_SAMPLES = SAMPLE_RATE // PROSODY_RATE_HZ
F0_RANGE_HZ = (65.0, 420.0)
_PITCH_WINDOW = 320  # samples at 8 kHz
_VOICING_THRESHOLD = 0.45


@dataclass(frozen=True)
class Prosody:
    """Arrays (T,) float32 at `rate` Hz; value i is centred on second (i + 0.5) / rate.

    Attributes:
        level: energy in dB relative to full scale, smoothed over 25 ms.
        loudness: level between the clip's noise floor (0) and its loud speech (1); may exceed 1.
        f0: fundamental frequency in Hz, 0 where unvoiced.
        activity: 0 to 1, speech present (a soft threshold on `loudness`).
        duration: seconds of audio.
        rate: values per second.
    """

    level: np.ndarray
    loudness: np.ndarray
    f0: np.ndarray
    activity: np.ndarray
    duration: float
    rate: float = float(PROSODY_RATE_HZ)

    def at_frames(self, values: np.ndarray, n_frames: int) -> np.ndarray:
        """`values` (T,) linearly read at the centres of `n_frames` frames at 25 fps."""
        if values.size == 0:
            return np.zeros(n_frames, np.float32)
        index = (np.arange(n_frames) + 0.5) / FPS * self.rate - 0.5
        return np.asarray(np.interp(index, np.arange(values.size), values), np.float32)


def extract_prosody(samples: np.ndarray) -> Prosody:
    """Prosody of mono 16 kHz `samples` (n,) in [-1, 1]; an empty clip gives empty arrays.

    Raises ValueError when `samples` has more than one axis.
    """
    if samples.ndim != 1:
        raise WrongValue(f"prosody needs mono samples (n,), got an array of shape {samples.shape}")
    sound = np.nan_to_num(np.asarray(samples, np.float32))
    count = sound.size // PROSODY_HOP_SAMPLES
    level = _level(sound, count)
    loudness = _loudness(level)
    return Prosody(
        level=level,
        loudness=loudness,
        f0=_pitch(sound, count, loudness),
        activity=_activity(loudness),
        duration=sound.size / SAMPLE_RATE,
    )


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian smoothing along the last axis, `sigma` in samples, edges held."""
    if sigma <= 0.0 or values.shape[-1] == 0:
        return values
    reach = max(1, int(np.ceil(3.0 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(reach, reach)], mode="edge")
    rows = padded.reshape(-1, padded.shape[-1])
    out = np.stack([np.convolve(row, kernel, mode="valid") for row in rows])
    return out.reshape(values.shape)


def _level(sound: np.ndarray, count: int) -> np.ndarray:
    power = np.square(
        sound[: count * PROSODY_HOP_SAMPLES].reshape(count, PROSODY_HOP_SAMPLES)
    ).mean(axis=1)
    return np.asarray(10.0 * np.log10(smooth(power, 1.0) + 1e-9), np.float32)


def _loudness(level: np.ndarray) -> np.ndarray:
    if level.size == 0:
        return level
    floor, top = np.percentile(level, 5), np.percentile(level, 97)
    # A clip without pauses has no floor to measure: speech spans at least 30 dB.
    floor = min(float(floor), float(top) - 30.0)
    return np.asarray((level - floor) / (top - floor), np.float32)


def _activity(loudness: np.ndarray) -> np.ndarray:
    soft = 1.0 / (1.0 + np.exp(-(loudness - 0.38) / 0.05))
    return np.asarray(soft, np.float32)


def _pitch(sound: np.ndarray, count: int, loudness: np.ndarray) -> np.ndarray:
    """(count,) F0 in Hz, 0 where unvoiced; single-frame slips removed by a median of five."""
    if count == 0:
        return np.zeros(0, np.float32)
    half = 0.5 * (sound[: sound.size // 2 * 2 : 2] + sound[1 : sound.size // 2 * 2 : 2])
    rate = SAMPLE_RATE // 2
    hop = rate // PROSODY_RATE_HZ
    side = (_PITCH_WINDOW - hop) // 2
    padded = np.pad(half, (side, _PITCH_WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _PITCH_WINDOW)[::hop][:count]
    low, high = int(rate / F0_RANGE_HZ[1]), int(rate / F0_RANGE_HZ[0])
    window = np.hanning(_PITCH_WINDOW).astype(np.float32)
    window_shape = np.fft.irfft(np.abs(np.fft.rfft(window, 512)) ** 2)[: high + 2]
    window_shape = window_shape / window_shape[0]
    f0 = np.zeros(count, np.float32)
    voiced = np.flatnonzero(loudness > 0.3)
    for begin in range(0, voiced.size, 4096):
        rows = voiced[begin : begin + 4096]
        chunk = frames[rows]
        chunk = (chunk - chunk.mean(axis=1, keepdims=True)) * window
        correlation = np.fft.irfft(np.abs(np.fft.rfft(chunk, 512)) ** 2)[:, : high + 2]
        correlation = correlation / (correlation[:, :1] + 1e-9) / window_shape
        lags = np.arange(low, high + 1)
        # Octave errors: prefer the shorter of two nearly equal periods.
        score = correlation[:, low : high + 1] - 0.06 * np.log2(lags / low)
        best = score.argmax(axis=1)
        strength = correlation[np.arange(rows.size), best + low]
        around = np.stack([correlation[np.arange(rows.size), best + low + d] for d in (-1, 0, 1)])
        curve = around[0] - 2.0 * around[1] + around[2]
        shift = np.where(curve < -1e-6, 0.5 * (around[0] - around[2]) / np.minimum(curve, -1e-6), 0)
        period = best + low + np.clip(shift, -0.5, 0.5)
        f0[rows] = np.where(strength > _VOICING_THRESHOLD, rate / period, 0.0)
    return _median_of_five(f0)


def _median_of_five(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 2, mode="edge")
    return np.asarray(
        np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1), np.float32
    )
