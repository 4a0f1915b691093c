"""A session's state as the arrays that a model needs for its next whole hop, and back.

At the end of a hop at frame e, with frames before c committed, windows of n frames and a reach of
L = T_p + n frames (`HopKind`), the rows that a hop goes on from are

    features (or sound)   frames [e - L, e)         motion       frames [c - L + R, c)
    held_noise            frames [e - n, e)         committed    c

as in `export.graphs.hop`, where they are in with a leading dimension.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import Backend, FloatArray, SpeechCall, SpeechState, encode_speech
from stream.backends.slots.hop_slots import HopKind
from stream.core.front_end import CausalFrontEnd, WindowFrontEnd
from stream.core.state import SessionState

Rows = dict[str, NDArray[Any]]


def pack(state: SessionState, backend: Backend, kind: HopKind) -> tuple[Rows, SpeechState]:
    """What a model needs of a stream; hears the sound before the next hop that it has not heard.

    Returns:
        The rows, and the state of a causal speech encoder.
    """
    spec = backend.spec
    end, reach, n = max(state.end, kind.lookahead), kind.reach(spec), kind.window(spec)
    committed_rows = state.motion_rows(state.past, state.committed)
    rows: Rows = {
        "motion": last_rows(committed_rows, reach - kind.lookahead),
        "held_noise": last_rows(state.noise.take(max(0, end - n), end), n),
        "committed": np.array(state.committed, np.int64),
    }
    front_end = state.front_end
    if isinstance(front_end, WindowFrontEnd):
        front_end.normalise_until(state.audio, end)
        return rows | {"sound": last_rows(front_end.rows, reach).reshape(-1)}, None
    assert isinstance(front_end, CausalFrontEnd)
    if end > front_end.encoded:
        samples = spec.frame_samples
        pcm = state.audio.read(front_end.encoded * samples, end * samples)
        call = SpeechCall(front_end.at_one_level(pcm), front_end.state)
        front_end.keep(*encode_speech(backend, [call])[0], end)
    heard = front_end.rows
    if heard is None:  # nothing yet: what is heard of silence says how wide it is
        silence = np.zeros(spec.frame_samples, np.float32)
        heard = backend.encode(silence, front_end.state)[0][:0]
    return rows | {"features": last_rows(heard, reach)}, front_end.state


def unpack(state: SessionState, backend: Backend, rows: Rows, speech: SpeechState) -> None:
    """Take back what `pack` gave, some hops later; `committed`, `end` and `encoded` are right."""
    front_end = state.front_end
    state.motion = rows["motion"]
    state.past = state.committed - len(state.motion)
    if isinstance(front_end, WindowFrontEnd):
        front_end.rows = rows["sound"].reshape(-1, backend.spec.frame_samples)
        front_end.past = front_end.encoded - len(front_end.rows)
    elif isinstance(front_end, CausalFrontEnd):
        front_end.rows = rows["features"]
        front_end.past = front_end.encoded - len(front_end.rows)
        front_end.state = speech


def last_rows(rows: FloatArray, size: int) -> FloatArray:
    """The last `size` rows, behind zeros where there are not so many."""
    out = np.zeros((size, *rows.shape[1:]), np.float32)
    kept = rows[max(0, len(rows) - size) :]
    if len(kept):
        out[-len(kept) :] = kept
    return out
