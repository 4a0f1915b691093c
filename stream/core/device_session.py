"""A session whose state stays with the model: nothing but new sound, noise and frames moves.

On a GPU this saves the copies of a hop's whole past, to the device and back, at every hop.  What
the graph of whole hops cannot do (merged hops, the end of the sound, a scheduler's batches) is done
as by any session: the state is fetched before, and handed over again after.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.hop import HopCall, HopGraph
from stream.backends.protocol import Backend, FloatArray
from stream.core.session import Session, SessionOptions, SpeechCall
from stream.frames import Frame


def make_session(
    backend: Backend, *, options: SessionOptions | None = None, **settings: Any
) -> Session:
    """A session; its state stays with the model where the bundle has a graph of such hops.

    Args:
        settings: of `Session`.

    Raises:
        ValueError, stream.backends.protocol.RuntimeProblem: as `Session` and the backend.
    """
    plain = Session(backend, options=options, **settings)
    find = getattr(backend, "hop_graph", None)
    graph = (
        None if find is None else find(plain.hop, plain.lookahead, plain.steps, plain.window_rule)
    )
    if graph is None:
        return plain
    return DeviceSession(backend, graph, options=options, **settings)


class DeviceSession(Session):
    """A session that makes its hops in one graph.

    Args:
        backend: as of any session.
        graph: of hops as the options say.
        settings: of `Session`.
    """

    def __init__(self, backend: Backend, graph: HopGraph, **settings: Any) -> None:
        self._graph, self._on_device = graph, False
        super().__init__(backend, **settings)

    def reset(self) -> None:
        """Forget everything: the next block is sample 0."""
        self._on_device = False
        super().reset()

    def begin(self, hops: int = 1) -> SpeechCall | None:
        """As any session, from the state fetched back."""
        self._download()
        return super().begin(hops)

    def step(self, hops: int = 1) -> list[Frame]:
        """One model call over the next `hops` hops; one hop is one call of the graph."""
        if hops != 1 or not self.pending_hops:
            return super().step(hops)
        spec, start = self.backend.spec, max(self.end, self.lookahead)
        end, first = start + self.hop, self.committed
        if self.window_rule == "sliding" and end < spec.T_w + spec.T_p:
            return super().step()  # the window fills for the first time
        if not self._on_device:
            self._upload()
        level = copy.copy(self._level)
        pcm = self._read(start, end)
        if not self.backend.incremental:
            pcm = level.normalise(pcm.reshape(-1, spec.frame_samples)).reshape(-1)
        fresh = self._graph.run(
            HopCall(
                pcm=pcm,
                noise=self._noise.take(start, end),
                noise_scale=self._noise_scale,
                shape=self._shape,
                style=self._style_now(),
                audio_guidance=self.audio_guidance,
                style_guidance=self.style_guidance,
            )
        )
        self._level = level
        self.committed, self.end, self._encoded = end - self.lookahead, end, end
        self._audio.drop_before(end * spec.frame_samples)
        return self._frames(fresh, first)

    # --- the state goes over and comes back ----------------------------------------------------
    def _upload(self) -> None:
        """Give the graph the state as of the last call's end."""
        spec, graph = self.backend.spec, self._graph
        end = max(self.end, self.lookahead)
        self._encode_until(end)
        length = graph.size("held_noise")
        noise = self._noise.take(max(0, end - length), end)
        state: dict[str, NDArray[Any]] = {
            "motion": self._padded(self._motion, self.committed, graph.size("motion")),
            "held_noise": _behind(noise, length),
        }
        if self.backend.incremental:
            if self._features is None:
                self._features = np.zeros((spec.T_p, graph.width("features")), np.float32)
            state["features"] = self._padded(self._features, end, graph.size("features"))
            state |= self._speech._asdict()
        else:
            rows = graph.size("sound") // spec.frame_samples
            state["sound"] = self._padded(self._normal, end, rows).reshape(-1)
        batch = {name: array[None] for name, array in state.items()}
        self._graph.start(batch | {"committed": np.array([self.committed], np.int64)})
        self._on_device = True

    def _encode_until(self, end: int) -> None:
        """Hear all frames before `end`."""
        if end <= self._encoded:
            return
        spec, pcm = self.backend.spec, self._read(self._encoded, end)
        if self.backend.incremental:
            features, self._speech = self.backend.encode(pcm, self._speech)
            if self._features is None:
                self._features = np.zeros((spec.T_p, features.shape[1]), np.float32)
            self._features = np.concatenate([self._features, features])
        else:
            frames = self._level.normalise(pcm.reshape(-1, spec.frame_samples))
            self._normal = np.concatenate([self._normal, frames])
        self._encoded = end

    def _download(self) -> None:
        """Take the state back from the graph."""
        if not self._on_device:
            return
        state = {name: array[0] for name, array in self._graph.state().items()}
        self._motion = state["motion"]
        self._past = self.committed - len(self._motion)
        if self.backend.incremental:
            self._features = state["features"]
            self._speech = self._speech._replace(
                **{name: state[name] for name in self._speech._fields}
            )
        else:
            self._normal = state["sound"].reshape(-1, self.backend.spec.frame_samples)
        self._on_device = False

    def _padded(self, rows: FloatArray, stop: int, size: int) -> FloatArray:
        """The `size` rows before frame `stop` of a store; zeros where it does not reach so far."""
        return _behind(rows[max(0, stop - size - self._past) : stop - self._past], size)


def _behind(rows: FloatArray, size: int) -> FloatArray:
    """Rows at the end of `size`, after zeros."""
    out = np.zeros((size, *rows.shape[1:]), np.float32)
    if len(rows):
        out[-len(rows) :] = rows
    return out
