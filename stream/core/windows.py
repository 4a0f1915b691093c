"""Which frames one model call sees, and which it emits (pure integer arithmetic).

    adjacent   | context T_p |  new [c, e)          |
               s - T_p       s = c          e - R   e
    sliding    | context T_p |  known [s, c)  |  new [c, e)  |  padding  |
               s - T_p       s                c       e - R  e           s + T_w

All audio before frame `end` has arrived; frames before `committed` were emitted and never change.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffposetalk.spec import WindowRule
from head.errors import WrongValue


@dataclass(frozen=True)
class Window:
    """One model call, in absolute frames.

    Attributes:
        start: first frame of the model's window (s).
        committed: first frame not yet emitted (c).
        end: frames before it have all their audio (e).
        emit_end: frames [committed, emit_end) are emitted by this call.
        length: tokens in the window; those after `end` are padding.
        missing: context slots before the stream's start, which hold the learned start features.
    """

    start: int
    committed: int
    end: int
    emit_end: int
    length: int
    missing: int


def plan(rule: WindowRule, committed: int, end: int, lookahead: int, T_w: int, T_p: int) -> Window:
    """The window of the call at `end`.

    Raises:
        ValueError: more new frames than the window holds, or nothing to emit.
    """
    emit_end = end - lookahead
    if emit_end <= committed:
        raise WrongValue(f"nothing to emit: frames before {emit_end} are committed")
    if end - committed > T_w:
        raise WrongValue(f"{end - committed} new frames do not fit a window of {T_w}")
    if rule == "adjacent":
        start = committed
        length = end - committed
    else:
        # s jumps from 0 to at least T_p, so that the context is either all learned or all real.
        start = 0 if end <= T_w else min(max(end - T_w, T_p), committed)
        length = T_w
    return Window(start, committed, end, emit_end, length, missing=max(0, T_p - start))
