"""`--log-json`: every line on standard error is a JSON object, whatever is told."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from cli import finish, start, wait_for_line

SERVE = ("serve", "--source", "push", "--backend", "fake", "--port", "0", "--log-json")


def _told(messages: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in messages.splitlines()]


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_a_run_is_told_as_json(debug: tuple[str, ...], tmp_path: Path) -> None:
    code, _, messages = finish(start(*SERVE, "--seconds", "0.4", *debug, cwd=tmp_path), 200)
    lines = _told(messages)
    assert code == 0 and all(set(line) >= {"time", "level", "from", "message"} for line in lines)
    said = [line["message"] for line in lines]
    assert said[-1].startswith("10 frames") and any("serving at ws://" in line for line in said)
    assert ("debug" in {line["level"] for line in lines}) is bool(debug)


def test_what_is_wrong_is_told_as_json(tmp_path: Path) -> None:
    code, _, messages = finish(start(*SERVE, "--device", "x", cwd=tmp_path), 200)
    assert code == 2 and "--device goes with" in _told(messages)[-1]["message"]


def test_an_interruption_is_told_as_json(tmp_path: Path) -> None:
    process = start(*SERVE, cwd=tmp_path)
    first = wait_for_line(process, "serving at")
    process.send_signal(signal.SIGTERM)
    code, _, messages = finish(process, 200)
    assert code == 143 and _told(first + messages)
