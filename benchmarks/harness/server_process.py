"""What is measured, in a process of its own: source, live loop, session and server.

It is put together as `posetalk live` does it; `benchmarks.harness.probes` notes moments at its
seams.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.harness.probes import COLUMNS, Notebook, Now, TimedBackend, TimedEncoder
from benchmarks.harness.processes import BenchmarkError, answer, resident_mb
from benchmarks.harness.setting import Setting
from stream.frames import FPS

if TYPE_CHECKING:
    from posetalk.app.settings.model import ModelSettings
    from stream.audio import AudioSource
    from stream.backends.protocol import Backend
    from stream.core.options import SessionOptions
    from stream.core.session import Session
    from stream.serve.server import Server

CLIENT_SECONDS = 30.0


class OpenedModel(NamedTuple):
    """A session as a command opens it, and the options that it was given."""

    session: Session
    options: SessionOptions

    @property
    def backend(self) -> Backend:
        """What runs the model."""
        return self.session.backend


def model_settings(setting: Setting) -> ModelSettings:
    """What the commands would be told."""
    from posetalk.app.settings.model import ModelSettings

    return ModelSettings(
        bundle=setting.bundle,
        backend=setting.backend,  # type: ignore[arg-type]
        steps=setting.steps,
        hop=setting.hop,
        lookahead=setting.lookahead,
        # Graphs have theirs in them.
        precision=setting.precision if setting.backend == "torch" else None,  # type: ignore[arg-type]
        seed=setting.seed,
    )


def open_model(setting: Setting) -> OpenedModel:
    """The backend and the session options that the commands would have."""
    from posetalk.app.opening import open_session

    settings = model_settings(setting)
    return OpenedModel(open_session(settings), settings.live_options())


def open_timed(setting: Setting, now: Now) -> tuple[Session, TimedBackend]:
    """A session as the commands open it, whose model notes what it takes; its graphs of whole hops,
    where it has some, too."""
    from posetalk.app.opening import load_model
    from stream.core.device_session import make_session

    settings = model_settings(setting)
    backend, retarget = load_model(settings)
    timed = TimedBackend(backend, now)
    session = make_session(
        timed,
        options=settings.live_options(),
        style=settings.style,
        seed=settings.seed,
        retarget=retarget,
    )
    return session, timed


def run(setting: Setting) -> None:
    """Answer when ready (url, live settings, warm-up), when the clients are there, and at the end.

    Reads from standard input: `clients N` (wait until N are connected) and `go`.
    """
    from posetalk.app.serving import open_server
    from posetalk.app.settings.address import AddressSettings
    from posetalk.app.settings.stream import StreamSettings
    from stream.clock import MonotonicClock
    from stream.run.live_loop import LiveLoop, warm_up

    now = MonotonicClock().now
    began = now()
    session, timed = open_timed(setting, now)
    loaded = now()
    warm_up(session)
    warm = now()
    timed.take()  # of the warm-up
    notebook = Notebook(int(setting.seconds * FPS) + 1, timed)
    server = open_server(StreamSettings(address=AddressSettings(port=0)), session)
    server.encoder = TimedEncoder(server.encoder, notebook, now)  # type: ignore[assignment]
    gc.freeze()  # as warm_up does: what we added is out of the collector's sight too
    with server:
        answer(
            url=server.url,
            load_seconds=loaded - began,
            warm_up_seconds=warm - loaded,
            live=live_settings(session),
        )
        obey(server)
        source = open_source(setting)
        loop = LiveLoop(source, session, [server, notebook])
        memory, cpu, wall = resident_mb(), time.process_time(), now()
        statistics = loop.run(seconds=setting.seconds)
        cpu_share = (time.process_time() - cpu) / (now() - wall)
    answer(
        columns=COLUMNS,
        rows=notebook.rows.tolist(),
        source=source.name,
        device_latency=source.device_latency,
        audio_seconds=statistics.audio_seconds,
        sent=statistics.frames,
        late=statistics.late,
        merges=statistics.merges,
        samples_dropped=statistics.dropped,
        frames_dropped=server.counts.dropped,
        memory_mb=[memory, resident_mb()],
        cpu_share=cpu_share,
    )


def live_settings(session: Session) -> dict[str, Any]:
    """The set that every figure belongs to, and what ran it."""
    backend = session.backend
    return {
        "hop": session.hop,
        "lookahead": session.lookahead,
        "steps": session.steps,
        "window_rule": session.window_rule,
        "audio_guidance": session.audio_guidance,
        "style_guidance": session.style_guidance,
        "lip_noise": session.noise_strengths.lip,
        "head_noise": session.noise_strengths.head,
        "face_noise": session.noise_strengths.face,
        "style": session.style_name,
        "backend": backend.name,
        "precision": backend.precision,
        "device": backend.place,
        "bundle_hash": backend.bundle_hash,
    }


def obey(server: Server) -> None:
    """Read lines until `go`."""
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "go":
            return
        wanted, until = int(rest[0]), time.monotonic() + CLIENT_SECONDS
        while server.counts.clients < wanted:
            if time.monotonic() > until:
                raise BenchmarkError(f"{server.counts.clients} of {wanted} clients connected")
            time.sleep(0.02)
        answer(clients=server.counts.clients)
    raise BenchmarkError("the benchmark that started this is gone")


def open_source(setting: Setting) -> AudioSource:
    """The product's microphone, or its file source at the pace of time."""
    from posetalk import demo_speech
    from stream.sources.file import FileSource
    from stream.sources.microphone import Microphone

    return Microphone() if setting.source == "mic" else FileSource(demo_speech(), loop=True)


def main() -> int:
    """`python -m benchmarks.harness.server_process '{"backend": ..., ...}'`."""
    from posetalk.__main__ import explain

    try:
        run(Setting(**json.loads(sys.argv[1])))
    except Exception as error:
        answer(error=explain(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
