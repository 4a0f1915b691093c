"""What is shown while work goes on: on a terminal a bar, elsewhere nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from posetalk.terminal.console import say
from posetalk.terminal.interrupts import raise_if_interrupted

FORECAST_SECONDS = 10.0
"""So long is looked at work before it is told how long the rest takes."""
LONG_SECONDS = 600.0
"""Work that takes longer is told of in a line, on a terminal or not."""


def forecast(frames: int, total: int, seconds: float) -> float | None:
    """Seconds that the rest takes, after `frames` of `total` in `seconds`; None while unknown."""
    if seconds < FORECAST_SECONDS or not 0 < frames < total:
        return None
    return seconds * (total - frames) / frames


@contextlib.contextmanager
def frame_bar(
    label: str, total: int, fps: float = 25, *, advice: str = ""
) -> Iterator[Callable[[int], None]]:
    """A progress bar over `total` frames on standard error; yields what to tell the count to.

    Where the work turns out to be long, a line says so, with `advice`.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeLeft(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    started, told = time.monotonic(), False
    with bar:
        task = bar.add_task(label, total=total or None, speed="")

        def note(frames: int) -> None:
            nonlocal told
            raise_if_interrupted()
            seconds = max(time.monotonic() - started, 1e-3)
            left = None if told else forecast(frames, total, seconds)
            if left is not None:
                told = True
                if left > LONG_SECONDS:
                    say(f"{label}: this takes about {left / 60:.0f} min{advice}")
            bar.update(task, completed=frames, speed=f"{frames / fps / seconds:.1f}x real time")

        yield note


@contextlib.contextmanager
def working(label: str) -> Iterator[None]:
    """A spinner with `label` on standard error while the block runs."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(label):
        yield


@contextlib.contextmanager
def counted(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over things that are counted; yields what to tell (done, total) to."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
