"""The control messages as a JSON schema, for clients in other languages: `clients/messages.json`.

Made of `stream.wire.messages`, so that it cannot say anything else.  What is not in it (keys,
types of messages) is to be skipped by a reader.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from stream.wire.codec import MOST_ITEMS, Text
from stream.wire.messages import PROTOCOL

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def schema() -> dict[str, Any]:
    """Every control message of the protocol, under its `type`; draft 2020-12."""
    kinds = get_args(Text)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"posetalk, protocol {PROTOCOL}: control messages",
        "oneOf": [{"$ref": f"#/$defs/{kind.TYPE}"} for kind in kinds],
        "$defs": {kind.TYPE: _message(kind) for kind in kinds},
    }


def _message(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    values = {field.name: _value(hints[field.name]) for field in fields(kind)}
    needed = [
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": {"type": {"const": kind.TYPE}, **values},
        "required": ["type", *needed],
    }


def _value(hint: Any) -> dict[str, Any]:
    if isinstance(hint, UnionType):
        return {"anyOf": [_value(choice) for choice in get_args(hint)]}
    if get_origin(hint) is list:
        return {"type": "array", "items": _value(get_args(hint)[0]), "maxItems": MOST_ITEMS}
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _value(get_args(hint)[1])}
    return {"type": _PLAIN[hint]}
