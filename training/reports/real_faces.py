"""The starter beside real faces: does its jaw move as a speaker's did, and when?

The FACEGOOD takes give a Mandarin speaker's recorded mouth (`facegood/NAME.npz`: weights at 30
frames a second, names) with the sound.  Nothing is trained on them; `FITTED` names the takes that
the label model's constants were adjusted to by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from head.channels import INDEX, JAW
from head.errors import WrongValue
from stream.backends.protocol import Backend
from stream.core.session import Session
from stream.frames import FPS, FRAME_SAMPLES
from training.corpora.utterances import data_folder
from training.evaluation.motion_metrics import correlation
from training.labels.prosody import Prosody, extract_prosody

JAW_CHANNEL = "mouth_stretch_c"
LOWER_CHANNELS = ("mouth_lowerLipDepress_l", "mouth_lowerLipDepress_r")
LOWER_LIP = [INDEX["mouthLowerDownLeft"], INDEX["mouthLowerDownRight"]]
FITTED = ("1114_2_01", "1114_3_15")
LAGS = range(-6, 7)
"""Frames by which the generated jaw is tried against the recorded one."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Take:
    """A recording: samples (n * 640,), jaw and lower lip (n,) 0..1 at frame middles, prosody."""

    name: str
    samples: Array
    jaw: Array
    lower_lip: Array
    prosody: Prosody

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """(n,) frames with a pitch."""
        return self.prosody.at_frames((self.prosody.f0 > 0).astype(np.float32), len(self.jaw)) > 0.5


def read_take(path: Path) -> Take:
    """Read one take, its motion brought to 25 frames a second.

    Raises:
        ValueError: the file has no jaw channel, or values that are not numbers.
    """
    with np.load(path, allow_pickle=False) as file:
        names = [str(name) for name in file["names"]]
        for channel in (JAW_CHANNEL, *LOWER_CHANNELS):
            if channel not in names:
                raise WrongValue(f"{path.name} has no channel {channel}")
        columns = [names.index(channel) for channel in (JAW_CHANNEL, *LOWER_CHANNELS)]
        recorded, rate = file["weights"][:, columns], float(file["fps"])
    if not np.isfinite(recorded).all():
        raise WrongValue(f"{path.name} holds values that are not numbers")
    samples, _ = soundfile.read(path.with_suffix(".opus"), dtype="float32")
    n = min(len(samples) // FRAME_SAMPLES, int(len(recorded) / rate * FPS))
    samples = samples[: n * FRAME_SAMPLES]
    times = (np.arange(n) + 0.5) / FPS
    known = (np.arange(len(recorded)) + 0.5) / rate
    jaw, left, right = (np.interp(times, known, one).astype(np.float32) for one in recorded.T)
    lower_lip = np.asarray(0.5 * (left + right), np.float32)
    return Take(path.stem, samples, jaw, lower_lip, extract_prosody(samples))


def read_takes() -> list[Take]:
    """Every take of the data folder."""
    return [read_take(path) for path in sorted((data_folder() / "facegood").glob("*.npz"))]


def compare(backend: Backend, take: Take, style: str | None) -> dict[str, float]:
    """Figures of a backend's jaw and lower lip against recorded ones, at its live defaults.

    voiced_r: correlation of the jaw on voiced frames; all_r: on all frames; lag: frames by which
    the generated jaw is behind (positive) where the correlation on all frames is highest; lower_r:
    correlation of the lower lip, beyond what the jaw takes along, on voiced frames.
    """
    session = Session(backend, style=style)
    frames = session.feed(take.samples) + session.finish()
    motion = np.stack([frame.motion for frame in frames])[: len(take.jaw)]
    lower = motion[:, LOWER_LIP].mean(1)
    voiced = take.voiced
    return {
        **figures(motion[:, JAW], take),
        "lower_r": correlation(lower[voiced], take.lower_lip[voiced]),
    }


def figures(jaw: NDArray[np.floating], take: Take) -> dict[str, float]:
    """`compare` of a jaw (n,) that is there already."""
    n, edge = len(take.jaw), max(LAGS)
    inner = slice(edge, n - edge)
    by_lag = {lag: correlation(jaw[edge + lag : n - edge + lag], take.jaw[inner]) for lag in LAGS}
    return {
        "voiced_r": correlation(jaw[:n][take.voiced], take.jaw[take.voiced]),
        "all_r": correlation(jaw[:n], take.jaw),
        "lag": float(max(by_lag, key=lambda lag: by_lag[lag])),
    }
