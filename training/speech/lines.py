"""What lies between a voice and a microphone's samples: rooms, telephones, codecs, levels.

Pure functions of samples and a generator (the codec too: the same bytes give the same samples);
every one keeps the length and the timing.
"""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from stream.frames import FRAME_SAMPLES, SAMPLE_RATE

Samples = NDArray[np.float32]
LEVELS_DB = (-55.0, -10.0)
"""Of speech in full scale, that microphones were seen to give."""
OPUS_BITS = (8_000, 12_000, 16_000, 24_000)
_BANDS = (250.0, 1000.0, 4000.0)


def measured_room(samples: Samples, rng: np.random.Generator, rt60: float | None = None) -> Samples:
    """A room as measured ones are: each band of the tail fades in its own time.

    Direct sound, reflections of the walls of a box, then a diffuse tail whose high bands fade
    sooner.  `rt60` seconds to fall by 60 dB (drawn from 0.15 to 0.9 where it is None).
    """
    decay = float(rt60 if rt60 is not None else np.exp(rng.uniform(np.log(0.15), np.log(0.9))))
    length = int(1.1 * decay * SAMPLE_RATE)
    time = np.arange(length) / SAMPLE_RATE
    response = np.zeros(length)
    noise = rng.standard_normal(length)
    edges = [(None, _BANDS[0]), *pairwise(_BANDS), (_BANDS[-1], None)]
    for (low, high), share in zip(edges, (1.15, 1.0, 0.85, 0.55), strict=True):
        kind, at = ("lowpass", high) if low is None else ("highpass", low)
        band = [low, high] if low is not None and high is not None else at
        name = "bandpass" if isinstance(band, list) else kind
        sections = signal.butter(2, band, name, fs=SAMPLE_RATE, output="sos")
        response += signal.sosfilt(sections, noise) * np.exp(-6.9 * time / (share * decay))
    response[: int(0.004 * SAMPLE_RATE)] = 0.0
    # The first echoes of a box's walls: paths that are longer than the direct one.
    size = rng.uniform(2.0, 7.0, 3)
    for _ in range(8):
        path = float(np.linalg.norm(size * rng.integers(0, 3, 3)) + 0.5)
        at = int(path / 343.0 * SAMPLE_RATE)
        if 0 < at < length:
            response[at] += rng.choice([-1.0, 1.0]) * 6.0 / (1.0 + path)
    # Nearer talkers are drier: direct to reverberant energy from 15 down to -3 dB.
    ratio = rng.uniform(-3.0, 15.0)
    response *= 10 ** (-ratio / 20) / (np.linalg.norm(response) + 1e-9)
    response[0] = 1.0
    return signal.fftconvolve(samples, response)[: len(samples)].astype(np.float32)


def telephone(samples: Samples, rng: np.random.Generator) -> Samples:
    """300 to 3400 Hz in 8 kHz mu-law, as the public network has it."""
    low, high = rng.uniform(200.0, 350.0), rng.uniform(3200.0, 3600.0)
    band = signal.butter(4, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    narrow = signal.resample_poly(signal.sosfilt(band, samples), 1, 2)
    peak = float(np.max(np.abs(narrow))) + 1e-9
    law = np.sign(narrow) * np.log1p(255.0 * np.abs(narrow) / peak) / np.log(256.0)
    law = np.round(law * 127.0) / 127.0
    back = np.sign(law) * (256.0 ** np.abs(law) - 1.0) / 255.0 * peak
    return signal.resample_poly(back, 2, 1)[: len(samples)].astype(np.float32)


def cellular(samples: Samples, rng: np.random.Generator) -> Samples:
    """Linear prediction with a coarse residual, 20 ms at a time in 8 kHz: how mobile codecs sound.

    Atal and Hanauer (1971); ten coefficients a frame and a residual of 2 to 4 bits.
    """
    narrow = signal.resample_poly(samples, 1, 2).astype(np.float64)
    size, order, bits = 160, 10, int(rng.integers(2, 5))
    frames = np.pad(narrow, (0, -len(narrow) % size)).reshape(-1, size)
    out = np.zeros_like(frames)
    memory_in, memory_out = np.zeros(order), np.zeros(order)
    for row, frame in enumerate(frames):
        spectrum = np.abs(np.fft.rfft(frame * np.hanning(size), 512)) ** 2
        correlation = np.fft.irfft(spectrum)[: order + 1]
        correlation[0] = correlation[0] * 1.0001 + 1e-9
        matrix = correlation[np.abs(np.subtract.outer(np.arange(order), np.arange(order)))]
        predictor = np.concatenate([[1.0], -np.linalg.solve(matrix, correlation[1:])])
        joined = np.concatenate([memory_in, frame])
        residual = np.convolve(joined, predictor)[order : order + size]
        step = (np.abs(residual).max() + 1e-9) / 2 ** (bits - 1)
        coarse = np.round(residual / step) * step
        state = signal.lfiltic([1.0], predictor, memory_out[::-1])
        out[row], _ = signal.lfilter([1.0], predictor, coarse, zi=state)
        memory_in, memory_out = frame[-order:], out[row][-order:]
    back = signal.resample_poly(out.reshape(-1)[: len(narrow)], 2, 1)[: len(samples)]
    return np.clip(np.pad(back, (0, len(samples) - len(back))), -4.0, 4.0).astype(np.float32)


def opus(samples: Samples, bits_a_second: int) -> Samples:
    """There and back through Opus, as calls and browsers send voices; its delay is taken out."""
    import av

    held = io.BytesIO()
    with av.open(held, "w", format="ogg") as sink:
        stream = sink.add_stream("libopus", rate=SAMPLE_RATE)
        stream.bit_rate = bits_a_second
        stream.layout = "mono"
        whole = np.clip(samples, -1.0, 1.0)
        frame = av.AudioFrame.from_ndarray(
            (whole * 32767.0).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = SAMPLE_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            sink.mux(packet)
    held.seek(0)
    import soundfile

    back, rate = soundfile.read(held, dtype="float32")
    if rate != SAMPLE_RATE:
        back = signal.resample_poly(back, SAMPLE_RATE, rate).astype(np.float32)
    out = np.zeros(len(samples), np.float32)
    kept = back[: len(samples)]
    out[: len(kept)] = kept
    return out


def speech_level(samples: Samples) -> float:
    """Decibels of full scale of the loud tenth of the 40 ms frames."""
    frames = (
        samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]
        .reshape(-1, FRAME_SAMPLES)
        .astype(np.float64)
    )
    if not len(frames):
        return -100.0
    return float(10.0 * np.log10(np.quantile(np.mean(frames**2, axis=1), 0.9) + 1e-12))


def at_level(samples: Samples, decibels: float) -> Samples:
    """The samples with speech at this level; louder than full scale is cut off, as inputs do."""
    factor = 10 ** ((decibels - speech_level(samples)) / 20)
    return np.clip(samples * factor, -1.0, 1.0).astype(np.float32)


def wandering_level(samples: Samples, rng: np.random.Generator) -> Samples:
    """Speech between LEVELS_DB, slowly and fast changing: a head turns, a hand moves a fader.

    In floating point: what a coarser sound card would round comes after.
    """
    start = rng.uniform(*LEVELS_DB)
    seconds = len(samples) / SAMPLE_RATE
    times, levels = [0.0], [0.0]
    while times[-1] < seconds:
        if rng.random() < 0.5:  # a slow one
            times.append(times[-1] + rng.uniform(2.0, 8.0))
            levels.append(float(rng.normal(0.0, 4.0)))
        else:  # a fast one, held for a while
            change = float(np.clip(rng.normal(0.0, 9.0), -18.0, 18.0))
            hold = rng.uniform(1.5, 5.0)
            times += [times[-1] + hold, times[-1] + hold + rng.uniform(0.02, 0.2)]
            levels += [levels[-1], change]
    moved = np.interp(np.arange(len(samples)) / SAMPLE_RATE, times, levels)
    factor = 10 ** (
        (start - speech_level(samples) + np.clip(moved, LEVELS_DB[0] - start, LEVELS_DB[1] - start))
        / 20
    )
    return np.clip(samples * factor, -1.0, 1.0).astype(np.float32)


def coarse(samples: Samples, bits: int = 16) -> Samples:
    """As a sound card with so many bits gives them."""
    steps = 2.0 ** (bits - 1)
    return (np.round(samples * steps) / steps).astype(np.float32)


def music(length: int, rng: np.random.Generator) -> Samples:
    """Chords, a melody and a beat, of unit deviation: what plays in the background."""
    time = np.arange(length) / SAMPLE_RATE
    out = np.zeros(length)
    tempo = rng.uniform(0.25, 0.6)
    root = rng.uniform(80.0, 220.0)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    for start in np.arange(0.0, length / SAMPLE_RATE, 4 * tempo):
        degree = int(rng.integers(7))
        for note in (degree, degree + 2, degree + 4):
            _note(
                out,
                time,
                root * 2 ** ((scale[note % 7] + 12 * (note // 7)) / 12),
                start,
                4 * tempo,
                rng,
            )
    for start in np.arange(0.0, length / SAMPLE_RATE, tempo):
        pitch = 4 * root * 2 ** (scale[int(rng.integers(7))] / 12)
        _note(out, time, pitch, start, tempo * rng.uniform(0.5, 1.0), rng)
        hit = slice(int(start * SAMPLE_RATE), min(length, int((start + 0.06) * SAMPLE_RATE)))
        if rng.random() < 0.7 and hit.stop > hit.start:
            count = hit.stop - hit.start
            out[hit] += 1.5 * rng.standard_normal(count) * np.exp(-np.arange(count) / 200)
    return (out / (np.std(out) + 1e-9)).astype(np.float32)


def _note(
    out: NDArray[np.float64],
    time: NDArray[np.float64],
    hertz: float,
    start: float,
    seconds: float,
    rng: np.random.Generator,
) -> None:
    """Add one note with its partials, in place."""
    first, last = int(start * SAMPLE_RATE), min(len(out), int((start + seconds) * SAMPLE_RATE))
    if last <= first:
        return
    since = time[first:last] - start
    shape = np.minimum(since / 0.01, 1.0) * np.exp(-since / (0.6 * seconds + 0.05))
    for partial in range(1, 6):
        if partial * hertz < 7000.0:
            phase = rng.uniform(0.0, 2 * np.pi)
            out[first:last] += shape * np.sin(2 * np.pi * partial * hertz * since + phase) / partial
