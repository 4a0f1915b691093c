"""PCM from outside made harmless, and brought to 16 kHz with a millisecond or two of delay.

A live path needs a streaming resampler that holds back next to nothing and lets no alias through:
from 16 kHz the model reads everything up to 8 kHz.  FFmpeg's, which PyAV brings, is as quick (under
2 ms) and lets a tone at 8.4 kHz come back at -22 dB; this one, a Kaiser-windowed sinc in polyphase
form, lets it come back at -59 dB, is flat to 7 kHz, and has aliases below -90 dB from 9 kHz on.
soxr's are as clean and hold back 37 ms or more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from head.errors import WrongValue
from stream.audio import SAMPLE_RATE

RATES = (4_000, 384_000)
_OUTPUTS = 2048
LOUDEST = 4.0
"""Floats go from -1 to 1, a little beyond after processing; larger ones are on another scale."""
_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32")
"""Integer types of sound; larger ones are whole numbers of no known scale."""


def to_float(samples: ArrayLike) -> NDArray[np.float32]:
    """Samples of a caller's array, of whatever type, -> float32 in [-1, 1], of the same shape.

    Integers of 8, 16 and 32 bits are scaled by their type (unsigned ones have their zero in the
    middle); floats stay as they are, not-a-number and infinity included: see `mono`.

    Raises:
        ValueError: bytes, another type, or floats beyond 4, which are on another scale; one line.
    """
    if isinstance(samples, bytes | bytearray | memoryview):
        raise WrongValue(
            f"{len(samples):,} bytes are no samples: np.frombuffer(data, np.int16) makes some of "
            "raw PCM, and the name of a file reads a file"
        )
    try:
        array = np.asarray(samples)
    except ValueError:  # rows of several lengths
        raise WrongValue("samples are an array (n,) or (n, channels) of numbers") from None
    if array.dtype.kind == "f":
        found = array.astype(np.float32, copy=False)
        peak = float(
            np.abs(found, where=np.isfinite(found), out=np.zeros_like(found)).max(initial=0)
        )
        if peak > LOUDEST:
            raise WrongValue(
                f"samples reach {peak:,.0f}: floats go from -1 to 1 (int16 and int32 arrays are "
                "scaled by their type)"
            )
        return found
    if array.dtype.name not in _INTEGERS:
        raise WrongValue(
            f"samples of type {array.dtype.name[:40]} have no known scale: give float32 in "
            "[-1, 1], int16, int32 or uint8"
        )
    return scaled(array)


def scaled(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Integer samples -> float32 in [-1, 1) by their type; floats as they are, in float32."""
    if samples.dtype.kind not in "iu":
        return samples.astype(np.float32, copy=False)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    middle = half if samples.dtype.kind == "u" else 0.0
    if samples.dtype.itemsize < 4:  # float32 holds them exactly
        return (samples.astype(np.float32) - np.float32(middle)) / np.float32(half)
    return ((samples.astype(np.float64) - middle) / half).astype(np.float32)


def mono(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n,) or (n, channels) -> (n,) float32: not-a-number to 0, clipped to [-1, 1], averaged."""
    clean = np.nan_to_num(np.asarray(samples, np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    clean = np.clip(clean, -1.0, 1.0)
    return clean if clean.ndim == 1 else clean.mean(axis=1, dtype=np.float32)


def from_int16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """int16 PCM -> float32 in [-1, 1)."""
    return samples.astype(np.float32) / np.float32(32768)


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """float32 in [-1, 1] -> int16 PCM; the inverse of `from_int16` on its values."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


USUAL_RATES = (
    8_000,
    11_025,
    12_000,
    16_000,
    22_050,
    24_000,
    32_000,
    44_100,
    48_000,
    88_200,
    96_000,
    176_400,
    192_000,
)
"""Rates whose filters are kept once they were made."""


@dataclass(frozen=True, eq=False)
class ResamplingFilter:
    """A polyphase filter from one rate to 16 kHz, made once and shared.

    Attributes:
        rate: input samples per second.
        up, down: the ratio of the rates, in lowest terms.
        half: half its length, in input samples.
        taps: (up, 2 half) float32, a row for each phase.
    """

    rate: int
    up: int
    down: int
    half: int
    taps: NDArray[np.float32]


def make_filter(rate: int, zero_crossings: int = 24) -> ResamplingFilter:
    """The filter for a rate of 4,000 to 384,000 Hz; up to 80 ms of work for an odd one.

    Args:
        rate: input samples per second.
        zero_crossings: half the filter's length, in zero crossings of its sinc.

    Raises:
        ValueError: a rate outside that range.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise WrongValue(f"a sample rate of {rate} Hz: use {RATES[0]} to {RATES[1]} Hz")
    common = math.gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    band = 0.95 * min(rate, SAMPLE_RATE) / rate  # cut-off, as a part of the input's Nyquist
    half = math.ceil(zero_crossings / band)
    # Taps of phase p: the input at base - half + 1 ... base + half, for an output at
    # base + p / up.
    phase = np.arange(up)[:, None] / up
    distance = np.arange(1 - half, half + 1)[None, :] - phase
    window = np.i0(9.0 * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1))) / np.i0(9.0)
    taps = band * np.sinc(band * distance) * window
    return ResamplingFilter(
        rate, up, down, half, (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    )


usual_filter = lru_cache(maxsize=len(USUAL_RATES))(make_filter)
"""`make_filter`, for USUAL_RATES only: each is made once."""


class LiveResampler:
    """Streaming resampler from `rate` to 16 kHz; the output does not depend on the block sizes.

    Output sample n stands for input time n / 16000; it comes out `delay` seconds after it.
    A shallow copy (`copy.copy`) goes on by itself from where it was taken.

    Args:
        rate: input samples per second, 4,000 to 384,000.
        filter: for that rate, where it was made before.

    Raises:
        ValueError: a rate outside that range.
    """

    def __init__(self, rate: int, filter: ResamplingFilter | None = None) -> None:
        if filter is None:
            filter = usual_filter(rate) if rate in USUAL_RATES else make_filter(rate)
        self._up, self._down, self._half = filter.up, filter.down, filter.half
        self._filter, self._taps = filter, filter.taps
        self._rate = rate
        self.delay = filter.half / rate
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next sample is sample 0."""
        self._held = np.zeros(self._half - 1, np.float32)
        self._first = 1 - self._half  # input index of _held[0]
        self._next = 0  # next output index

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) input -> (m,) output that is complete by now."""
        if self._up == self._down:
            return samples
        self._held = np.concatenate([self._held, samples])
        arrived = self._first + len(self._held)
        # Outputs n with base(n) + half < arrived, where base(n) = n * down // up.
        stop = max(self._next, -(-(arrived - self._half) * self._up // self._down))
        if stop == self._next:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * self._half)
        pieces = []
        for at in range(self._next, stop, _OUTPUTS):  # in pieces: every output reads many inputs
            position = np.arange(at, min(at + _OUTPUTS, stop), dtype=np.int64) * self._down
            base, phase = position // self._up, position % self._up
            heard = windows[base - self._half + 1 - self._first]
            pieces.append(np.einsum("nt,nt->n", heard, self._taps[phase], dtype=np.float32))
        self._next = stop
        keep_from = stop * self._down // self._up - self._half + 1
        drop = max(0, min(keep_from - self._first, len(self._held)))
        self._held = self._held[drop:].copy()
        self._first += drop
        return np.concatenate(pieces)

    def finish(self) -> NDArray[np.float32]:
        """The rest, up to floor(n_in * 16000 / rate) samples in all."""
        if self._up == self._down:
            return np.zeros(0, np.float32)
        total = (self._first + len(self._held)) * self._up // self._down
        rest = self.feed(np.zeros(2 * self._half, np.float32))
        return rest[: max(0, len(rest) - (self._next - total))]
