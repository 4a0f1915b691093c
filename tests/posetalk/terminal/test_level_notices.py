"""Viewers hear of the level when it changes; the terminal once, when it is not well."""

from __future__ import annotations

import numpy as np
import pytest

from posetalk.terminal.level_notices import LevelNotices
from stream.run.input_level import InputLevel
from stream.wire import messages


def play(level: InputLevel, notices: LevelNotices, samples: np.ndarray, start: int = 0) -> int:
    for at in range(0, len(samples), 640):
        block = samples[at : at + 640]
        level.hear(block)
        notices.on_audio(start + at, block)
    return start + len(samples)


def words(seconds: int, loud: float) -> np.ndarray:
    made = np.random.default_rng(0).standard_normal((25 * seconds, 640))
    made *= np.where(np.arange(25 * seconds) % 11 < 8, loud, 1e-5)[:, None]
    return np.clip(made, -1.0, 1.0).astype(np.float32).reshape(-1)


def test_changes_are_told_at_most_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[messages.Level] = []
    level = InputLevel()
    notices = LevelNotices(level, told.append)
    end = play(level, notices, words(6, 0.05))
    assert 1 <= len(told) <= 6 and told[-1].state == "ok"
    assert told[-1].decibels == pytest.approx(-26.0, abs=1.5)
    many = len(told)
    end = play(level, notices, words(6, 3.0), end)
    assert told[many].state == "clips"
    play(level, notices, words(6, 3.0), end)
    assert capsys.readouterr().err.count("turn the microphone down") == 1


def test_low_speech_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[messages.Level] = []
    level = InputLevel()
    play(level, LevelNotices(level, told.append), words(20, 0.0012))
    assert told[-1].state == "low"
    assert capsys.readouterr().err.count("turn the microphone up") == 1
