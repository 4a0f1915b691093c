"""The websocket server: many viewers, none of which can slow the others or the session down.

Its event loop has a thread of its own; `on_frame` and its siblings may be called from any thread
and only leave a note there.
"""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from stream.clock import Clock, MonotonicClock
from stream.frames import Frame
from stream.run.push.factory import SessionFactory
from stream.run.sinks import FrameTiming
from stream.serve.broadcast import Broadcast
from stream.serve.client.pushed_audio import Filters
from stream.serve.client_sessions import ClientSessions
from stream.serve.controls import StreamControls
from stream.serve.door.admission import Admission, Site
from stream.serve.door.auth import Gate, Refusal, check_door
from stream.serve.door.bridged import Arrived, BridgedSocket
from stream.serve.door.http_pages import Page
from stream.serve.door.origins import normal_origins
from stream.serve.door.sweeper import Sweeper, keep_returnable
from stream.serve.frame_encoder import Encoder
from stream.serve.limits import Limits
from stream.serve.listener import Listener, ListenSettings, ServerError, explain
from stream.serve.metrics import Health, reports
from stream.serve.requests import ClientRequests
from stream.serve.server_counts import ServerCounts
from stream.serve.server_loop import ServerLoop
from stream.serve.tickets import Signer
from stream.wire import messages, session_messages

__all__ = ["Server", "ServerError"]

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_SECONDS = 0.02
STOP_SECONDS = 0.8


class Server:
    """Serves one session's frames; a context manager and a `FrameSink`.

    Args:
        head: poses `vertices`, and maps to `arkit52`.
        hello: what clients are told first (`channel_sets.make_hello`).
        host: loopback by default; anything else needs a token.
        port: 0 takes a free one, see `port`.
        token: clients must bring it, as `?token=` or `Authorization: Bearer`; at least 16
            characters.
        operator_token: lets in as well, and to interrupt what other clients speak.
        origins: web pages, as `https://example.org`, that may connect besides those of this
            machine.
        ssl: a TLS context for wss://.
        read_timeout: seconds after which a viewer that does not read is let go.
        pages: what browsers get on the same port, by path.
        sessions: opens clients' own sessions; None: there are none.
        limits: what it takes from its clients.
        clock: the clock of the frames' timings.

    Attributes:
        controls: what clients may do to the stream; set before clients are greeted.
        counts: what it has done so far.
        health: what it tells those who watch over it.
        limits: what it takes from its clients.
        filters: of the sound that clients push.

    Raises:
        ServerError: a host that is not loopback, without a token; a token that does not protect; an
            origin or a port that cannot be; pages of every site, without a token.
    """

    def __init__(
        self,
        head: Head,
        hello: messages.Hello,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        token: str | None = None,
        operator_token: str | None = None,
        origins: Collection[str] = (),
        ssl: tls.SSLContext | None = None,
        read_timeout: float = 10.0,
        pages: Mapping[str, Page] | None = None,
        sessions: SessionFactory | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        try:
            check_door(host, token, operator_token, origins)
            known = normal_origins(origins)
        except ValueError as error:
            raise ServerError(str(error)) from None
        if not 0 <= port <= 65535:
            raise ServerError(f"port {port}: choose 0 to 65535 with --port")
        self.host, self.port = host, port
        self.counts = ServerCounts()
        self.controls = StreamControls()
        self._ssl = ssl
        self.limits = limits = limits or Limits()
        self._loop = ServerLoop(self._main, self._count_dropped)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        # By itself: no speech that somebody pushes may hold up the frames that others see.
        self._resampling = ThreadPoolExecutor(1, thread_name_prefix="resampling")
        self.health = Health(self.counts, limits.clients)
        encoder = Encoder(head, hello, self._worker)
        gate = Gate(token, known, operator_token)
        site = Site(pages or {}, reports(self.health), secure=ssl is not None)
        self._admission = Admission(gate, site, limits.clients)
        self._listener = Listener(
            ListenSettings(host, port, ssl, read_timeout), self._admission, self.counts, limits
        )
        self._broadcast = Broadcast(
            hello,
            encoder,
            self._listener.attendance.clients.keys(),
            self.counts,
            clock or MonotonicClock(),
            self.controls,
        )
        self._sessions = ClientSessions(
            sessions, head, encoder, self._broadcast, self.counts, self._loop.post, self._worker
        )
        self.health.models.append(self._sessions)
        self.filters = Filters(self._resampling)
        self._requests = ClientRequests(
            self.controls,
            self._sessions,
            self._broadcast,
            encoder,
            limits,
            self.health,
            self.filters,
        )
        self._stop = asyncio.Event()
        self._held = False
        self._sweeper = Sweeper(self.counts.gone, self._resampling)
        self._deadline = 0.0

    @property
    def encoder(self) -> Encoder:
        """Of the frames of its own stream, for clients that are still to come."""
        return self._requests.encoder

    @encoder.setter
    def encoder(self, encoder: Encoder) -> None:
        self._requests.encoder = encoder

    @property
    def factory(self) -> SessionFactory | None:
        """What opens clients' own sessions; None: there are none to be had."""
        return self._sessions.factory

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'wss' if self._ssl else 'ws'}://{self._authority}"

    @property
    def page_url(self) -> str:
        """Where browsers find the page."""
        return f"{'https' if self._ssl else 'http'}://{self._authority}/"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    # --- from any thread -----------------------------------------------------------------------
    def start(self) -> Self:
        """Listen; returns once clients can connect.

        Raises `ServerError` when the port is taken or the host is not of this machine.
        """
        keep_returnable()
        self._loop.start()
        if self._loop.failure is not None:
            raise ServerError(explain(self._loop.failure, self.host, self.port)) from None
        return self

    def hold(self) -> None:
        """Greet nobody until `welcome`: what clients may ask for is not known yet.

        To be called before `start`.
        """
        self._held = self.health.starting = True

    def welcome(self) -> None:
        """Greet those who wait, and all who come."""
        self._held = self.health.starting = False
        self._loop.post(self._listener.attendance.accepting.set)

    def on_frame(self, frame: Frame, timing: FrameTiming | None = None) -> None:
        """Give a frame to every viewer, without waiting."""
        self._loop.note(self._broadcast.frame, frame, timing)

    def on_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """Give the audio that the frames belong to, to the viewers that asked for it."""
        self._loop.note(self._broadcast.audio, start, samples)

    def on_early_frame(self, frame: Frame, timing: FrameTiming) -> None:
        """Give a frame that was made before its time to the viewers that want it so.

        The others get it by `on_frame`, when its time has come.
        """
        self._loop.note(self._broadcast.on_early_frame, frame, timing)

    def on_early_audio(self, start: int, samples: NDArray[np.float32]) -> None:
        """The audio that goes with it."""
        self._loop.note(self._broadcast.on_early_audio, start, samples)

    def on_interrupt(self, sample: int) -> None:
        """Tell the viewers that speech was cut at `sample`: what lies ahead is taken back."""
        self._loop.note(self._broadcast.cut, sample)

    def changed(self, condition: session_messages.Condition) -> None:
        """Tell the viewers, now and in later hellos, how it speaks."""
        self._broadcast.hello = replace(self._broadcast.hello, **condition.in_hello())
        self._loop.note(self._broadcast.text, condition)

    def name_source(self, source: str) -> None:
        """Tell the viewers in later hellos what drives the face: one of `messages.SOURCES`."""
        self._broadcast.hello = replace(self._broadcast.hello, source=source)

    def offer_sound(self) -> None:
        """Tell the viewers in later hellos that what is spoken may be played aloud."""
        self._broadcast.hello = replace(self._broadcast.hello, sound=True)

    def source_changed(self, lost: str) -> None:
        """Tell the viewers, and those who watch over the server, why there is silence; "": there
        is sound again.
        """
        self.health.source = lost
        told = messages.Source("lost", lost) if lost else messages.Source()
        self._loop.note(self._broadcast.text, told)

    def level_changed(self, level: messages.Level) -> None:
        """Tell the viewers, now and when they come, how loud the speech is that is heard."""
        self._broadcast.level = level
        self._loop.note(self._broadcast.text, level)

    def close(self, deadline: float = STOP_SECONDS) -> None:
        """Send what waits, say goodbye, stop; takes `deadline` seconds at most."""
        if self._loop.closed or not self._loop.has_begun:
            self._end_workers()
            return
        self._loop.closed = True
        self._deadline = deadline
        self._loop.post(self._begin_stop)
        if not self._loop.join(deadline + 1.0):
            log.warning("the websocket server did not stop within %.1f s", deadline + 1.0)
        self._sessions.end()
        self._end_workers()

    def _end_workers(self) -> None:
        for worker in (self._worker, self._resampling):
            worker.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def sign_tickets(self, key: bytes) -> None:
        """Give tickets to clients that ask for one, and take those that this key has signed.

        To be called before `start`.  `posetalk serve` does not: its sessions end with it.
        """
        self._sessions.signer = Signer(key)

    def let_in(self, clients: int, new_sessions: int, retry_seconds: float) -> None:
        """Let in so many clients, and give newcomers so many sessions; to be called before `start`.

        Who finds no place is told to try again after `retry_seconds`.
        """
        self.health.places = clients
        self._admission.most_clients = clients
        self._sessions.most_new, self._sessions.retry_seconds = new_sessions, retry_seconds

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._loop.is_running

    async def open_bridged(
        self, arrived: Arrived, wake: Callable[[], None]
    ) -> BridgedSocket | Refusal:
        """A place for a websocket that is accepted elsewhere; to be awaited by `run`."""
        return self._listener.open_bridged(arrived, wake)

    async def attend_bridged(
        self, socket: BridgedSocket, arrived: Arrived, *, held: bool = False
    ) -> None:
        """Serve who was let in until it is gone, or hold its place alone; awaited by `run`."""
        await self._listener.attend_bridged(socket, arrived, held)

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Do this in the server's event loop; from any thread, while it listens."""
        return self._loop.run(work)

    def _count_dropped(self) -> None:
        self.counts.dropped += 1

    # --- in the event loop ---------------------------------------------------------------------
    async def _main(self) -> None:
        await self._listener.listen(self._requests, self._serve)

    async def _serve(self, port: int) -> None:
        self.port = port
        if not self._held:
            self._listener.attendance.accepting.set()
        self._loop.begin()
        ticking = asyncio.create_task(self._keep_time())
        self.filters.prepare()
        await self._stop.wait()
        ticking.cancel()
        began = time.monotonic()
        await self._listener.attendance.drain(began + self._deadline / 2)
        left = began + self._deadline - time.monotonic()
        asyncio.get_running_loop().call_later(max(0.0, left), self._listener.cut_off)

    def _begin_stop(self) -> None:
        self.health.draining = True
        self._loop.read_notes()
        self._listener.attendance.accepting.set()
        for client in self._listener.attendance.clients:
            client.close_with(messages.End(frames=self.counts.sent))
        self._stop.set()

    async def _keep_time(self) -> None:
        """Let time pass in clients' own sessions."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._sessions.tick(self._requests.limits.session_seconds)
            self._listener.tick()
            self._sweeper.tick()
