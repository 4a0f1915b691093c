"""What opens sessions for clients, as they request them and as far as the server lets them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.retarget import Retarget
from stream.backends.protocol import Backend
from stream.clock import Clock
from stream.core.conditions import ConditionChange
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.run.other_heads import OtherHead
from stream.run.presets import with_other_preset
from stream.run.push.resumed import Past, ResumedSession
from stream.run.push.session import ClientSession, OpenScheduler, SessionListener
from stream.wire import session_messages

Floats = NDArray[np.float32]

PACES = ("fast", "live")
MOST_SHAPE = 20.0


class SessionFactory:
    """Opens sessions for clients.

    Args:
        start: makes the scheduler that runs them all; called when the first session is opened.
        backend: the scheduler's.
        options: live settings; clients may choose their own strengths, and a preset.
        preset: the name of the one that `options` are of; None: of none.
        style, shape: what clients get that name none.
        retarget: to the server's head, where that is not the model's.
        heads: that clients may name besides the server's (`stream.run.other_heads`).
    """

    def __init__(
        self,
        start: Callable[[], OpenScheduler],
        backend: Backend,
        options: SessionOptions | None = None,
        *,
        preset: str | None = None,
        style: str | None = None,
        shape: Floats | None = None,
        heads: Mapping[str, OtherHead] | None = None,
        retarget: Retarget | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.heads, self.preset = heads or {}, preset
        self._retarget = retarget
        self._head_id = backend.head_id if retarget is None else retarget.target.id
        self._make, self._backend, self._options = start, backend, options or SessionOptions()
        self._style, self._shape, self._clock = style, shape, clock
        self._scheduler: OpenScheduler | None = None
        self._starting = threading.Lock()

    def close(self) -> None:
        """End what runs them."""
        if self._scheduler is not None:
            self._scheduler.close()

    def start(self) -> OpenScheduler:
        """What runs them all; started when it is asked for first, by any thread."""
        with self._starting:
            if self._scheduler is None:
                self._scheduler = self._make()
            return self._scheduler

    def open(
        self, request: session_messages.Open, listener: SessionListener, past: Past | None = None
    ) -> ClientSession:
        """A session as a client requests it; with a `past` it goes on from there.

        Raises:
            stream.run.scheduler.CapacityError: there is no room for it.
            ValueError: it cannot be; one sentence.
        """
        if request.pace not in PACES:
            raise WrongValue(f"a pace is one of {', '.join(PACES)}")
        session = self.session(request)
        settings: dict[str, Any] = {
            "fast": request.pace == "fast",
            "alive": request.alive,
            "clock": self._clock,
            "head": self.heads.get(request.head),
        }
        if past is None:
            return ClientSession(self.start(), session, listener, **settings)
        return ResumedSession(self.start(), session, listener, past=past, **settings)

    def session(self, request: session_messages.Open) -> Session:
        """The session alone, that nothing runs yet.

        Raises:
            ValueError: it cannot be; one sentence.
        """
        backend = self._backend
        other = self.heads.get(request.head)
        if other is None and request.head not in ("", self._head_id):
            names = ", ".join([self._head_id, *self.heads])
            raise WrongValue(f"this server has no head {request.head[:80]!r}, but {names}")
        if other is not None and request.shape:
            raise WrongValue("a shape is of the hello's head: leave it out on another head")
        options = self._options
        if request.preset is not None:
            options = with_other_preset(request.preset, options)
        session = Session(
            backend,
            options=options,
            shape=_shape(request.shape) if request.shape else self._shape,
            style=request.style or self._style,
            seed=request.seed % 2**32,
            retarget=self._retarget if other is None else other.retarget,
        )
        session.change(ConditionChange(**request.asked))
        return session


def _shape(numbers: Sequence[float]) -> Floats:
    """Raises ValueError for an identity that is none: 1 is one standard deviation."""
    if not all(abs(number) <= MOST_SHAPE for number in numbers):
        raise WrongValue(f"a shape's numbers are at most {MOST_SHAPE:g}")
    return np.array(numbers, np.float32)
