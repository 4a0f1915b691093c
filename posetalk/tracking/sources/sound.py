"""The sound of a film, in step with its pictures."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from head.new_file import new_file
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.film import Film, open_container, undamaged
from stream.frames import SAMPLE_RATE

Floats = NDArray[np.float32]

LONGEST_GAP: Final = 0.02
"""Seconds of missing sound from which silence stands for it: one packet, more than times round."""
LONGEST_SILENCE: Final = 3600.0
"""A leap of more seconds is a clock that broke: silence for it could fill a disk."""


def sound_of(film: Film) -> Iterator[Floats]:
    """Blocks (n,) of the film's sound, mono at 16 kHz, from the start of its first picture.

    Nothing where the film is silent. Sound that begins later is preceded by silence.

    Raises:
        TrackingError: the sound track cannot be decoded at all.
    """
    if not film.has_sound:
        return
    start = film.begins + film.start
    left = None if film.limit is None else round(film.limit * SAMPLE_RATE)
    skip: int | None = None
    for time, block in _decoded(film, start):
        if skip is None:
            skip = round((start - time) * SAMPLE_RATE)
            if skip < 0:
                block, skip = np.concatenate([np.zeros(-skip, np.float32), block]), 0
        dropped = min(skip, len(block))
        skip -= dropped
        block = block[dropped:]
        if left is not None:
            block = block[:left]
            left -= len(block)
        if len(block):
            yield block
        if left == 0:
            return


def _decoded(film: Film, start: float) -> Iterator[tuple[float, Floats]]:
    """Blocks with the seconds at which the first one begins; silence where some are missing."""
    import av

    with open_container(film.path) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        if film.start > 0:
            container.seek(max(0, int((start - 1.0) * 1e6)), backward=True)
        first: float | None = None
        due = 0.0
        for frame in _frames(container, stream, film.path):
            time = due if frame.pts is None else float(frame.pts * stream.time_base)
            if first is None:
                first = due = time
            if time - due > LONGEST_SILENCE:
                due = time
            while time - due > LONGEST_GAP:
                missing = min(time - due, 1.0)
                yield first, np.zeros(round(missing * SAMPLE_RATE), np.float32)
                due += missing
            due += frame.samples / frame.sample_rate
            frame.pts = None
            for part in resampler.resample(frame):
                yield first, part.to_ndarray().reshape(-1)
        for part in resampler.resample(None):
            yield first or 0.0, part.to_ndarray().reshape(-1)


def _frames(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """Frames of sound; damaged packets, as the first one after a jump may be, are left out.

    Raises:
        TrackingError: all of them are.
    """
    heard, damage = False, list[Exception]()
    for frame in undamaged(container, stream, damage.append):
        heard = True
        damage.clear()
        yield frame
    if damage and not heard:
        raise TrackingError(f"{path}: its sound cannot be read ({damage[-1]})")


def write_wave(path: Path, blocks: Iterable[Floats]) -> int:
    """Write mono 16-bit sound at 16 kHz, all of it or nothing; how many samples there were."""
    count = 0
    with new_file(path) as part, wave.open(str(part), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for block in blocks:
            values = np.clip(np.nan_to_num(block), -1, 1) * 32767
            file.writeframes(values.astype("<i2").tobytes())
            count += len(block)
    return count
