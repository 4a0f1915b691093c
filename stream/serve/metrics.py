"""How a server does, for those who watch over it: Prometheus' text format, and whether it is well.

The only file that imports prometheus_client.
"""

from __future__ import annotations

import http
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stream.serve.door.http_pages import Report
from stream.serve.server_counts import ServerCounts

if TYPE_CHECKING:
    from stream.run.metrics import LiveStatistics

RECENT_FRAMES = 250
"""Ten seconds, of which ages and model times are told."""


class Model(Protocol):
    """What has outputs, and counts those that were no motion; read from any thread."""

    @property
    def broken_outputs(self) -> int: ...


@dataclass
class Health:
    """What is told of a server.

    Attributes:
        counts: of its clients.
        places, session_places: websockets and own sessions that there may be.
        statistics: of its own stream; None: it has none yet.
        source: what is wrong with what it hears; "": nothing.
        models: that count those of their outputs that were no motion and were replaced: of its own
            stream, and of clients' own sessions.
        starting: whether clients are not greeted yet; draining: whether it is ending.
        a2f: of the clients of its Audio2Face service; None: it has none.
    """

    counts: ServerCounts
    places: int
    session_places: int | None = None
    statistics: LiveStatistics | None = None
    source: str = ""
    models: list[Model] = field(default_factory=list)
    starting: bool = False
    draining: bool = False
    a2f: ServerCounts | None = None

    @property
    def unready(self) -> str:
        """Why a newcomer would not be taken in now, in a word; "": it would."""
        words = {
            "draining": self.draining,
            "starting": self.starting,
            "full": self.counts.clients >= self.places,
        }
        return next((word for word, is_so in words.items() if is_so), "")


def reports(health: Health) -> Mapping[str, Callable[[], Report]]:
    """The pages that tell of it, by path."""
    return {
        "/healthz": lambda: _told(http.HTTPStatus.OK, "ok", health),
        "/readyz": lambda: (
            _told(http.HTTPStatus.SERVICE_UNAVAILABLE, health.unready, health)
            if health.unready
            else _told(http.HTTPStatus.OK, "ready", health)
        ),
        "/metrics": lambda: _metrics(health),
    }


def _told(status: http.HTTPStatus, word: str, health: Health) -> Report:
    told = {
        "status": word,
        "clients": health.counts.clients,
        "sessions": health.counts.sessions,
        "source": health.source or "ok",
    }
    return Report(status, "application/json", json.dumps(told).encode() + b"\n")


def _metrics(health: Health) -> Report:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST
    from prometheus_client.registry import Collector

    class Told(Collector):
        def collect(self) -> Iterable[Any]:
            return _families(health)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Told())
    return Report(http.HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))


def _families(health: Health) -> Iterable[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    def gauge(name: str, text: str, value: float) -> Any:
        return GaugeMetricFamily(f"posetalk_{name}", text, value=value)

    def counter(name: str, text: str, value: float) -> Any:
        return CounterMetricFamily(f"posetalk_{name}", text, value=value)

    counts = health.counts
    yield gauge("places", "Websockets that there may be at once.", health.places)
    yield gauge("clients", "Websockets now.", counts.clients)
    if health.session_places is not None:
        yield gauge("session_places", "Own sessions of clients at once.", health.session_places)
    yield gauge("sessions", "Own sessions of clients now.", counts.sessions)
    yield counter("frames_sent", "Frames of the server's own stream.", counts.sent)
    yield counter("session_frames_sent", "Frames of clients' own sessions.", counts.session_sent)
    yield counter("frames_lost", "Frames that slow viewers missed.", counts.dropped)
    yield counter("let_go", "Viewers that stopped reading.", counts.let_go)
    yield counter("received_bytes", "Bytes that came in.", counts.bytes_in)
    yield counter("sent_bytes", "Bytes of messages that went out.", counts.bytes_out)
    refused = CounterMetricFamily(
        "posetalk_refused", "Clients and requests turned away.", labels=["reason"]
    )
    for reason, number in sorted(counts.refusals.items()):
        refused.add_metric([reason], number)
    yield refused
    declined = CounterMetricFamily(
        "posetalk_requests_refused",
        "What clients asked for and did not get, such as a session.",
        labels=["code"],
    )
    for code, number in sorted(counts.declined.items()):
        declined.add_metric([code], number)
    yield declined
    broken = sum(model.broken_outputs for model in health.models)
    yield counter("broken_outputs", "Outputs of the model that were not finite.", broken)
    yield gauge("source_ok", "Whether what is animated is heard.", float(not health.source))
    if health.a2f is not None:
        told = health.a2f
        yield gauge("a2f_streams", "Streams of Audio2Face clients now.", told.sessions)
        yield counter("a2f_frames_sent", "Frames sent to Audio2Face clients.", told.session_sent)
        yield counter("a2f_refused", "Calls of Audio2Face clients turned away.", told.refused)
        yield counter("a2f_let_go", "Audio2Face clients that stopped reading.", told.let_go)
    if health.statistics is not None:
        yield from _of_stream(health.statistics)


def _of_stream(statistics: LiveStatistics) -> Iterable[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield CounterMetricFamily(
        "posetalk_frames_late", "Frames whose model call began late.", value=statistics.late
    )
    level = statistics.level
    if level.decibels is not None:
        yield GaugeMetricFamily(
            "posetalk_speech_dbfs", "Level of the speech that is heard.", value=level.decibels
        )
    yield GaugeMetricFamily(
        "posetalk_speech_clips", "Whether it clips.", value=float(level.state == "clips")
    )
    age = statistics.latency(last=RECENT_FRAMES)
    model = statistics.stages()["model"]
    for name, text, spread in (
        ("frame_age_seconds", "From the middle of a frame's sound until it was sent.", age),
        ("model_seconds", "Speech encoder and sampler, of a frame.", model),
    ):
        family = GaugeMetricFamily(f"posetalk_{name}", text, labels=["quantile"])
        family.add_metric(["0.5"], spread.p50 / 1e3)
        family.add_metric(["0.99"], spread.p99 / 1e3)
        yield family
