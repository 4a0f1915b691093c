"""Everything that a client can set, as hypothesis draws it: what may be, and what may not."""

from __future__ import annotations

import json
import struct
from typing import Any

from hypothesis import strategies as st

from stream.wire import codec

STYLES = ("calm", "lively", "neutral", "no-such")
BAD = (float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e39, 1e-320, -0.0)

numbers = st.one_of(
    st.floats(-25, 25), st.sampled_from(BAD), st.integers(-(2**70), 2**70), st.floats()
)
"""Where a number is wanted."""
weights = st.one_of(
    st.floats().map(str), st.integers(0, 400).map(lambda n: "9" * n), st.text(max_size=4)
)
terms = st.builds(lambda name, weight: f"{name}*{weight}", st.sampled_from(STYLES), weights)
styles = st.one_of(
    st.sampled_from(STYLES),
    st.lists(terms, min_size=1, max_size=4).map("+".join),
    st.text(max_size=40),
)
"""A style's name, a mix, or neither."""
sounds = st.one_of(
    st.sampled_from([0.0, 0.3, 1.0]).map(lambda loud: [loud] * 3_000),
    st.lists(numbers.filter(lambda n: abs(n) < 3e38 or n != n), max_size=40).map(lambda x: x * 60),
    st.lists(st.floats(width=32), min_size=1, max_size=40).map(lambda x: x * 60),
)
"""Samples, of which some are none."""
shapes = st.one_of(
    st.lists(numbers, max_size=5), st.lists(st.floats(-25, 25), min_size=100, max_size=100)
)
anything = st.one_of(
    numbers, styles, shapes, st.none(), st.booleans(), st.dictionaries(st.text(max_size=3), numbers)
)


def _message(kind: str, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """A text of a kind, each of its values there or not, and of its own type or of any."""
    some = {name: st.one_of(value, value, value, anything) for name, value in values.items()}
    return st.fixed_dictionaries({}, optional=some).map(
        lambda found: json.dumps({"type": kind, **found})
    )


def _pcm(samples: list[float], whole: bool) -> bytes:
    if whole:
        body = b"".join(
            struct.pack("<h", int(max(-1.0, min(1.0, s)) * 32767) if s == s else 0) for s in samples
        )
        flag = int(codec.Flag.INT16)
    else:
        body = b"".join(_float32(sample) for sample in samples)
        flag = 0
    return codec.HEADER.pack(codec.MAGIC, 1, codec.Kind.PCM, flag, 0, 0, len(samples)) + body


def _float32(sample: float) -> bytes:
    try:
        return struct.pack("<f", sample)
    except OverflowError:
        return struct.pack("<f", float("inf"))


messages = st.one_of(
    _message("style", name=styles),
    _message("guidance", audio_guidance=numbers, style_guidance=numbers),
    _message("life", gaze=numbers),
    _message(
        "open",
        style=styles,
        seed=st.integers(-(2**70), 2**70),
        shape=shapes,
        pace=st.sampled_from(["fast", "live"]),
        alive=st.booleans(),
        audio_guidance=numbers,
        style_guidance=numbers,
        head=st.sampled_from(["", "../x"]),
    ),
    st.just('{"type":"open"}'),
    _message(
        "audio_format",
        sample_rate=st.sampled_from([8_000, 16_000, 44_100, 48_000, 47_975, 191_975, 0, -1]),
        channels=st.sampled_from([1, 2, 8, 0, -1, 2**40]),
    ),
    _message(
        "subscribe",
        set=st.sampled_from(["flame", "arkit52", "vertices", ""]),
        audio=st.booleans(),
        json=st.booleans(),
        ahead=st.booleans(),
    ),
    _message("interrupt", at=st.integers(-(2**70), 2**70)),
    _message("flush"),
    _message("close"),
    st.builds(_pcm, sounds, st.booleans()),
)
"""A message that a client can send."""
