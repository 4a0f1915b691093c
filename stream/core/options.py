"""The live settings of a session: what may be asked for, and what they are where nothing is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffposetalk.spec import LiveDefaults, ModelSpec, WindowRule
from head.errors import WrongValue
from stream.backends.protocol import Backend, FloatArray
from stream.backends.slots.hop_slots import HopKind
from stream.core.state import rotation_channels

MOST_NOISE = 10.0
"""Noise so many times as strong as the model was trained with drowns any motion."""
MOST_STEPS = 20


@dataclass(frozen=True)
class SessionOptions:
    """Live settings; None takes the bundle's live default (`LiveDefaults`)."""

    hop: int | None = None
    lookahead: int | None = None
    steps: int | None = None
    window_rule: WindowRule | None = None
    audio_guidance: float | None = None
    style_guidance: float | None = None
    lip_noise: float | None = None
    head_noise: float | None = None
    face_noise: float | None = None
    gaze: float | None = None
    still: bool | None = None


def hop_kind(options: SessionOptions, spec: ModelSpec) -> HopKind:
    """The hops of a session: those asked for, else the bundle's.

    Raises:
        ValueError: no window of the model holds them, or no session has so many steps.
    """
    live = spec.live
    hop = live.hop if options.hop is None else options.hop
    lookahead = live.lookahead if options.lookahead is None else options.lookahead
    steps = live.steps if options.steps is None else options.steps
    if hop < 1 or lookahead < 0 or hop + lookahead > spec.T_w:
        raise WrongValue(
            f"hop {hop} (at least 1) and lookahead {lookahead} (at least 0) "
            f"must fit a window of {spec.T_w} frames"
        )
    if not 1 <= steps <= MOST_STEPS:
        raise WrongValue(f"{steps} steps: choose 1 to {MOST_STEPS} network calls per hop")
    return HopKind(hop, lookahead, steps, options.window_rule or live.window_rule)


@dataclass(frozen=True)
class NoiseStrengths:
    """How strong the initial noise is by kind of channel; 1 is as trained."""

    lip: float
    head: float
    face: float

    @classmethod
    def of(cls, options: SessionOptions, live: LiveDefaults) -> NoiseStrengths:
        """Those asked for, else the bundle's.

        Raises:
            ValueError: not a number from 0 to MOST_NOISE.
        """
        return cls(
            _noise("lip_noise", options.lip_noise, live.lip_noise),
            _noise("head_noise", options.head_noise, live.head_noise),
            _noise("face_noise", options.face_noise, live.face_noise),
        )

    def by_channel(self, backend: Backend) -> FloatArray:
        """(D,) strength of each channel of the model's motion."""
        scale = np.full(backend.spec.d_motion, self.face, np.float32)
        scale[list(backend.spec.articulated)] = self.lip
        scale[rotation_channels(backend)] = self.head
        return scale


def _noise(name: str, asked: float | None, default: float) -> float:
    scale = default if asked is None else asked
    if not 0.0 <= scale <= MOST_NOISE:
        raise WrongValue(f"{name} {scale:g}: choose a number from 0 to {MOST_NOISE:g}")
    return scale
