"""Long work is told of in a line as soon as its length shows, on a terminal or not."""

from __future__ import annotations

import pytest

from posetalk.terminal import progress


@pytest.mark.parametrize(
    ("frames", "seconds", "left"),
    [
        (2, 3.0, None),  # too soon to tell
        (0, 30.0, None),
        (2, 12.0, 588.0),  # six seconds a frame
        (100, 600.0, None),  # done
    ],
)
def test_how_long_the_rest_takes(frames: int, seconds: float, left: float | None) -> None:
    assert progress.forecast(frames, 100, seconds) == left
    assert progress.forecast(frames, 0, seconds) is None, "nobody knows how much there is"


@pytest.mark.parametrize(("each", "lines"), [(6.0, 0), (24.0, 1)])
def test_it_is_said_once_and_of_long_work_only(
    each: float, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.frame_bar("a.wav", 100, advice="; a smaller --size is faster") as note:
        for frames in range(2, 100, 2):
            now[0] += 2 * each
            note(frames)
    said = capsys.readouterr().err
    assert said == "posetalk: a.wav: this takes about 39 min; a smaller --size is faster\n" * lines
