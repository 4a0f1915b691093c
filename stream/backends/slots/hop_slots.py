"""Whole hops of many streams in one call: an optional capability of a backend.

`backend.hop_slots(kind, count)` gives it where the backend has it, else None; the bank of sessions
that uses it is in `stream.core.resident`.  What a stream remembers for its model lies in a slot
where the model runs: of a round, only new sound and noise go there, and only frames come back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import FloatArray, ModelSpec, WindowRule
from stream.backends.protocol import SpeechState

Slots = NDArray[np.intp]
Guided = tuple[bool, bool]
"""Whether audio and style are guided by scales; a scale of 1 guides nothing and costs nothing."""

CONDITIONS = ("noise_scale", "shape", "style", "audio_guidance", "style_guidance")
"""What `HopSlots.condition` sets."""


class Part(NamedTuple):
    """A part of a row of what is new in a round: its columns, and its shape."""

    columns: slice
    shape: tuple[int, ...]


def row_parts(spec: ModelSpec, hop: int) -> dict[str, Part]:
    """How a row of what is new in a round of `hop` frames is laid out, so that it is one copy.

    The number of the slot, sound, noise and the conditions (those that the model has), by the names
    of `HopSlots.run` and CONDITIONS.
    """
    D = spec.d_motion
    shapes: dict[str, tuple[int, ...]] = {
        "slot": (),
        "pcm": (hop * spec.frame_samples,),
        "noise": (hop, D),
        "noise_scale": (D,),
        "shape": (spec.n_shape,),
        "style": (spec.style.d_style,),
        "audio_guidance": (),
        "style_guidance": (),
    }
    if not spec.use_style:
        del shapes["style"]
    parts, at = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        parts[name] = Part(slice(at, at + size), shape)
        at += size
    return parts


def row_width(parts: Mapping[str, Part]) -> int:
    """Columns of such a row."""
    return max(part.columns.stop for part in parts.values())


@dataclass(frozen=True)
class HopKind:
    """Hops of one kind: their length, lookahead, network calls and window rule."""

    hop: int
    lookahead: int
    steps: int
    window_rule: WindowRule

    def window(self, spec: ModelSpec) -> int:
        """Frames of a window, once the stream has begun."""
        return spec.T_w if self.window_rule == "sliding" else self.hop + self.lookahead

    def reach(self, spec: ModelSpec) -> int:
        """Frames that a window and its context reach back from a hop's end."""
        return spec.T_p + self.window(spec)

    def first_end(self, spec: ModelSpec) -> int:
        """The end of the first hop whose window is a full one."""
        return spec.T_w + spec.T_p if self.window_rule == "sliding" else 0


class HopSlots(Protocol):
    """The states of `count` streams, and hops from them; of one thread at a time."""

    @property
    def count(self) -> int:
        """Slots."""
        ...

    @property
    def most(self) -> int:
        """Streams in one `run`."""
        ...

    def prepare(self, guided: Guided) -> None:
        """Have all that `run` needs made: nothing is captured while somebody speaks."""
        ...

    def call_of(self, guided: Guided) -> Guided:
        """Under which scales a hop is run that is guided so: hops of one kind share calls."""
        ...

    def put(self, slot: int, rows: Mapping[str, NDArray[Any]], speech: SpeechState) -> None:
        """Let a slot go on from this state, see `stream.core.resident.packed_state`."""
        ...

    def get(self, slot: int) -> tuple[dict[str, NDArray[Any]], SpeechState]:
        """What a slot remembers, as copies."""
        ...

    def condition(self, slot: int, values: Mapping[str, Any]) -> None:
        """Set the conditions of a slot's next hops, by the names of CONDITIONS."""
        ...

    def run(self, slots: Slots, pcm: FloatArray, noise: FloatArray, guided: Guided) -> FloatArray:
        """One hop of each of B slots.

        Args:
            pcm: (B, 640 H) sound; normalised where windows are encoded whole.
            noise: (B, H, D) of the frames of `pcm`.

        Returns:
            (B, H, D) normalised motion, the caller's own.

        Raises:
            stream.backends.protocol.RuntimeProblem: the model fails; all slots are as they were.
        """
        ...

    def close(self) -> None:
        """No more hops will come: threads end; what a slot remembers can still be taken out."""
        ...
