"""What was drawn, held against what was heard: pure functions of what was noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.processes import BenchmarkError
from stream.frames import SAMPLE_RATE

Floats = NDArray[np.float64]

RTP_RATE = 48_000
PART, SEARCH, ALIKE = RTP_RATE // 4, 2 * RTP_RATE, 0.6
"""Samples of an utterance that are looked for at once, and how far around; their correlation."""
SLACK = RTP_RATE // 100
"""Samples by which a place is uncertain."""


@dataclass(frozen=True)
class Step:
    """How well lips and sound keep together.

    Attributes:
        off: (n,) seconds, by picture: the second of sound that it was drawn for, minus the one
            that was played then.
        pictures_a_second: that were drawn while it spoke.
    """

    off: Floats
    pictures_a_second: float


def judged(
    pcm: Floats,
    packets: Sequence[tuple[int, bytes]],
    sources: Sequence[tuple[float, int]],
    drawn: Sequence[tuple[float, int, float, float]],
) -> Step:
    """From what the page noted.

    Args:
        pcm: (n,) of the utterance, at 16 kHz.
        packets: RTP time stamp and Opus payload of each.
        sources: when which RTP time stamp was played; milliseconds of the page's clock.
        drawn: of each picture: milliseconds, the utterance, the second of it, jawOpen.
    """
    seconds, places_in_rtp = places(pcm, packets)
    played: dict[int, float] = {}
    for at, stamp in sources:
        played[stamp] = min(at, played.get(stamp, np.inf))
    stamps = np.array(sorted(played))
    moments = np.array([played[stamp] for stamp in stamps])
    pictures = np.array([row for row in drawn if row[1] >= 0])
    inside = (pictures[:, 0] > moments[0]) & (pictures[:, 0] < moments[-1])
    pictures = pictures[inside & (pictures[:, 2] < len(pcm) / SAMPLE_RATE)]
    now = np.interp(pictures[:, 0], moments, stamps)
    part = np.abs(now[:, None] - places_in_rtp).argmin(axis=1)
    heard = seconds[part] + (now - places_in_rtp[part]) / RTP_RATE
    spent = (pictures[-1, 0] - pictures[0, 0]) / 1000
    return Step(pictures[:, 2] - heard, len(pictures) / spent)


def places(pcm: Floats, packets: Sequence[tuple[int, bytes]]) -> tuple[Floats, Floats]:
    """Where the sound of the utterance lies in the packets: seconds of it, and RTP time stamps.

    Every part for itself: a sender that does not get sound in time sends silence between. That
    only makes later, so parts that were taken for others that sound alike are left out.

    Raises:
        BenchmarkError: the utterance is not in them.
    """
    first, sound = decoded(packets)
    whole = np.interp(np.arange(3 * len(pcm)) / 3, np.arange(len(pcm)), pcm)
    rough = best_place(sound, whole)[0]
    seconds, stamps = [], []
    for start in range(0, len(whole) - PART // 2, PART):
        part = whole[start : start + PART]
        near = max(0, rough + start - SEARCH)
        place, likeness = best_place(sound[near : rough + start + PART + SEARCH], part)
        if likeness > ALIKE:
            seconds.append((start + len(part) / 2) / RTP_RATE)
            stamps.append(float(first + near + place + len(part) / 2))
    if not seconds:
        raise BenchmarkError("what was said is not in the packets that were sent")
    late = np.array(stamps) - RTP_RATE * np.array(seconds)
    kept = most_in_order(late, SLACK)
    return np.array(seconds)[kept], np.array(stamps)[kept]


def most_in_order(values: Floats, slack: float) -> NDArray[np.intp]:
    """The most indices of values (n,) whose values never fall by more than `slack`."""
    length = np.ones(len(values), int)
    before = np.full(len(values), -1)
    for k in range(1, len(values)):
        fits = np.flatnonzero(values[:k] <= values[k] + slack)
        if len(fits):
            before[k] = fits[length[fits].argmax()]
            length[k] = length[before[k]] + 1
    kept = [int(length.argmax())]
    while before[kept[-1]] >= 0:
        kept.append(int(before[kept[-1]]))
    return np.array(kept[::-1])


def decoded(packets: Sequence[tuple[int, bytes]]) -> tuple[int, Floats]:
    """The first time stamp, and the sound from there on at 48 kHz."""
    import av

    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = RTP_RATE
    first = packets[0][0]
    sound = np.zeros(packets[-1][0] - first + RTP_RATE)
    for stamp, payload in packets:
        for frame in decoder.decode(av.Packet(payload)):
            samples, channels = frame.to_ndarray(), len(frame.layout.channels)
            mono = samples.reshape(-1, channels)[:, 0] if samples.shape[0] == 1 else samples[0]
            sound[stamp - first : stamp - first + len(mono)] = mono
    return first, sound


def best_place(sound: Floats, part: Floats) -> tuple[int, float]:
    """At which sample of a sound a part of it begins, and the correlation there."""
    size = 1 << (len(sound) + len(part)).bit_length()
    fits = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(part, size)), size)
    place = int(np.argmax(fits[: len(sound)]))
    there = sound[place : place + len(part)]
    power = float(np.linalg.norm(there) * np.linalg.norm(part))
    return place, float(fits[place]) / power if power else 0.0
