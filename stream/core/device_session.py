"""A session whose state stays with the model: nothing but new sound, noise and frames moves.

On a GPU this saves the copies of a hop's whole past, to the device and back, at every hop.  What
the graph of whole hops cannot do (merged hops, the end of the sound, a scheduler's batches) is done
as by any session: the state is fetched before, and handed over again after.
"""

from __future__ import annotations

from typing import Any

from stream.backends.hop import HopCall, HopGraph
from stream.backends.protocol import Backend, SpeechCall
from stream.core.fence import is_motion
from stream.core.front_end import CausalFrontEnd, WindowFrontEnd
from stream.core.options import SessionOptions
from stream.core.resident.packed_state import pack, unpack
from stream.core.session import Session
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
    graph = backend.hop_graph(plain.kind)
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
            pcm = front_end.level.apply(pcm.reshape(-1, spec.frame_samples)).reshape(-1)
        elif isinstance(front_end, CausalFrontEnd):
            pcm = front_end.at_one_level(pcm)
            front_end.keep_gain()
        fresh = self._graph.run(
            HopCall(
                pcm=pcm,
                noise=state.noise.take(start, end),
                noise_scale=self.noise_scale,
                conditions=self.conditions.at(first),
            )
        )
        if not is_motion(fresh):
            self._on_device = False  # what the graph remembers is no better
            return self.rest(end - self.lookahead, end)
        front_end.encoded = end
        state.front_end = front_end
        state.committed, state.end = end - self.lookahead, end
        state.audio.drop_before(end * spec.frame_samples)
        return self._frames(fresh, first)

    # --- the state goes over and comes back ----------------------------------------------------
    def _upload(self) -> None:
        """Give the graph the state as of the last call's end."""
        rows, speech = pack(self.state, self.backend, self.kind)
        if speech is not None:
            rows |= speech._asdict()
        self._graph.start({name: array[None] for name, array in rows.items()})
        self._on_device = True

    def _download(self) -> None:
        """Take the state back from the graph."""
        if not self._on_device:
            return
        found = {name: array[0] for name, array in self._graph.state().items()}
        speech = None
        if isinstance(self.state.front_end, CausalFrontEnd):
            known = self.state.front_end.state
            speech = known._replace(**{name: found[name] for name in known._fields})
        unpack(self.state, self.backend, found, speech)
        self._on_device = False
