"""Which of several channels is heard: the one with the speech, or their mix where all have it.

The mean of all channels is right for most stereo and wrong elsewhere: a film's voice is in the
centre, a recorder has one microphone in sixteen sockets, and a stereo pair of which one side is
wired the wrong way round cancels itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]
Channel: TypeAlias = int | Literal["auto", "mix"]
"""`auto` looks for the speech, `mix` is the mean of all, a number counts channels from 1."""

FRAME_SECONDS = 0.02
MOST_FRAMES = 15_000
"""Five minutes: after so many, silence is not written down any more."""
BAND = (300.0, 3400.0)
"""Hertz: what a telephone passes has most of what tells speech from rumble and hiss."""
AUDIBLE = 1e-6
"""Power of a frame in that band, -60 dB of full scale, above which something is there."""
DEAD = 1e-3
"""A channel whose sound has less power than this share of the strongest is not in use."""
CENTRE = 1e-2
"""A centre is the voice's even if music beside it has a hundred times its power."""
CANCELLED = 0.4
"""Share of the power that a mix of unrelated channels would have; less, and they cancel."""
STEADY = 1e-3
"""What steady sound counts for: speech comes and goes."""
_CENTRE_OF = {6: 2, 8: 2}
"""The centre's place in 5.1 and 7.1, which six and eight channels without names are."""


def parse_channel(text: str) -> Channel:
    """`--channel` of the commands.

    Raises:
        ValueError: neither a number from 1, nor `mix` or `auto`.
    """
    if text == "auto":
        return "auto"
    if text == "mix":
        return "mix"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 1024:
        raise WrongValue(f"--channel {text}: give a channel's number, from 1, or mix")
    return int(text)


@dataclass(frozen=True, eq=False)
class Choice:
    """Shares (channels,) that make one signal of many, and `heard` in words.

    `plain` where it is the mean of all, which needs no word.
    """

    shares: FloatArray
    heard: str
    plain: bool

    def __call__(self, samples: FloatArray) -> FloatArray:
        """(n, channels) -> (n,); not-a-number becomes 0, all else is clipped to [-1, 1]."""
        clean = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
        clean = np.clip(clean, -1.0, 1.0)
        if self.plain:
            return clean.mean(axis=1, dtype=np.float32)
        used = np.flatnonzero(self.shares)
        return np.asarray(clean[:, used] @ self.shares[used], np.float32)


def mean_of(channels: int) -> Choice:
    """The plain mean."""
    return Choice(np.full(channels, 1 / channels, np.float32), f"the mix of all {channels}", True)


def only(index: int, channels: int, why: str = "") -> Choice:
    """One channel, counted from 0."""
    shares = np.zeros(channels, np.float32)
    shares[index] = 1.0
    return Choice(shares, f"channel {index + 1} of {channels}{why}", channels == 1)


class Meter:
    """How much comes and goes in each channel, measured in frames of 20 ms.

    Args:
        rate: samples per second.
        channels: how many there are.

    Attributes:
        audible_seconds: in which any channel had something to hear.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._size = max(8, round(rate * FRAME_SECONDS))
        self._window = np.hanning(self._size).astype(np.float32)[:, None]
        hertz = np.fft.rfftfreq(self._size, 1 / rate)
        self._band = (hertz >= BAND[0]) & (hertz <= BAND[1])
        self._rest = np.zeros((0, channels), np.float32)
        self._powers: list[FloatArray] = []
        self._frames = 0
        self._together = np.zeros((channels, channels))
        self.channels = channels
        self.audible_seconds = 0.0

    def add(self, samples: FloatArray) -> None:
        """Measure the next (n, channels) samples."""
        samples = np.clip(np.nan_to_num(samples), -1.0, 1.0)
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._size * self._size
        self._rest = samples[whole:].copy()
        if not whole:
            return
        frames = samples[:whole].reshape(-1, self._size, self.channels)
        spectra = np.fft.rfft(frames * self._window, axis=1)[:, self._band]
        powers = (np.abs(spectra) ** 2).sum(axis=1) * (16 / 3) / self._size**2
        audible = int((powers.max(axis=1) > AUDIBLE).sum())
        self._frames += len(powers)
        if not audible and self._frames > MOST_FRAMES:
            return  # hours of silence teach nothing
        self.audible_seconds += FRAME_SECONDS * audible
        self._powers.append(powers.astype(np.float32))
        steps = np.diff(frames, axis=1).reshape(-1, self.channels).astype(np.float64)
        self._together += steps.T @ steps

    def choose(self, layout: Sequence[str] = ()) -> Choice:
        """What to hear, by what was measured so far.

        Args:
            layout: the channels' names as FFmpeg has them (`FL`, `FC`, `LFE`, ...), if known.
        """
        n = self.channels
        if n == 1 or not self._powers:
            return mean_of(n)
        powers = np.concatenate(self._powers)
        lively = powers.mean(0) - np.quantile(powers, 0.1, axis=0) + STEADY * powers.mean(0)
        if layout and "LFE" in layout and n > 2:
            lively[list(layout).index("LFE")] = 0.0
        top = float(lively.max())
        best = int(np.flatnonzero(lively >= top - 0.1 * abs(top))[0])  # the first of equals
        if lively[best] <= STEADY * AUDIBLE:
            return mean_of(n)
        centre = _centre(n, layout)
        if centre is not None and lively[centre] > CENTRE * lively[best]:
            return only(centre, n, ", the centre")
        used = np.flatnonzero(lively > DEAD * lively[best])
        if len(used) == 1:
            return only(best, n, ", which has the speech")
        own = np.diag(self._together)[used].mean()
        mixed = self._together[np.ix_(used, used)].sum() / len(used) ** 2
        if mixed < CANCELLED / len(used) * own:
            return only(best, n, ": their mix cancels the sound")
        if len(used) == n:
            return mean_of(n)
        shares = np.zeros(n, np.float32)
        shares[used] = 1 / len(used)
        names = ", ".join(str(index + 1) for index in used)
        return Choice(shares, f"the mix of channels {names} of {n}, as the rest is silent", False)


def _centre(channels: int, layout: Sequence[str]) -> int | None:
    """Where the channel in the middle of several is, counted from 0."""
    if layout:
        return list(layout).index("FC") if channels > 2 and "FC" in layout else None
    return _CENTRE_OF.get(channels)


def fixed(channel: Channel, channels: int) -> Choice | None:
    """The choice that a caller made; None where the sound decides.

    Raises:
        ValueError: there is no such channel.
    """
    if channel == "mix" or channels == 1:
        if isinstance(channel, int) and channel != 1:
            raise WrongValue(f"has one channel, no channel {channel}")
        return mean_of(channels)
    if channel == "auto":
        return None
    if not 1 <= channel <= channels:
        raise WrongValue(f"has {channels} channels, no channel {channel}")
    return only(channel - 1, channels)


def tell(name: str, choice: Choice) -> None:
    """Say what is heard, where that is not the plain mean."""
    if not choice.plain:
        log.warning("%s: hearing %s (--channel N or mix for another)", name, choice.heard)


class LiveMixer:
    """Channels of a live source -> one, decided by what came so far and revised as more comes.

    Args:
        name: of the source, for what is said.
        rate, channels: of the samples.
        channel: the user's choice.
        layout: the channels' names, if known.

    Raises:
        ValueError: there is no such channel.
    """

    def __init__(
        self,
        name: str,
        rate: int,
        channels: int,
        channel: Channel = "auto",
        layout: Sequence[str] = (),
    ) -> None:
        self._name, self._layout = name, layout
        chosen = fixed(channel, channels)
        self._choice = mean_of(channels) if chosen is None else chosen
        self._meter = None if chosen is not None else Meter(rate, channels)
        self._decide_at = 1.0

    def feed(self, samples: FloatArray) -> FloatArray:
        """(n, channels) -> (n,)."""
        if self._meter is not None:
            self._meter.add(samples)
            if self._meter.audible_seconds >= self._decide_at:
                self._decide()
        return self._choice(samples)

    def _decide(self) -> None:
        assert self._meter is not None
        found = self._meter.choose(self._layout)
        if found.heard != self._choice.heard:
            log.warning("%s: hearing %s (--channel N or mix for another)", self._name, found.heard)
        self._choice = found
        self._decide_at *= 4.0
        if self._decide_at > 64.0:  # by now it is known
            self._meter = None
