"""Ten minutes of speech in one session: does the face stay alive, in range, and finite?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from head.channels import JAW
from head.errors import WrongValue
from head.eye_turns import looks
from stream.backends.protocol import Backend
from stream.core.session import Session
from stream.frames import FPS, FRAME_SAMPLES
from training.corpora.utterances import held_out_voices, load_audio
from training.evaluation.live_figures import blinks, head_jitter, head_range

MINUTE = FPS * 60


@dataclass(frozen=True)
class Minute:
    """What one minute of a long run measures.

    Attributes:
        jaw: 95th percentile of the opening, radians.
        head_range: degrees between the 5th and 95th percentile.
        head_jitter: degrees per frame^2.
        blinks: their number.
        gaze: where the eyes look on average against the head, degrees: (to the left, up).
        largest: largest normalised value of any channel.
    """

    jaw: float
    head_range: float
    head_jitter: float
    blinks: int
    gaze: tuple[float, float]
    largest: float


def long_run(backend: Backend, minutes: int, style: str) -> list[Minute]:
    """Held-out speech, joined, through one session; one entry a minute."""
    _, held = held_out_voices()
    parts: list[NDArray[np.float32]] = []
    for number in range(10_000):
        parts.append(load_audio(held[number % len(held)]))
        if sum(len(part) for part in parts) >= minutes * MINUTE * FRAME_SAMPLES:
            break
    sound = np.concatenate(parts)[: minutes * MINUTE * FRAME_SAMPLES]
    session = Session(backend, style=style)
    motion = np.stack([frame.motion for frame in session.feed(sound) + session.finish()])
    if not np.isfinite(motion).all():
        raise WrongValue("the motion of a long run is not finite")
    statistics = backend.statistics
    size = np.abs((motion - statistics.motion_mean) / statistics.motion_std).max(1)
    return [
        Minute(
            float(np.percentile(part[:, JAW], 95)),
            head_range(part),
            head_jitter(part),
            blinks(part),
            mean_gaze(part),
            float(size[start : start + MINUTE].max()),
        )
        for start in range(0, len(motion), MINUTE)
        for part in [motion[start : start + MINUTE]]
    ]


def mean_gaze(motion: NDArray[np.floating]) -> tuple[float, float]:
    """Mean direction of both eyes over (n, D) raw motion, degrees: (to the left, up).

    By the built-in head's turns; another head's eyes may turn more or less.
    """
    left, up = np.degrees(looks(motion).mean(0)).reshape(2, 2).mean(1)
    return float(left), float(up)
