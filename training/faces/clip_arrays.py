"""One clip of a dataset: sound and the coefficients of a face, checked before they are used."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.frames import SAMPLE_RATE

FloatArray = NDArray[np.float32]
SEGMENT_FRAMES = 100
WIDTHS = {"shape": 100, "exp": 50, "pose": 6}


class SetError(PosetalkError, ValueError):
    """A dataset, or something in it, that cannot be used; the message is one line."""


@dataclass(frozen=True, eq=False)
class FaceClip:
    """n frames of a video: samples (640 n,) at 16 kHz; shape (n, 100), exp (n, 50), pose (n, 6)."""

    samples: FloatArray
    shape: FloatArray
    exp: FloatArray
    pose: FloatArray

    def __len__(self) -> int:
        return len(self.exp)


def encode(samples: FloatArray) -> bytes:
    """Samples (n,) at 16 kHz as a 16-bit FLAC."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def decode(where: str, data: bytes, most: int) -> FloatArray:
    """The first samples of a FLAC, 16 kHz mono: `most` of them, if it has so many.

    Raises:
        SetError: it is not that; the line begins with `where`.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.samplerate != SAMPLE_RATE or file.channels != 1:
                raise SetError(
                    f"{where}: sound of {file.samplerate} Hz, {file.channels} channels; "
                    f"{SAMPLE_RATE} Hz mono belongs"
                )
            samples: FloatArray = file.read(frames=most, dtype="float32")
    except (RuntimeError, TypeError, OSError) as error:
        raise SetError(f"{where}: its sound cannot be read ({error})") from None
    return samples


def coefficients(where: str, name: str, value: Any) -> FloatArray:
    """The (n, width) numbers of `shape`, `exp` or `pose`.

    Raises:
        SetError: they are not that, or not finite; the line begins with `where`.
    """
    width = WIDTHS[name]
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.shape[1] < width:
        shape = getattr(value, "shape", type(value).__name__)
        raise SetError(f"{where}: `{name}` is {shape}, (n, {width}) belongs")
    array = value[:, :width].astype(np.float32)
    if not np.isfinite(array).all():
        raise SetError(f"{where}: `{name}` holds values that are not finite")
    return array
