"""Many clips and seeds through one model at once, exactly as live sessions would have them.

All sessions go in step, so that every hop of all of them is one model call, and speech is encoded
once a clip however many seeds speak over it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffposetalk.spec import ModelSpec
from head.errors import PosetalkError
from stream.backends.hop import HopGraph
from stream.backends.protocol import Backend, FloatArray, SamplerCall, SpeechState, batch_key
from stream.backends.slots.hop_slots import HopKind, HopSlots
from stream.core.options import SessionOptions
from stream.core.session import Session

MOST_TOKENS = 4096
"""Tokens of one model call: more at once is no faster on a CPU and takes memory."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """What one session hears: samples (640 n,), a style of the bundle, the seed of its noise.

    A style None, or a name that the bundle does not have, is the bundle's first; a shape None is
    the statistics' mean.
    """

    samples: NDArray[np.float32]
    style: str | FloatArray | None
    seed: int
    shape: FloatArray | None = None


class RolloutError(PosetalkError, ValueError):
    """Rollouts that cannot go together, or a model that answers nonsense; one line."""


class RememberingBackend:
    """A backend that encodes the same speech once; everything else is the wrapped one's."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name, self.precision = backend.name, backend.precision
        self.place, self.threads = backend.place, backend.threads
        self.spec: ModelSpec = backend.spec
        self.statistics = backend.statistics
        self.styles: Mapping[str, FloatArray] = backend.styles
        self.head_id, self.bundle_hash = backend.head_id, backend.bundle_hash
        self._silent = backend.speech_state()  # one object for all, as it is part of the key
        self._known: dict[Hashable, tuple[SpeechState, tuple[FloatArray, SpeechState]]] = {}
        self._windows: dict[bytes, FloatArray] = {}

    @property
    def max_batch(self) -> int:
        """The wrapped backend's."""
        return self.backend.max_batch

    @property
    def incremental(self) -> bool:
        """The wrapped backend's."""
        return self.backend.incremental

    def speech_state(self) -> SpeechState:
        """The same state for every session."""
        return self._silent

    def encode(self, pcm: FloatArray, state: SpeechState) -> tuple[FloatArray, SpeechState]:
        """Speech features from memory, where the same samples followed the same state before."""
        key = (id(state), pcm.tobytes())
        if key not in self._known:
            self._known[key] = (state, self.backend.encode(pcm, state))  # keeps the id alive
        return self._known[key][1]

    def encode_many(
        self, pcms: Sequence[FloatArray], states: Sequence[SpeechState]
    ) -> list[tuple[FloatArray, SpeechState]]:
        """One after another, as most are remembered."""
        return [self.encode(pcm, state) for pcm, state in zip(pcms, states, strict=True)]

    def encode_window(self, pcm: FloatArray) -> FloatArray:
        """Speech features from memory, where the same window was heard before."""
        key = pcm.tobytes()
        if key not in self._windows:
            self._windows[key] = self.backend.encode_window(pcm)
        return self._windows[key]

    def encode_window_many(self, pcms: Sequence[FloatArray]) -> list[FloatArray]:
        """One after another, as most are remembered."""
        return [self.encode_window(pcm) for pcm in pcms]

    def sample(self, call: SamplerCall) -> FloatArray:
        """The wrapped backend's."""
        return self.backend.sample(call)

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        """The wrapped backend's."""
        return self.backend.sample_many(calls)

    def hop_graph(self, kind: HopKind) -> HopGraph | None:
        """None: whole hops hear for themselves, and would remember nothing."""
        return None

    def hop_slots(self, kind: HopKind, count: int) -> HopSlots | None:
        """None, likewise."""
        return None

    def getting_ready(self) -> AbstractContextManager[None]:
        """The wrapped backend's."""
        return self.backend.getting_ready()


def rollout(
    backend: Backend,
    rollouts: Sequence[Rollout],
    options: SessionOptions | None = None,
    *,
    context: int | None = None,
) -> FloatArray:
    """The motion of every rollout: (rollouts, n, D) raw.

    Args:
        rollouts: of one length.
        options: of all sessions; the bundle's live defaults if None.
        context: real frames of context that the model is given, at most T_p; the slots before them
            hold the learned start features, as they do at the start of a stream.

    Raises:
        RolloutError: rollouts of several lengths or shorter than a frame, or motion that is not
            finite.
        ValueError: settings that no session can have.
    """
    if not rollouts or len({len(each.samples) for each in rollouts}) != 1:
        raise RolloutError("rollouts go together only if they have one length")
    spec = backend.spec
    if len(rollouts[0].samples) < spec.frame_samples:
        raise RolloutError("a rollout shorter than a frame has no motion")
    if context is not None and not 0 <= context <= spec.T_p:
        raise RolloutError(f"context of {context} frames: this model takes 0 to {spec.T_p}")
    remembering = RememberingBackend(backend)
    sessions = [_session(remembering, each, options) for each in rollouts]
    motion: list[list[FloatArray]] = [[] for _ in rollouts]
    while any(session.pending for session in sessions):
        waiting = [index for index, session in enumerate(sessions) if session.pending]
        calls = {index: sessions[index].prepare() for index in waiting}
        if context is not None:
            gap = spec.T_p - context
            calls = {i: replace(c, missing=max(c.missing, gap)) for i, c in calls.items()}
        for batch in _batches(calls, spec.T_p):
            answers = backend.sample_many([calls[index] for index in batch])
            for index, x0 in zip(batch, answers, strict=True):
                motion[index] += [frame.motion for frame in sessions[index].commit(x0)]
    out = np.stack([np.stack(rows) for rows in motion])
    if not np.isfinite(out).all():
        raise RolloutError(
            f"the model answers with motion that is not finite ({backend.bundle_hash})"
        )
    return out


def _session(backend: Backend, each: Rollout, options: SessionOptions | None) -> Session:
    """A session that has heard all of its sound."""
    style: Any = each.style
    if isinstance(style, str) and style not in backend.styles:
        style = None
    session = Session(backend, options=options, shape=each.shape, style=style, seed=each.seed)
    session.append(each.samples)
    session.end_audio()
    return session


def _batches(calls: Mapping[int, SamplerCall], context: int) -> list[list[int]]:
    """Calls that can share a model call, at most MOST_TOKENS tokens together."""
    alike: dict[Hashable, list[int]] = {}
    for index, call in calls.items():
        alike.setdefault(batch_key(call), []).append(index)
    out = []
    for same in alike.values():
        most = max(1, MOST_TOKENS // (len(calls[same[0]].features) + context + 1))
        out += [same[start : start + most] for start in range(0, len(same), most)]
    return out
