"""The JSON schema of control messages: fresh, and true of the golden messages."""

from __future__ import annotations

import json
from typing import Any

import golden_wire
import pytest

from stream.wire import codec, session_messages
from stream.wire.schema import schema

SCHEMA = schema()
KINDS = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "null": type(None),
    "array": list,
    "object": dict,
}


def fits(value: Any, wanted: dict[str, Any]) -> bool:
    """As much of a validator as the schema uses."""
    if "anyOf" in wanted:
        return any(fits(value, choice) for choice in wanted["anyOf"])
    if "const" in wanted:
        return bool(value == wanted["const"])
    if not isinstance(value, KINDS[wanted["type"]]):
        return False
    if isinstance(value, bool) and wanted["type"] != "boolean":
        return False
    if isinstance(value, list):
        return len(value) <= wanted["maxItems"] and all(fits(v, wanted["items"]) for v in value)
    if "additionalProperties" in wanted:
        return all(fits(v, wanted["additionalProperties"]) for v in value.values())
    if "properties" in wanted:
        known = {name: v for name, v in value.items() if name in wanted["properties"]}
        return set(wanted["required"]) <= set(value) and all(
            fits(v, wanted["properties"][name]) for name, v in known.items()
        )
    return True


def test_the_file_is_todays() -> None:
    assert json.loads(golden_wire.SCHEMA_FILE.read_text("utf-8")) == SCHEMA, (
        "write it again: python tests/support/wire/golden_wire.py"
    )


@pytest.mark.parametrize("name", sorted(golden_wire.texts()))
def test_golden_messages_fit(name: str) -> None:
    told = json.loads(codec.serialise_text(golden_wire.texts()[name]))
    assert fits(told, SCHEMA["$defs"][told["type"]])


def test_what_the_codec_refuses_does_not_fit_either() -> None:
    for text in ('{"type":"style","name":3}', '{"type":"frame","set":"flame"}'):
        with pytest.raises(codec.WireError):
            codec.parse_text(text)
        told = json.loads(text)
        assert not fits(told, SCHEMA["$defs"][told["type"]])


def test_every_message_is_there() -> None:
    assert {"hello", "open", "error", "end"} <= set(SCHEMA["$defs"])
    assert SCHEMA["$defs"]["hello"]["required"] == ["type", "head", "channels"]
    assert session_messages.Style.TYPE in SCHEMA["$defs"]
