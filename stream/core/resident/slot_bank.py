"""Sessions of one kind whose states lie with the model, each in a slot, done together.

What a hop does beside the model (noise, level, idle motion, retargeting) is done here for all
sessions of a round at once, in arrays with a row for each slot; a session alone does the same steps
with arrays of one.  Whatever is no plain hop (merged hops, the end of the sound, frames that were
no motion) is the session's own: its state comes home before (`SessionState.come_home`), and goes
back into a slot with the next plain hop.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import Backend, FloatArray
from stream.backends.slots.hop_slots import Guided, HopKind, HopSlots
from stream.core.fence import MOST_MOTION
from stream.core.front_end import CausalFrontEnd, WindowFrontEnd, speaks
from stream.core.hearing.input_gain import InputGain
from stream.core.level_normaliser import RunningLevel
from stream.core.resident.packed_state import pack, unpack
from stream.core.session import Session
from stream.core.shown.idle_motion import IdleMotion, Manner
from stream.core.state import SessionState, rotation_channels
from stream.core.timeline import to_full_scale
from stream.frames import Frame

HELD_NOISE = 32
"""Frames of noise that are drawn for a session at once."""
NOT_DRAWN = 1 << 60
"""As the first frame of a slot's noise: every frame is before it."""
HEARD_AT_ONCE = 32
"""Sessions whose sound is read at once: more of it would leave the cache."""


class SlotBank:
    """The sessions of one kind that have a slot.

    Args:
        backend: of the sessions.
        kind: of their hops.
        slots: the model's side.
    """

    def __init__(self, backend: Backend, kind: HopKind, slots: HopSlots) -> None:
        self._backend, self._kind, self._slots = backend, kind, slots
        spec, count = backend.spec, slots.count
        self._samples, self._hop, self._lookahead = spec.frame_samples, kind.hop, kind.lookahead
        self._level_of: Callable[[Any], RunningLevel | InputGain] | None = None
        if not backend.incremental:
            self._level_of, beginning = RunningLevel, RunningLevel().state
        elif spec.speech.input_gain:
            self._level_of, beginning = InputGain, InputGain().state
        else:
            beginning = np.zeros(0)
        self._level = np.tile(beginning, (count, 1))
        self._free = list(range(count))[::-1]
        self._lock = threading.RLock()
        self._pcm = np.zeros((slots.most, kind.hop * self._samples), np.float32)
        held = max(HELD_NOISE, 2 * kind.hop)
        self._noise = np.zeros((count, held, spec.d_motion), np.float32)
        self._drawn = np.zeros(count, np.int64)  # the frame that a slot's noise begins with
        self._idle = IdleMotion(spec.live, rotation_channels(backend), [0] * count)
        self._gaze, self._still = np.ones(count), np.zeros(count, bool)
        self._last = np.zeros((count, spec.d_motion), np.float32)  # frames as they were shown
        self._settled = np.zeros(count, np.int64)  # the change of conditions that a slot has

    @property
    def most(self) -> int:
        """Sessions in one call of the model."""
        return self._slots.most

    def prepare(self, session: Session) -> None:
        """Have everything ready that hops of sessions like this one need."""
        self._slots.prepare(session.conditions.guided)

    def enter(self, session: Session) -> bool:
        """Whether a session's next hop can be made here; it has a slot then.

        Raises:
            stream.backends.protocol.RuntimeProblem: the model fails; the state is at home.
        """
        state, start = session.state, session.state.end
        end = (start if start > self._lookahead else self._lookahead) + self._hop
        if state.audio.end < end * self._samples:
            return False
        if state.resident is not None:
            return True
        if not state.fence.calm or end < self._kind.first_end(self._backend.spec):
            return False
        with self._lock:
            if not self._free:
                return False
            self._put(session)
        return True

    def hop(self, sessions: Sequence[Session]) -> list[list[Frame] | Exception]:
        """One hop of each, all of which have entered.

        A session whose call fails gets its exception as the answer, and can be called again; those
        that shared a call with it are done one by one.
        """
        guided_by = [session.conditions.guided for session in sessions]
        calls = {guided: self._slots.call_of(guided) for guided in set(guided_by)}
        alike: dict[Guided, Sequence[int]] = {call: range(len(sessions)) for call in calls.values()}
        if len(alike) > 1:
            alike = {
                call: [row for row, guided in enumerate(guided_by) if calls[guided] == call]
                for call in alike
            }
        answers: dict[int, list[Frame] | Exception] = {}
        with self._lock:
            for guided, rows in alike.items():
                for at in range(0, len(rows), self.most):
                    part = rows[at : at + self.most]
                    done = self._attempt([sessions[i] for i in part], guided)
                    answers.update(zip(part, done, strict=True))
        return [answers[row] for row in range(len(sessions))]

    def _attempt(
        self, sessions: Sequence[Session], guided: Guided
    ) -> list[list[Frame] | Exception]:
        """A round; where it fails, each alone, so that one cannot spoil the others."""
        try:
            return [*self._round(sessions, guided)]
        except Exception as error:
            if len(sessions) == 1:
                return [error]
        return [answer for session in sessions for answer in self._attempt([session], guided)]

    def give_back(self, state: SessionState) -> None:
        """Let a state come home; its slot is free."""
        with self._lock:
            slot = state.slot
            rows, speech = self._slots.get(slot)
            state.idle = self._idle.of(slot)
            state.fence.shown = self._last[slot].copy() if state.committed else None
            front_end, level = state.front_end, self._level[slot].copy()
            if isinstance(front_end, WindowFrontEnd):
                front_end.level = RunningLevel(level)
            elif isinstance(front_end, CausalFrontEnd) and front_end.gain is not None:
                front_end.gain = InputGain(level)
            unpack(state, self._backend, rows, speech)
            state.resident = None
            state.release()

    def close(self) -> None:
        """No more hops will be made here; states can still come home."""
        self._slots.close()

    # --- a round -------------------------------------------------------------------------------
    def _round(self, sessions: Sequence[Session], guided: Guided) -> list[list[Frame]]:
        samples, hop, statistics = self._samples, self._hop, self._backend.statistics
        states = [session.state for session in sessions]
        slots = np.array([state.slot for state in states])
        changes = [session.conditions.changes for session in sessions]
        for row in np.flatnonzero(self._settled[slots] != changes).tolist():
            self._set_conditions(sessions[row])
        starts = np.maximum([state.end for state in states], self._lookahead)
        pcm = self._pcm[: len(sessions)]
        level = self._hear(states, slots, (starts * samples).tolist(), pcm)
        noise = self._noise_of(states, slots, starts)
        fresh = self._slots.run(slots, pcm, noise, guided)
        if level is not None:
            self._level[slots] = level.state
        speaking = speaks(level) if isinstance(level, InputGain) else np.ones(len(slots), bool)
        manner = Manner(speaking, self._gaze[slots], self._still[slots])
        raw = fresh * statistics.motion_std + statistics.motion_mean
        # A comparison with what is not a number is false.
        good = np.abs(fresh).max(axis=(1, 2)) < MOST_MOTION
        if good.all():
            self._idle.apply(raw, manner, slots)
            self._last[slots] = raw[:, -1]
        elif good.any():
            kept = raw[good]
            self._idle.apply(kept, Manner(*(each[good] for each in manner)), slots[good])
            self._last[slots[good]] = kept[:, -1]
            raw[good] = kept
        first = np.array([state.committed for state in states])
        frames = self._frames(_retargeted(sessions, raw), first)
        answers: list[list[Frame]] = []
        ends, firsts = (starts + hop).tolist(), range(0, len(frames), hop)
        rows = zip(sessions, states, ends, firsts, good.tolist(), strict=True)
        for session, state, end, at, whole in rows:
            state.front_end.encoded = end
            if whole:
                state.committed, state.end = state.committed + hop, end
                state.audio.drop_before(end * samples)
                answers.append(frames[at : at + hop])
            else:
                self.give_back(state)
                answers.append(session.rest(end - self._lookahead, end))
        return answers

    def _frames(self, motion: FloatArray, first: NDArray[np.int64]) -> list[Frame]:
        """The frames of a round, (B, H, D), each from the B numbers in `first` on, in one row.

        Copies, as a view would keep the whole round alive for as long as one frame is held.
        """
        numbers = (first[:, None] + np.arange(self._hop)).ravel()
        rows = [row.copy() for row in motion.reshape(-1, motion.shape[-1])]
        return [*map(Frame, numbers.tolist(), (numbers * self._samples).tolist(), rows)]

    def _put(self, session: Session) -> None:
        """A session's state into a slot."""
        state = session.state
        rows, speech = pack(state, self._backend, self._kind)
        slot = self._free.pop()
        state.slot, state.resident = slot, self
        state.release = weakref.finalize(state, self._free.append, slot)
        self._slots.put(slot, rows, speech)
        self._idle.put(slot, state.idle)
        if state.fence.shown is not None:
            self._last[slot] = state.fence.shown
        if isinstance(state.front_end, WindowFrontEnd):
            self._level[slot] = state.front_end.level.state
        elif isinstance(state.front_end, CausalFrontEnd) and state.front_end.gain is not None:
            self._level[slot] = state.front_end.gain.state
        self._drawn[slot] = NOT_DRAWN
        self._settled[slot] = -1

    def _set_conditions(self, session: Session) -> None:
        """Into the slot, at every hop for as long as they ease."""
        state, track = session.state, session.conditions
        now = track.at(state.committed)
        self._slots.condition(
            state.slot,
            {
                "noise_scale": session.noise_scale,
                "audio_guidance": now.audio_guidance,
                "style_guidance": now.style_guidance,
                **now.vectors(),
            },
        )
        self._gaze[state.slot], self._still[state.slot] = track.gaze, track.still
        eased = track.eased(state.committed)
        self._settled[state.slot] = track.changes if eased else -1

    def _hear(
        self,
        states: Sequence[SessionState],
        slots: NDArray[np.intp],
        starts: Sequence[int],
        pcm: FloatArray,
    ) -> RunningLevel | InputGain | None:
        """Write a round's sound, from each state's sample in `starts` on, to `pcm`, (B, 640 H),
        as the encoder hears it; the level after.
        """
        for at in range(0, len(states), HEARD_AT_ONCE):
            part = slice(at, at + HEARD_AT_ONCE)
            for state, start, row in zip(states[part], starts[part], pcm[part], strict=True):
                state.audio.read_into(row, start)
            to_full_scale(pcm[part])
        if self._level_of is None:
            return None
        frames = pcm.reshape(len(pcm), -1, self._samples)
        level = self._level_of(self._level[slots])
        level.apply(frames, out=frames)
        return level

    def _noise_of(
        self, states: Sequence[SessionState], slots: NDArray[np.intp], starts: NDArray[Any]
    ) -> FloatArray:
        """(B, H, D) noise of the frames of a round's sound; drawn for many frames at once.

        For fewer the first time, and for each slot another number: sessions that began together
        would be drawn for together for ever, and that round would be late.
        """
        held, hop = self._noise.shape[1], self._hop
        at = starts - self._drawn[slots]
        for row in np.flatnonzero((at < 0) | (at + hop > held)).tolist():
            start, slot = int(starts[row]), slots[row]
            skipped = 0 if at[row] >= 0 else hop * int(slot % (held // hop))
            fresh = states[row].noise.take(start, start + held - skipped)
            self._noise[slot, skipped:] = fresh
            self._drawn[slot], at[row] = start - skipped, skipped
        return self._noise[slots[:, None], at[:, None] + np.arange(hop)]


def _retargeted(sessions: Sequence[Session], raw: FloatArray) -> FloatArray:
    """Raw motion (B, H, D) on the heads that are shown: each mapping once, for all of its rows."""
    shown = raw.astype(np.float32, copy=False)
    for retarget in {s.retarget for s in sessions if s.retarget is not None}:
        rows = [row for row, session in enumerate(sessions) if session.retarget is retarget]
        shown[rows] = retarget(raw[rows])
    return shown
