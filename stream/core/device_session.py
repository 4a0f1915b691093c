"""A session whose state stays with the model: nothing but new sound, noise and frames moves.

On a GPU this saves the copies of a hop's whole past, to the device and back, at every hop.  What
the graph of whole hops cannot do (merged hops, the end of the sound, a scheduler's batches) is done
as by any session: the state is fetched before, and handed over again after.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.hop import HopCall, HopGraph
from stream.backends.protocol import Backend, FloatArray, SpeechCall, encode_speech
from stream.core.fence import is_motion
from stream.core.front_end import CausalFrontEnd, WindowFrontEnd
from stream.core.session import Session, SessionOptions
from stream.core.state import SessionState
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

    def copy_state(self) -> SessionState:
        """What it remembers, fetched back, as a value of its own."""
        self._download()
        return super().copy_state()

    def go_on_from(self, state: SessionState) -> None:
        """Go on from this state; it goes to the model at the next hop."""
        self._on_device = False
        super().go_on_from(state)

    def begin(self, hops: int = 1) -> SpeechCall | None:
        """As any session, from the state fetched back."""
        self._download()
        return super().begin(hops)

    def step(self, hops: int = 1) -> list[Frame]:
        """One model call over the next `hops` hops; one hop is one call of the graph."""
        if hops != 1 or not self.pending_hops:
            return super().step(hops)
        spec, state, start = self.backend.spec, self.state, max(self.end, self.lookahead)
        end, first = start + self.hop, self.committed
        if self.window_rule == "sliding" and end < spec.T_w + spec.T_p:
            return super().step()  # the window fills for the first time
        if not self._on_device:
            self._upload()
        pcm = state.audio.read(start * spec.frame_samples, end * spec.frame_samples)
        front_end = state.front_end.copy()  # kept where the call succeeds
        if isinstance(front_end, WindowFrontEnd):
            pcm = front_end.level.normalise(pcm.reshape(-1, spec.frame_samples)).reshape(-1)
        elif isinstance(front_end, CausalFrontEnd):
            pcm = front_end.at_one_level(pcm)
            front_end.keep_gain()
        fresh = self._graph.run(
            HopCall(
                pcm=pcm,
                noise=state.noise.take(start, end),
                noise_scale=self._noise_scale,
                conditions=self.conditions.at(first),
            )
        )
        if not is_motion(fresh):
            self._on_device = False  # what the graph remembers is no better
            return self._rest(end - self.lookahead, end)
        front_end.encoded = end
        state.front_end = front_end
        state.committed, state.end = end - self.lookahead, end
        state.audio.drop_before(end * spec.frame_samples)
        return self._frames(fresh, first)

    # --- the state goes over and comes back ----------------------------------------------------
    def _upload(self) -> None:
        """Give the graph the state as of the last call's end."""
        state, graph = self.state, self._graph
        end = max(self.end, self.lookahead)
        length = graph.size("held_noise")
        held: dict[str, NDArray[Any]] = {
            "motion": _behind(state.motion_rows(state.past, state.committed), graph.size("motion")),
            "held_noise": _behind(state.noise.take(max(0, end - length), end), length),
            "committed": np.array(state.committed, np.int64),
        }
        graph.start({name: array[None] for name, array in (held | self._heard(end)).items()})
        self._on_device = True

    def _heard(self, end: int) -> dict[str, NDArray[Any]]:
        """What the graph needs of the speech before frame `end`."""
        spec, front_end, graph = self.backend.spec, self.state.front_end, self._graph
        if isinstance(front_end, WindowFrontEnd):
            front_end.normalise_until(self.state.audio, end)
            sound = _behind(front_end.rows, graph.size("sound") // spec.frame_samples)
            return {"sound": sound.reshape(-1)}
        assert isinstance(front_end, CausalFrontEnd)
        if end > front_end.encoded:
            n = spec.frame_samples
            pcm = self.state.audio.read(front_end.encoded * n, end * n)
            call = SpeechCall(front_end.at_one_level(pcm), front_end.state)
            front_end.keep(*encode_speech(self.backend, [call])[0], end)
        rows = front_end.rows
        if rows is None:
            rows = np.zeros((0, graph.width("features")), np.float32)
        features = _behind(rows, graph.size("features"))
        return {"features": features, **front_end.state._asdict()}

    def _download(self) -> None:
        """Take the state back from the graph."""
        if not self._on_device:
            return
        found = {name: array[0] for name, array in self._graph.state().items()}
        state, front_end = self.state, self.state.front_end
        state.motion = found["motion"]
        state.past = state.committed - len(state.motion)
        if isinstance(front_end, WindowFrontEnd):
            front_end.rows = found["sound"].reshape(-1, self.backend.spec.frame_samples)
            front_end.past = front_end.encoded - len(front_end.rows)
        elif isinstance(front_end, CausalFrontEnd):
            front_end.rows = found["features"]
            front_end.past = front_end.encoded - len(front_end.rows)
            known = front_end.state
            front_end.state = known._replace(**{name: found[name] for name in known._fields})
        self._on_device = False


def _behind(rows: FloatArray, size: int) -> FloatArray:
    """The last `size` rows, behind zeros where there are not so many."""
    out = np.zeros((size, *rows.shape[1:]), np.float32)
    kept = rows[max(0, len(rows) - size) :]
    if len(kept):
        out[-len(kept) :] = kept
    return out
