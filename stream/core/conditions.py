"""Who speaks how: the conditions of a stream's model calls, and how they change while it speaks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffposetalk.bundle.styles import check_vector, resolve
from diffposetalk.spec import FloatArray
from head.errors import WrongValue
from stream.backends.protocol import Backend, Conditions

NATURAL = 1.0
"""The gaze of people, see `ConditionChange`."""

MOST_GUIDANCE = 20.0
"""A guidance scale beyond this leaves nothing of the motion."""

EASE_FRAMES = 8
"""Frames that a change of style takes while somebody speaks."""


def check_guidance(name: str, scale: float) -> float:
    """`scale`, if a guidance may be so strong; 1 is as trained.

    Raises:
        ValueError: not a number from 0 to MOST_GUIDANCE.
    """
    if not (math.isfinite(scale) and 0.0 <= scale <= MOST_GUIDANCE):
        raise WrongValue(f"{name} guidance {scale:g}: choose a number from 0 to {MOST_GUIDANCE:g}")
    return float(scale)


def check_gaze(gaze: float) -> float:
    """`gaze`, if it is one: from 0, eyes on who watches, to 1, those of people.

    Raises:
        ValueError: not a number from 0 to 1.
    """
    if not (math.isfinite(gaze) and 0.0 <= gaze <= 1.0):
        raise WrongValue(f"gaze {gaze:g}: choose a number from 0 (at you) to 1 (natural)")
    return float(gaze)


def _scale(name: str, asked: float | None, now: float) -> float:
    return now if asked is None else check_guidance(name, asked)


def style_vector(style: str | FloatArray, styles: Mapping[str, FloatArray]) -> FloatArray:
    """The vector, finite float32, of a style's name, of a mix of names, or of a vector.

    Raises:
        ValueError: an unknown name, or numbers that are not finite.
    """
    return resolve(style, styles) if isinstance(style, str) else check_vector(style)


@dataclass(frozen=True)
class ConditionChange:
    """What is to be another from the next call on; None leaves it as it is.

    Attributes:
        style: a name, a mix of names, or a vector (d_style,).
        audio_guidance, style_guidance: 1 is as trained.
        gaze: from 0, eyes that stay on who watches, to 1, those of people, who look away.
        still: whether head, eyes and brows rest, while lips speak and lids blink.
    """

    style: str | FloatArray | None = None
    audio_guidance: float | None = None
    style_guidance: float | None = None
    gaze: float | None = None
    still: bool | None = None


@dataclass
class StyleChange:
    """A style that is taken on over EASE_FRAMES from frame `since` on, so that nothing jumps.

    Attributes:
        before, wanted: (d_style,).
    """

    before: FloatArray
    wanted: FloatArray
    since: int

    def at(self, committed: int) -> FloatArray:
        """The style of the call that follows frame `committed`."""
        share = np.float32((committed - self.since + 1) / EASE_FRAMES)
        if share >= 1.0 or self.before is self.wanted:
            return self.wanted
        return self.before + share * (self.wanted - self.before)


class ConditionTrack:
    """The conditions of one stream.

    Args:
        backend: has the statistics of shapes, the styles by name, and their size.
        shape: (n_shape,) raw identity; None is the statistics' mean.
        style: see `ConditionChange`; None is the first named one.
        audio_guidance, style_guidance: 1 is as trained.
        gaze, still: see `ConditionChange`.

    Attributes:
        shape: (n_shape,) raw identity.
        style_name: as it was asked for; `custom` for a vector.
        changes: how often they were changed.
        guided: whether audio and style are guided by the scales; 1 guides nothing.
        audio_guidance, style_guidance: scales of the next call.
        gaze, still: of what is laid over the shown motion; the model knows nothing of them.

    Raises:
        ValueError: sizes that do not fit, numbers that are not finite, an unknown style.
    """

    def __init__(
        self,
        backend: Backend,
        shape: FloatArray | None,
        style: str | FloatArray | None,
        audio_guidance: float,
        style_guidance: float,
        gaze: float = NATURAL,
        still: bool = False,
    ) -> None:
        spec, statistics = backend.spec, backend.statistics
        raw = statistics.shape_mean if shape is None else np.asarray(shape, np.float32)
        if raw.shape != (spec.n_shape,):
            raise WrongValue(f"a shape is ({spec.n_shape},), got {raw.shape}")
        if not np.isfinite(raw).all():
            raise WrongValue("a shape is a row of finite numbers: this one has some that are not")
        self.shape = raw.copy()
        self._normal_shape = (raw - statistics.shape_mean) / statistics.shape_std
        self._styles = backend.styles
        self._style_size = spec.style.d_style if spec.use_style else 0
        self.audio_guidance = check_guidance("audio", audio_guidance)
        self.style_guidance = check_guidance("style", style_guidance)
        self.guided = self.audio_guidance != 1.0, self.style_guidance != 1.0
        self.gaze, self.still = check_gaze(gaze), bool(still)
        vector = self._vector(style)
        self.style_name = self._name(style)
        self._change = StyleChange(vector, vector, 0)
        self.changes = 0

    def change(self, request: ConditionChange, committed: int) -> None:
        """Speak like this from the next call on.

        Who speaks already (`committed` frames were made) takes a style on over EASE_FRAMES.

        Raises:
            ValueError: an unknown style, or a vector of another size or with numbers that are not
                finite; a guidance that is no number from 0 to MOST_GUIDANCE; all stays as it is.
        """
        audio = _scale("audio", request.audio_guidance, self.audio_guidance)
        style = _scale("style", request.style_guidance, self.style_guidance)
        gaze = self.gaze if request.gaze is None else check_gaze(request.gaze)
        if request.style is not None:
            vector = self._vector(request.style)
            before = self._change.at(committed) if committed else vector
            self.style_name = self._name(request.style)
            self._change = StyleChange(before, vector, committed)
        self.audio_guidance, self.style_guidance = audio, style
        self.guided = audio != 1.0, style != 1.0
        self.gaze, self.still = gaze, self.still if request.still is None else request.still
        self.changes += 1

    @property
    def now(self) -> dict[str, Any]:
        """The conditions of the next call by the names of `ConditionChange`, the style as asked."""
        return {
            "style": self.style_name,
            "audio_guidance": self.audio_guidance,
            "style_guidance": self.style_guidance,
            "gaze": self.gaze,
            "still": self.still,
        }

    def begin_anew(self) -> None:
        """The stream is new: its style is the wanted one from its first frame on."""
        self._change = StyleChange(self._change.wanted, self._change.wanted, 0)
        self.changes += 1

    def eased(self, committed: int) -> bool:
        """Whether calls from the one that follows frame `committed` on are conditioned alike."""
        return self._change.at(committed) is self._change.wanted

    def at(self, committed: int) -> Conditions:
        """The conditions of the call that follows frame `committed`."""
        return Conditions(
            self._normal_shape, self._change.at(committed), self.audio_guidance, self.style_guidance
        )

    def _vector(self, style: str | FloatArray | None) -> FloatArray:
        vector = style_vector(next(iter(self._styles)) if style is None else style, self._styles)
        if vector.shape != (self._style_size,):
            raise WrongValue(f"a style is ({self._style_size},), got {vector.shape}")
        return vector

    def _name(self, style: str | FloatArray | None) -> str:
        if style is None:
            return next(iter(self._styles))
        return style if isinstance(style, str) else "custom"
