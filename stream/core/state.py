"""Everything that one stream remembers between model calls, as one value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from stream.backends.protocol import Backend, FloatArray
from stream.core.fence import Fence
from stream.core.front_end import FrontEnd, open_front_end
from stream.core.noise import NoiseTrack
from stream.core.shown.idle_motion import IdleMotion
from stream.core.timeline import Timeline


def rotation_channels(backend: Backend) -> slice:
    """The channels of a motion vector that turn the head; empty for a model without."""
    return slice(backend.spec.n_expression, backend.spec.d_motion - 1)


class Resident(Protocol):
    """Where a part of a state may lie while its session speaks: `stream.core.resident`."""

    def give_back(self, state: SessionState) -> None:
        """Write into a state what it left there."""
        ...


@dataclass(eq=False, slots=True, weakref_slot=True)
class SessionState:
    """A stream's past: it can be held, copied and put back, and the stream goes on from it.

    Attributes:
        audio: sound that no call has used up.
        front_end: what was heard.
        motion: (n, D) normalised, of frames [past, committed).
        past: the first frame of `motion`; before frame 0 it is zeros.
        noise: of frames to come.
        idle: what is laid over the shown motion.
        fence: what is shown where the model's output is no motion.
        committed: frames before it were emitted and never change.
        end: the last call's end; frames before it had all their sound.
        resident: has the parts that the model works on, in its `slot`, until the state comes home;
            None: they are here. release: lets the slot go.
    """

    audio: Timeline
    front_end: FrontEnd
    motion: FloatArray
    past: int
    noise: NoiseTrack
    idle: IdleMotion
    fence: Fence
    committed: int = 0
    end: int = 0
    resident: Resident | None = None
    slot: int = -1
    release: Callable[[], Any] = lambda: None

    @classmethod
    def at_start(cls, backend: Backend, seed: int) -> Self:
        """Of a stream that begins: the next block is sample 0."""
        spec, rotation = backend.spec, rotation_channels(backend)
        return cls(
            audio=Timeline(),
            front_end=open_front_end(backend),
            motion=np.zeros((spec.T_p, spec.d_motion), np.float32),
            past=-spec.T_p,
            noise=NoiseTrack(seed, spec.d_motion, rotation, spec.live.head_noise_frames),
            idle=IdleMotion(spec.live, rotation, [seed]),
            fence=Fence(),
        )

    def copy(self) -> Self:
        """The same value, which goes its own way from here."""
        self.come_home()
        # Arrays of rows are replaced, never written into: only what changes in place is copied.
        return replace(
            self,
            audio=copy.deepcopy(self.audio),
            front_end=self.front_end.copy(),
            noise=self.noise.copy(),
            idle=self.idle.copy(),
            fence=self.fence.copy(),
        )

    def come_home(self) -> None:
        """Have all of it here."""
        if self.resident is not None:
            self.resident.give_back(self)

    def begin_anew(self, backend: Backend, committed: int, end: int) -> None:
        """Forget what was heard and made, as at a start; frames go on from `committed`."""
        spec = backend.spec
        length = spec.T_p + spec.T_w
        self.motion = np.zeros((length, spec.d_motion), np.float32)
        self.past, self.committed, self.end = committed - length, committed, end
        self.front_end.begin_anew(end, length)
        self.audio.drop_before(end * spec.frame_samples)

    def motion_rows(self, start: int, stop: int) -> FloatArray:
        """Normalised motion of frames [start, stop), (stop - start, D); none after `committed`."""
        return self.motion[start - self.past : stop - self.past]

    def forget(self, reach: int, frame_samples: int) -> None:
        """Drop what lies before frame `reach`, which no later window sees."""
        keep = max(0, reach - self.past)
        if keep:
            self.motion = self.motion[keep:].copy()
            self.past += keep
        self.front_end.forget(reach)
        self.audio.drop_before(self.front_end.encoded * frame_samples)
