"""What happens to a voice before a microphone hears it: throat, room, noise, line, level.

Pure functions of samples and a generator; every one keeps the length and the timing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from stream.frames import FRAME_SAMPLES, SAMPLE_RATE

Samples = NDArray[np.float32]


def room(samples: Samples, rng: np.random.Generator) -> Samples:
    """A synthetic room: direct sound, a few early reflections, an exponential tail."""
    decay = rng.uniform(0.05, 0.35)  # seconds to fall by 60 dB
    length = int(decay * SAMPLE_RATE)
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail[: int(0.002 * SAMPLE_RATE)] = 0.0
    for _ in range(int(rng.integers(2, 7))):
        tail[int(rng.uniform(0.002, 0.03) * SAMPLE_RATE) % length] += rng.uniform(-4.0, 4.0)
    wet = 10 ** (-rng.uniform(3.0, 15.0) / 20) * tail / (np.linalg.norm(tail) + 1e-9)
    wet[0] = 1.0
    return signal.fftconvolve(samples, wet)[: len(samples)].astype(np.float32)


def line(samples: Samples, rng: np.random.Generator) -> Samples:
    """A microphone's tone: a tilt, a broad peak, sometimes a narrow band."""
    low, high = rng.uniform(30.0, 180.0), rng.uniform(3400.0, 7900.0)
    if rng.random() < 0.5:
        high = 7900.0
    band = signal.butter(1, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    out = signal.sosfilt(band, samples)
    tilt = rng.uniform(-0.45, 0.45)
    out = signal.lfilter([1.0, tilt], [1.0], out)
    centre, gain, q = np.exp(rng.uniform(5.7, 8.6)), rng.uniform(-6.0, 6.0), rng.uniform(0.5, 1.5)
    peak_b, peak_a = _peaking(centre, gain, q)
    return signal.lfilter(peak_b, peak_a, out).astype(np.float32)


def _peaking(
    centre: float, gain_db: float, q: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of a peaking equaliser (the well-known audio cookbook form)."""
    a, omega = 10 ** (gain_db / 40), 2 * np.pi * centre / SAMPLE_RATE
    alpha, cosine = np.sin(omega) / (2 * q), np.cos(omega)
    b = np.array([1 + alpha * a, -2 * cosine, 1 - alpha * a])
    return b / (1 + alpha / a), np.array([1 + alpha / a, -2 * cosine, 1 - alpha / a]) / (
        1 + alpha / a
    )


def coloured_noise(length: int, rng: np.random.Generator) -> Samples:
    """Noise with a spectrum of f^-a, a in 0..2, and a slow swell."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    spectrum *= np.maximum(frequency, 40.0) ** (-rng.uniform(0.0, 2.0) / 2)
    noise = np.fft.irfft(spectrum, length)
    swell = 1 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.02, 0.5) * np.arange(length) / SAMPLE_RATE))
    noise = noise * swell
    return (noise / (np.std(noise) + 1e-9)).astype(np.float32)


def babble(voices: list[Samples], length: int, rng: np.random.Generator) -> Samples:
    """Other people talking at once, each from anywhere in what they say, at its own level."""
    crowd = np.zeros(length, np.float32)
    for voice in voices:
        turned = np.resize(np.roll(voice, -int(rng.integers(len(voice)))), length)
        crowd += rng.uniform(0.4, 1.0) * turned / (np.std(voice) + 1e-9)
    return (crowd / (np.std(crowd) + 1e-9)).astype(np.float32)


def suppress(samples: Samples, rng: np.random.Generator) -> Samples:
    """What a browser's or a call's noise suppression leaves: Boll's spectral subtraction (1979).

    The floor of every band is its least power in the last second.  More or less of it is taken
    away, down to a residue; what remains warbles, and weak consonants go with the noise.
    """
    _, _, spectrum = signal.stft(samples, SAMPLE_RATE, nperseg=512, noverlap=384)
    power = signal.lfilter([0.3], [1.0, -0.7], np.abs(spectrum) ** 2, axis=-1)
    second = SAMPLE_RATE // 128
    floor = ndimage.minimum_filter1d(power, second, axis=-1, origin=second // 2)
    taken, residue = rng.uniform(2.0, 8.0), 10 ** (-rng.uniform(8.0, 25.0) / 20)
    gain = np.sqrt(np.maximum(1 - taken * floor / (power + 1e-12), residue**2))
    _, out = signal.istft(spectrum * gain, SAMPLE_RATE, nperseg=512, noverlap=384)
    return out[: len(samples)].astype(np.float32)


def codec(samples: Samples, rng: np.random.Generator) -> Samples:
    """A telephone or a cheap line: 8 kHz and mu-law, coarse steps, or an overdriven input."""
    peak = float(np.max(np.abs(samples))) + 1e-9
    kind = rng.integers(3)
    if kind == 0:
        low = signal.resample_poly(samples, 1, 2) / peak
        law = np.sign(low) * np.log1p(255.0 * np.abs(low)) / np.log(256.0)
        law = np.round(law * 127.0) / 127.0
        back = np.sign(law) * (256.0 ** np.abs(law) - 1.0) / 255.0
        return (signal.resample_poly(back, 2, 1)[: len(samples)] * peak).astype(np.float32)
    if kind == 1:
        steps = 2.0 ** rng.uniform(6.0, 10.0)
        return (np.round(samples / peak * steps) / steps * peak).astype(np.float32)
    drive = rng.uniform(1.5, 6.0)
    return (np.tanh(samples / peak * drive) * peak / drive).astype(np.float32)


def mix(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add noise at a signal-to-noise ratio against the loud tenth of the speech."""
    blocks = speech[: len(speech) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    level = np.sqrt(np.quantile(np.mean(blocks**2, 1), 0.9)) + 1e-6
    scale = level / (np.std(noise) + 1e-9) * 10 ** (-snr_db / 20)
    return (speech + scale * noise[: len(speech)]).astype(np.float32)


def level(samples: Samples, rng: np.random.Generator) -> Samples:
    """Whisper to shout into a microphone of any gain: the loud tenth lands at -45 to -8 dBFS."""
    blocks = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    rms = np.sqrt(np.quantile(np.mean(blocks**2, 1), 0.9)) + 1e-6
    target = 10 ** (rng.uniform(-42.0, -10.0) / 20)
    return np.clip(samples * (target / rms), -1.0, 1.0).astype(np.float32)


def whispered(samples: Samples, rng: np.random.Generator) -> Samples:
    """The same words without a voice: the spectrum's envelope, carried by noise.

    The envelope is what a cepstrum of 1.5 ms keeps; whispers are flatter, so it is tilted up.
    """
    _, _, spectrum = signal.stft(samples, SAMPLE_RATE, nperseg=400, noverlap=300)
    log = np.log(np.abs(spectrum) + 1e-6)
    cepstrum = np.fft.irfft(log, axis=0)
    kept = 24
    cepstrum[kept : len(cepstrum) - kept + 1] = 0.0
    envelope = np.exp(np.fft.rfft(cepstrum, axis=0).real)
    tilt = np.linspace(0.0, rng.uniform(6.0, 18.0), len(envelope))[:, None]
    carried = envelope * 10 ** (tilt / 20) * np.exp(2j * np.pi * rng.random(spectrum.shape))
    _, out = signal.istft(carried, SAMPLE_RATE, nperseg=400, noverlap=300)
    return np.resize(out, len(samples)).astype(np.float32)
