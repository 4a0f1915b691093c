"""The seam between the stream and a model: values in, values out, no state inside.

A backend encodes speech and samples motion; the session owns all that is remembered between
calls.  Every array is float32 numpy, motion is normalised.  A feature row is whatever the backend
needs of a frame of speech, computed once (the denoiser's per-layer audio terms, for one): F is its
own affair.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from diffposetalk.spec import FloatArray, ModelSpec, Statistics
from head.errors import PosetalkError

if TYPE_CHECKING:
    from stream.backends.hop import HopGraph
    from stream.backends.slots.hop_slots import HopKind, HopSlots

__all__ = [
    "BATCH_ON_CPU",
    "BATCH_ON_GPU",
    "Backend",
    "Conditions",
    "FloatArray",
    "RuntimeProblem",
    "SamplerCall",
    "SpeechCall",
    "SpeechState",
    "Statistics",
    "batch_key",
    "encode_speech",
]


class RuntimeProblem(PosetalkError, RuntimeError):
    """A runtime cannot open, build or run a graph; the message is one line."""


BATCH_ON_CPU, BATCH_ON_GPU = 16, 64
"""Sessions in one call, see `Backend.max_batch`: on a CPU more gain little speed, and let whoever
comes next wait longer."""

SpeechState = Any
"""Whatever `encode` needs from before the hop: made by the backend, held by the session."""


@dataclass(frozen=True)
class SpeechCall:
    """What a model call needs of the speech encoder.

    Attributes:
        pcm: (n * 640,) samples; where windows are encoded whole (not `incremental`), of zero mean
            and unit deviation, see `stream.core.level_normaliser`.
        state: of the encoder before them; None where windows are encoded whole.
    """

    pcm: FloatArray
    state: SpeechState


@dataclass(frozen=True)
class Conditions:
    """What the motion is conditioned on besides the sound: who speaks, how, and how strongly.

    Attributes:
        shape: (n_shape,) normalised identity; style: (d_style,).
        audio_guidance, style_guidance: how much more the motion follows voice and style than it
            was trained to; 1 is as trained.
    """

    shape: FloatArray
    style: FloatArray
    audio_guidance: float
    style_guidance: float

    def vectors(self) -> dict[str, FloatArray]:
        """The network's inputs among them, by the names that it knows them by."""
        return {"shape": self.shape, "style": self.style}


@dataclass(frozen=True)
class SamplerCall:
    """One model call: n tokens in the window, F feature channels, D motion channels.

    Attributes:
        features: (n, F) speech features of the window.
        context_features: (T_p, F), context_motion: (T_p, D), of the frames before the window.
        missing: how many leading context slots hold the learned start features instead.
        noise: (n, D) initial noise.
        known: (m, D) committed motion of the window's first m frames (`sliding`), m may be 0.
        valid: tokens of the window that are not padding; the indicator is 1 there.
        noise_scale: (D,) scale of the initial noise, but that of `known` frames.
        conditions: besides the sound.
        steps, threshold_quantile: see `LiveDefaults`.
    """

    features: FloatArray
    context_features: FloatArray
    context_motion: FloatArray
    missing: int
    noise: FloatArray
    noise_scale: FloatArray
    known: FloatArray
    valid: int
    conditions: Conditions
    steps: int
    threshold_quantile: float | None


def batch_key(call: SamplerCall) -> Hashable:
    """Calls with equal keys can go into one `Backend.sample_many`.

    They share the number of tokens, of known frames and of steps, the threshold, and which of the
    two guidance scales are 1 (a condition that is not guided costs no branch); all else may differ.
    """
    return (
        len(call.features),
        len(call.known),
        call.steps,
        call.conditions.audio_guidance == 1.0,
        call.conditions.style_guidance == 1.0,
        call.threshold_quantile,
    )


class Backend(Protocol):
    """A model that can run; see `torch_backend` and `fake`.

    The `_many` methods do the work of several sessions in one pass.  Alone or in a batch an answer
    is the same to rounding, and the same bits only at the same batch size (matrix products of
    another shape may add up in another order); a batch of one has the bits of the single call.

    Attributes:
        name: as `load_backend` takes it.
        precision: of its arithmetic: fp32, fp16, bf16, int8 or fp8.
        place: where it computes, `cpu`, or a GPU by the name that the runtime has for it.
        threads: cores that one call takes.
    """

    name: str
    precision: str
    place: str
    threads: int
    spec: ModelSpec
    statistics: Statistics
    styles: Mapping[str, FloatArray]
    head_id: str
    bundle_hash: str

    @property
    def max_batch(self) -> int:
        """Sessions that one `_many` call can hold."""
        ...

    @property
    def incremental(self) -> bool:
        """Whether features are causal and computed once (`mel`), or anew per window (`hubert`)."""
        ...

    def speech_state(self) -> SpeechState:
        """The encoder's state before the first sample."""
        ...

    def encode(self, pcm: FloatArray, state: SpeechState) -> tuple[FloatArray, SpeechState]:
        """Causal features of the next whole frames: pcm (n * 640,) -> (n, F)."""
        ...

    def encode_many(
        self, pcms: Sequence[FloatArray], states: Sequence[SpeechState]
    ) -> list[tuple[FloatArray, SpeechState]]:
        """`encode` for several streams, whose pcm have one length."""
        ...

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """Features of a whole window at once: pcm (n * 640,) -> (n, F).

        Where windows are encoded whole (not `incremental`), pcm is normalised: `level_normaliser`.
        """
        ...

    def encode_window_many(self, pcms: Sequence[FloatArray]) -> list[FloatArray]:
        """`encode_window` for several windows of one length."""
        ...

    def sample(self, call: SamplerCall) -> FloatArray:
        """Sample the window's motion: (n, D) normalised."""
        ...

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        """`sample` for several calls of one `batch_key`."""
        ...

    def hop_graph(self, kind: HopKind) -> HopGraph | None:
        """Whole hops of one stream, whose state stays with the model; None: it has none such."""
        ...

    def hop_slots(self, kind: HopKind, count: int) -> HopSlots | None:
        """Whole hops of `count` streams, whose states stay with the model; None likewise."""
        ...

    def getting_ready(self) -> AbstractContextManager[None]:
        """Within it make the calls to come once each, see `stream.backends.readiness`."""
        ...


def encode_speech(
    backend: Backend, calls: Sequence[SpeechCall]
) -> list[tuple[FloatArray, SpeechState]]:
    """Features and states after them for calls with sounds of one length, in one pass."""
    pcms = [call.pcm for call in calls]
    if backend.incremental:
        return backend.encode_many(pcms, [call.state for call in calls])
    return [(features, None) for features in backend.encode_window_many(pcms)]
