from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import golden_wire
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.wire import codec, messages
from stream.wire.codec import Flag, Kind, Message, WireError

ROOT = Path(__file__).resolve().parents[3]
FILES = golden_wire.golden()
MANIFEST = json.loads((golden_wire.FOLDER / "manifest.json").read_text())
text = st.text('ab\u00e9\u2603\0"{}[],:01.-', max_size=60)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("name", sorted(FILES))
def test_golden_bytes_are_still_written(name: str) -> None:
    assert (golden_wire.FOLDER / name).read_bytes() == FILES[name]


def test_every_golden_file_is_in_the_manifest() -> None:
    on_disk = {path.name for path in golden_wire.FOLDER.iterdir()} - {"manifest.json"}
    assert on_disk == set(MANIFEST)


@pytest.mark.parametrize("name", sorted(MANIFEST))
def test_golden_bytes_are_read_as_the_manifest_says(name: str) -> None:
    data, expected = (golden_wire.FOLDER / name).read_bytes(), MANIFEST[name]
    is_text = name.endswith(".json")
    read = (lambda: codec.parse_text(data.decode())) if is_text else (lambda: codec.parse(data))
    if "error" in expected:
        with pytest.raises(WireError) as raised:
            read()
        assert raised.value.code == expected["error"]
        assert "\n" not in str(raised.value)
    elif "skip" in expected:
        message = read()
        assert isinstance(message, messages.Unknown) or message.kind not in list(Kind)
    elif "text" in expected:
        assert json.loads(codec.serialise_text(read())) == expected["text"]
    else:
        message = read()
        assert (message.kind, message.flags) == (expected["type"], expected["flags"])
        assert (message.sequence, message.sample) == (expected["sequence"], expected["sample"])
        assert message.payload.tolist() == expected["values"]


def test_header_is_laid_out_as_the_page_says() -> None:
    data = codec.serialise(Message(Kind.ARKIT52, 5, 3200, np.float32([1.0])))
    assert len(data) == 28
    assert data[:4] == b"PTK1"
    assert struct.unpack_from("<BBHIqI", data, 4) == (1, 2, 0, 5, 3200, 1)
    assert data[24:] == struct.pack("<f", 1.0)


@given(
    st.sampled_from([Kind.FLAME, Kind.ARKIT52, Kind.VERTICES, Kind.PCM]),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.lists(finite, max_size=70),
)
def test_round_trip(kind: Kind, sequence: int, sample: int, values: list[float]) -> None:
    message = codec.parse(codec.serialise(Message(kind, sequence, sample, np.float32(values))))
    assert (message.kind, message.sequence, message.sample) == (kind, sequence, sample)
    assert message.payload.tobytes() == np.float32(values).tobytes()


@given(st.lists(st.integers(-(2**15), 2**15 - 1), max_size=70))
def test_round_trip_int16(values: list[int]) -> None:
    message = codec.parse(codec.serialise(Message(Kind.PCM, 0, 0, np.int16(values), Flag.INT16)))
    assert message.payload.tolist() == values


def test_sequence_wraps_after_five_years_at_25_frames() -> None:
    assert codec.parse(codec.serialise(Message(Kind.PCM, 2**32 + 3, 0, np.zeros(0)))).sequence == 3


@settings(max_examples=300)
@given(st.sampled_from(sorted(n for n in FILES if n.endswith(".bin"))), st.data())
def test_mutated_bytes_give_a_message_or_a_wire_error(name: str, data: st.DataObject) -> None:
    mutated = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        if mutated:
            mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    try:
        message = codec.parse(bytes(mutated[:cut]))
    except WireError as error:
        assert "\n" not in str(error) and len(str(error)) < 120
    else:
        assert cut >= codec.HEADER.size
        if message.kind in (Kind.FLAME, Kind.ARKIT52, Kind.VERTICES):
            assert np.isfinite(message.payload).all()


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        codec.parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner),
    max_leaves=6,
)
field_names = st.sampled_from(
    [
        "protocol",
        "set",
        "audio",
        "json",
        "head",
        "channels",
        "shape",
        "id",
        "time",
        "name",
        "sample_rate",
        "code",
        "message",
        "values",
        "frames",
        "start_time",
    ]
)


@settings(max_examples=300)
@given(
    st.sampled_from(["hello", "subscribe", "ping", "style", "audio_format", "error", "frame"]),
    st.dictionaries(field_names, json_values, max_size=5),
)
def test_any_json_gives_a_message_or_a_wire_error(kind: str, values: dict[str, object]) -> None:
    try:
        message = codec.parse_text(json.dumps({"type": kind, **values}))
    except WireError as error:
        assert "\n" not in str(error)
    else:
        assert codec.parse_text(codec.serialise_text(message)) == message


@given(text)
def test_any_text_is_refused(data: str) -> None:
    with pytest.raises(WireError):
        codec.parse_text(data)


def test_nesting_bombs_are_refused() -> None:
    with pytest.raises(WireError):
        codec.parse_text("[" * 200_000)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "true", '"1"', str(10**400)])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    with pytest.raises(WireError):
        codec.parse_text(f'{{"type":"pong","id":1,"time":{number}}}')


def test_version_is_said_first() -> None:
    with pytest.raises(codec.VersionError, match="speaks protocol 2, this side 1"):
        codec.parse_text('{"type":"hello","protocol":2,"head":[],"future":{}}')


def test_unknown_keys_are_ignored() -> None:
    assert codec.parse_text('{"type":"ping","id":4,"mood":"good"}') == messages.Ping(4)


def test_not_a_number_cannot_be_sent() -> None:
    with pytest.raises(ValueError):
        codec.serialise_text(messages.Pong(0, math.nan))


def test_the_live_loop_imports_nothing_heavy() -> None:
    program = (
        "import sys, stream.run.live_loop, stream.sources.microphone, stream.sources.file\n"
        "heavy = {'torch', 'transformers', 'websockets', 'sounddevice', 'soundfile'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("[]\n", "")
