"""The one line that a running command keeps up to date on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream.frames import FRAME_SAMPLES

if TYPE_CHECKING:
    from stream.run.metrics import LiveStatistics
    from stream.serve.server_counts import ServerCounts
    from stream.sources import AudioSource

UPDATES_PER_SECOND = 4
RECENT_FRAMES = 250
"""Ten seconds: the latency shown is that of now, not of the start."""


@dataclass(frozen=True)
class StreamStatus:
    """What the line of `live` and `serve` is made of; all of it changes while the line is up."""

    statistics: LiveStatistics
    server: ServerCounts
    source: AudioSource

    def line(self) -> str:
        """The line as of now."""
        statistics = self.statistics
        latency = statistics.latency(last=RECENT_FRAMES)
        dropped = statistics.dropped // FRAME_SAMPLES + self.server.dropped
        return (
            f"latency p50 {latency.p50:3.0f} ms, p99 {latency.p99:3.0f} ms  "
            f"{statistics.level.text}  "
            f"frames {statistics.frames}  late {statistics.late}  dropped {dropped}  "
            f"viewers {self.server.clients}  {self.source.name}"
        )


@contextlib.contextmanager
def status_line(line: Callable[[], str]) -> Iterator[None]:
    """Show `line()` while the block runs; nothing where standard error is no terminal."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with Live(
        get_renderable=lambda: Text(line(), no_wrap=True, overflow="ellipsis"),
        console=console,
        refresh_per_second=UPDATES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
    ):
        yield
