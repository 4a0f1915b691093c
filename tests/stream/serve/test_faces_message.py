"""The head's triangles in messages: all of them, in order, whatever their size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from head.rig import builtin_head
from stream.serve.frame_encoder import Encoder
from stream.wire import codec


def test_the_messages_together_are_the_heads_faces() -> None:
    head = builtin_head()
    hello: Any = SimpleNamespace(channels={}, shape=[])
    parts = [codec.parse(data) for data in Encoder(head, hello).faces]
    assert len(parts) > 1 and [part.sequence for part in parts] == list(range(len(parts)))
    together = np.concatenate([np.array(part.payload) for part in parts])
    assert np.array_equal(together, head.faces.ravel())
    assert [part.sample for part in parts] == np.cumsum([0, *map(len, (p.payload for p in parts))])[
        :-1
    ].tolist()
