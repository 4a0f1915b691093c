"""A model's configuration from JSON, judged before anything is made of it."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

from head.errors import PosetalkError
from head.files.json_file import parse_json

FORMER_LIVE_KEYS = {
    "gaze_frames": "gaze_time_constant_frames",
    "stare_frames": "max_blink_interval_frames",
}
"""Keys of `live` in the configurations of older bundles, which stay readable."""


class SpecError(PosetalkError, ValueError):
    """A configuration that no model can have; the message is one line."""


def build(cls: type, text: str) -> object:
    """A dataclass of dataclasses and numbers from JSON; what is left out has its default.

    Raises:
        SpecError: not JSON, an unknown key, a key under its former name and today's, or a value of
            the wrong type or of a size that no model has.
    """
    try:
        data = parse_json(text)
    except ValueError as error:
        raise SpecError(f"the model configuration is not JSON: {error}") from None
    return _built(cls, _renamed(data), "model")


def _renamed(data: Any) -> Any:
    """Parsed JSON of a model with today's names for `FORMER_LIVE_KEYS`."""
    if not isinstance(data, dict) or not isinstance(data.get("live"), dict):
        return data
    live = data["live"]
    for former, name in FORMER_LIVE_KEYS.items():
        if former in live and name in live:
            raise SpecError(f"model.live: {former} is the former name of {name}; give one of them")
    return data | {"live": {FORMER_LIVE_KEYS.get(name, name): live[name] for name in live}}


_MOST = {"sample_rate_hz": 192_000, "n_layers": 100, "n_heads": 256, "mlp_ratio": 64}
"""Beyond these, and beyond `_MOST_ELSE`, a file is not believed, whatever else it holds."""
_MOST_ELSE = 1 << 14
_AT_LEAST_ONE = frozenset(
    [
        "sample_rate_hz",
        "fps",
        "T_w",
        "n_heads",
        "d_model",
        "d_style",
        "d_out",
        "d_hidden",
        "d_conv",
        "n_mels",
        "hop",
        "steps",
    ]
)


def _built(cls: type, data: Any, where: str) -> object:
    """Build dataclass `cls` from parsed JSON; unknown keys and wrong types are errors."""
    if not isinstance(data, dict):
        raise SpecError(f"{where}: expected an object, got {type(data).__name__}")
    hints = get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise SpecError(f"{where}: unknown keys {', '.join(unknown)[:80]}")
    values: dict[str, object] = {}
    for name, value in data.items():
        kind = hints[name]
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            values[name] = _built(kind, value, f"{where}.{name}")
        elif _fits(kind, value):
            values[name] = float(value) if kind is float else value
            _check_size(f"{where}.{name}", name, value)
        else:
            raise SpecError(f"{where}.{name}: {_short(value)} does not fit {kind}")
    return cls(**values)


def _check_size(where: str, name: str, value: Any) -> None:
    """Refuse numbers that no model has, before anything is made of their size."""
    if type(value) is int:
        least, most = int(name in _AT_LEAST_ONE), _MOST.get(name, _MOST_ELSE)
        if not least <= value <= most:
            raise SpecError(f"{where}: {_short(value)} is not between {least} and {most}")
    elif isinstance(value, float) and not abs(value) <= 1e6:
        raise SpecError(f"{where}: {value} is no number of a model")


def _short(value: object) -> str:
    """A stranger's value in a few letters."""
    simple = isinstance(value, bool | float | str | None) or (
        isinstance(value, int) and abs(value) < 1 << 64
    )
    return repr(value)[:60] if simple else f"a value of type {type(value).__name__}"


def _fits(kind: Any, value: object) -> bool:
    """Whether a JSON value is one of the annotated type's values."""
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        return value in choices
    if choices:
        return any(_fits(choice, value) for choice in choices)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is type(None):
        return value is None
    return isinstance(value, kind)
