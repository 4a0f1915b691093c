"""Speech that clients push: judged and paid for before it is resampled, beside the event loop."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import Executor
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE
from stream.serve.limits import CONTROL, FILTER, SAMPLES_A_UNIT
from stream.sources.pcm import (
    LOUDEST,
    USUAL_RATES,
    LiveResampler,
    ResamplingFilter,
    make_filter,
    mono,
    scaled,
    usual_filter,
)
from stream.wire import codec, messages

PUSH_RATES = (8_000, 192_000)
MOST_CHANNELS = 8
RATE_STEP = 25  # Hz: every rate in use is a multiple; others would want huge filters
AT_ONCE = 3_200  # samples that are resampled in the event loop; more go to the worker
MOST_UNUSUAL = 16  # rates beyond the usual ones that are in use at once, 1.6 MB each

Floats = NDArray[np.float32]


def rate_fault(rate: int, field: str = "sample_rate") -> str | None:
    """Why sound does not come at this rate, as the client that names it in `field` is told."""
    if PUSH_RATES[0] <= rate <= PUSH_RATES[1] and rate % RATE_STEP == 0:
        return None
    return f"`{field}` must be 8000 to 192000, in whole multiples of 25"


class Filters:
    """The filters of all clients of a server.

    Args:
        worker: makes them beside the event loop.
    """

    def __init__(self, worker: Executor) -> None:
        self.worker = worker
        self._unusual: WeakValueDictionary[int, ResamplingFilter] = WeakValueDictionary()

    def prepare(self) -> None:
        """Make the usual ones, so that nobody waits for them."""
        for rate in USUAL_RATES:
            self.worker.submit(usual_filter, rate)

    def known(self, rate: int) -> ResamplingFilter | None:
        """One that is in use already."""
        return self._unusual.get(rate)

    async def of(self, rate: int) -> ResamplingFilter | None:
        """The filter of a rate; None: too many unusual ones are in use."""
        loop = asyncio.get_running_loop()
        if rate in USUAL_RATES:
            return await loop.run_in_executor(self.worker, usual_filter, rate)
        known = self.known(rate)
        if known is not None:
            return known
        if len(self._unusual) >= MOST_UNUSUAL:
            return None
        made = await loop.run_in_executor(self.worker, make_filter, rate)
        if len(self._unusual) >= MOST_UNUSUAL:
            return None
        return self._unusual.setdefault(rate, made)


@dataclass(frozen=True)
class Heard:
    """Pushed speech at 16 kHz, and the resampler as it is once that was taken."""

    samples: Floats
    resampler: LiveResampler


class PushedAudio:
    """What one client pushes.

    Args:
        filters: of the server.

    Attributes:
        rate, channels: of what comes.
    """

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self.rate, self.channels = SAMPLE_RATE, 1
        self._format_is_known = True  # not after one that was refused
        self._resampler = LiveResampler(SAMPLE_RATE)

    def reset(self) -> None:
        """What comes next does not go on from what came before."""
        self._resampler.reset()

    def rate_cost(self, rate: int) -> float:
        """Of `set_format`."""
        usual = rate in USUAL_RATES or self._filters.known(rate) is not None
        return CONTROL if usual or rate_fault(rate) else FILTER

    def forget_format(self) -> None:
        """One that could not be read was sent: no sound is taken until another comes."""
        self._format_is_known = False

    async def set_format(self, rate: int, channels: int) -> messages.Error | None:
        """From now on samples of this rate come, of so many channels by turns."""
        self._format_is_known = False
        fault = rate_fault(rate)
        if fault is not None:
            return messages.Error("audio_format", fault, False)
        if not 1 <= channels <= MOST_CHANNELS:
            sentence = f"`channels` must be 1 to {MOST_CHANNELS}"
            return messages.Error("audio_format", sentence, False)
        made = await self._filters.of(rate)
        if made is None:
            return messages.Error(
                "busy", "too many unusual sample rates are in use: push 16000 or 48000", False
            )
        self._format_is_known = True
        self.rate, self.channels = rate, channels
        self._resampler = LiveResampler(rate, made)
        return None

    def judge(self, message: codec.Message) -> messages.Error | None:
        """Whether pushed samples are sound in the format that was announced."""
        if not self._format_is_known:
            sentence = "the last `audio_format` was refused: send another one first"
            return messages.Error("audio_format", sentence, False)
        if message.payload.size % self.channels:
            sentence = f"{message.payload.size} samples are not whole ones of {self.channels}"
            return messages.Error("audio_samples", f"{sentence} channels", False)
        if message.payload.dtype.kind == "f":
            peak = np.abs(message.payload).max(initial=0.0)
            if not peak <= LOUDEST:  # nor where it is no number
                sentence = "samples are finite numbers in -1..1: these were not taken"
                return messages.Error("audio_samples", sentence, False)
        return None

    def count(self, message: codec.Message) -> int:
        """Samples at 16 kHz that a message will be."""
        return len(message.payload) // self.channels * SAMPLE_RATE // self.rate

    def cost(self, message: codec.Message) -> float:
        """Of `heard`."""
        if self.rate == SAMPLE_RATE and self.channels == 1:
            return 0.0
        return max(len(message.payload), self.count(message)) / SAMPLES_A_UNIT

    async def heard(self, message: codec.Message) -> Heard:
        """A message at 16 kHz; what is refused comes again, so nothing changes until `took`."""
        samples, channels = message.payload, self.channels
        resampler = copy.copy(self._resampler)

        def resample() -> Floats:
            return resampler.feed(mono(scaled(samples).reshape(-1, channels)))

        if max(len(samples), self.count(message)) <= AT_ONCE:
            return Heard(resample(), resampler)
        loop = asyncio.get_running_loop()
        return Heard(await loop.run_in_executor(self._filters.worker, resample), resampler)

    def took(self, heard: Heard) -> None:
        """It was taken: what comes next goes on from it."""
        self._resampler = heard.resampler
