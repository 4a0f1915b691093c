"""Everything between a source and its viewers, put together for `live` and `serve`."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from posetalk.app.settings.stream import StreamSettings
from posetalk.terminal.console import say
from posetalk.terminal.level_notices import LevelNotices
from posetalk.terminal.progress import working
from posetalk.terminal.status import StreamStatus, status_line
from stream.core.conditions import ConditionChange
from stream.wire import session_messages

if TYPE_CHECKING:
    from posetalk.app.viewer_process import Child
    from stream.core.session import Session
    from stream.run.live_loop import LiveLoop
    from stream.run.metrics import LiveStatistics
    from stream.run.push.loop import PushLoop
    from stream.run.sinks import FrameSink
    from stream.serve.server import Server
    from stream.sources import AudioSource

Loop: TypeAlias = "LiveLoop | PushLoop"

ADVICE_FRAMES = 250
"""Ten seconds: so much is measured before a delay is recommended."""
VIEWER_SECONDS = 60.0
"""How long the sound waits for our own viewer to be there; others may come and go."""


@dataclass(frozen=True)
class Ending:
    """How a run ended: what was measured, and the signal that ended it, 0 if none did."""

    statistics: LiveStatistics
    signal: int


def stream(
    settings: StreamSettings,
    session: Session,
    source: AudioSource,
    server: Server,
    viewer: Child | None = None,
    *,
    viewer_needed: bool = True,
    wait_for_page: bool = False,
) -> Ending:
    """Animate `source` and serve it until it ends, `--seconds` pass or somebody ends it.

    Args:
        settings, session, source, server: the server is started already.
        viewer: our own, if there is one; the sound waits for it to be there, and ends with it.
        viewer_needed: whether the run ends when the viewer fails.
        wait_for_page: whether the sound waits for somebody to look.

    Raises:
        OSError: the source broke; everything up to then has been sent.
    """
    from head.rig import load_head
    from stream.run.live_loop import LiveLoop, stop_on_ctrl_c, warm_up
    from stream.run.metrics import LiveStatistics
    from stream.run.push.loop import PushLoop
    from stream.senders import open_senders

    statistics = LiveStatistics()
    server.health.statistics = statistics
    head = load_head(session.head_id)
    with contextlib.ExitStack() as closing, stop_on_ctrl_c() as stop:
        with working("getting ready"):
            warm_up(session)  # while it is nobody else's
        senders = open_senders(
            head,
            livelink=settings.livelink,
            vmc=settings.vmc,
            livelink_fps=settings.livelink_fps,
            vmc_names=settings.vmc_names,
        )
        for sender in senders:
            closing.callback(lambda it: say(it.summary()), sender)
            closing.callback(sender.close)
            say("sending {} to {}:{}".format(sender.protocol, *sender.target))
        loop: Loop
        sinks: list[FrameSink] = [server, *senders]
        sinks.append(LevelNotices(statistics.level, server.level_changed))
        if settings.source == "push":
            loop = PushLoop(session, sinks, early=server, statistics=statistics)
        else:
            loop = LiveLoop(source, session, sinks, statistics=statistics)
        _obey_clients(server, loop, source)
        server.welcome()
        if viewer is not None:
            with working("getting ready"):
                _wait_for(viewer, stop)
        if wait_for_page:
            with working("waiting for the page to be opened"):
                while not server.counts.clients and not stop.wait(0.05):
                    pass
        ended = threading.Event()

        def watch() -> None:
            while viewer is not None and not ended.wait(0.2):
                if viewer.failed and not viewer_needed:
                    say(f"the viewer failed: {viewer.last_words}; going on without it")
                    return
                if viewer.gone:
                    stop.set()
                    return

        def advise() -> None:
            while not ended.wait(0.5):
                if statistics.frames >= ADVICE_FRAMES:
                    say(delay_advice(statistics))
                    return

        watchers = [threading.Thread(target=watch, name="viewer", daemon=True)]
        if source.realtime:
            watchers.append(threading.Thread(target=advise, name="advice", daemon=True))
        for watcher in watchers:
            watcher.start()
        try:
            with status_line(StreamStatus(statistics, server.counts, source).line):
                loop.run(stop=stop, seconds=settings.seconds)
        finally:
            ended.set()
            for watcher in watchers:
                watcher.join()
        return Ending(statistics, stop.signal)


def _obey_clients(server: Server, loop: Loop, source: AudioSource) -> None:
    """Let clients interrupt, change the style, and push sound where it is the source."""
    from stream.run.push.loop import PushLoop
    from stream.sources.pushed import PushedSource
    from stream.sources.returning import ReturningSource

    def change(request: session_messages.Condition) -> None:
        loop.change(ConditionChange(**request.asked()))
        server.changed(request.of(loop.conditions))

    server.controls.interrupt = loop.interrupt
    server.controls.change = change
    server.changed(session_messages.Guidance.of(loop.conditions))
    server.changed(session_messages.Life.of(loop.conditions))
    server.name_source(source.kind)
    if not isinstance(source, ReturningSource):
        server.offer_sound()  # a microphone's would come back to it
    if isinstance(loop, PushLoop):
        server.controls.push, server.controls.fits = loop.push, loop.fits
        server.controls.sends_early = True
    elif isinstance(source, PushedSource):
        server.controls.push = source.push
    elif isinstance(source, ReturningSource):
        source.on_change = server.source_changed


def _wait_for(viewer: Child, stop: threading.Event) -> None:
    """Wait until our viewer draws, or has ended instead."""
    until = time.monotonic() + VIEWER_SECONDS
    while not (viewer.ready or viewer.gone) and time.monotonic() < until:
        if stop.wait(0.02):
            return


def delay_advice(statistics: LiveStatistics) -> str:
    """What a streaming program must be told, so that sound and face go together."""
    late = statistics.latency(last=ADVICE_FRAMES).p99
    return (
        f"in a streaming program, delay the sound by {math.ceil(late / 10) * 10} ms: "
        "by then 99 % of the frames are out"
    )


def summary(statistics: LiveStatistics) -> str:
    """One line on a run that is over."""
    latency = statistics.latency()
    return (
        f"{statistics.frames} frames of {statistics.audio_seconds:.1f} s; "
        f"latency p50 {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms; "
        f"late {statistics.late}, dropped {_dropped_frames(statistics)}"
    )


def _dropped_frames(statistics: LiveStatistics) -> str:
    return f"{statistics.dropped / 16:.0f} ms" if statistics.dropped else "0"
