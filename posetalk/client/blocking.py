"""The same client for programs without asyncio: it runs on a thread of its own."""

from __future__ import annotations

import ssl as tls
from collections.abc import Coroutine, Iterator
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from posetalk.client.asynchronous import AsyncClient, Samples
from posetalk.client.events import ClientEvent, ClientFrame
from posetalk.client.exchange import NOT_CONNECTED
from stream.frames import SAMPLE_RATE
from stream.wire import messages, session_messages
from viewer.client.errors import ConnectionFailed
from viewer.client.link import HELLO_SECONDS
from viewer.client.loop_thread import LoopThread

T = TypeVar("T")


class Client:
    """A client: `with posetalk.Client() as client: for frame in client.frames(): ...`

    Its methods are those of `AsyncClient`, and may be called from any thread. While one iterates,
    another may push sound.

    Args:
        url, set, audio, ahead, token, timeout, ssl, direct: as of `AsyncClient`.
    """

    def __init__(
        self,
        url: str = "ws://127.0.0.1:8765",
        *,
        set: str = messages.FLAME,
        audio: bool = False,
        ahead: bool = False,
        token: str | None = None,
        timeout: float = HELLO_SECONDS,
        ssl: tls.SSLContext | None = None,
        direct: bool = False,
    ) -> None:
        options: dict[str, Any] = {
            "set": set,
            "audio": audio,
            "ahead": ahead,
            "token": token,
            "timeout": timeout,
            "ssl": ssl,
            "direct": direct,
        }
        self._client = AsyncClient(url, **options)
        self.url = self._client.url
        self._thread: LoopThread | None = None

    def connect(self) -> Self:
        """Connect and subscribe; `with` does it.  Raises as `AsyncClient.connect`."""
        if self._thread is None:
            self._thread = LoopThread("posetalk-client")
        try:
            self._run(self._client.connect())
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Leave; a second call does nothing.

        What other threads still wait for ends in ConnectionFailed.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            with thread:
                thread.run(self._client.close())

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def hello(self) -> messages.Hello:
        """What the server said first."""
        return self._client.hello

    @property
    def faces(self) -> NDArray[np.uint32] | None:
        """(F, 3) triangles, soon after `vertices` were subscribed to."""
        return self._client.faces

    @property
    def dropped(self) -> int:
        """Events lost because nobody took them."""
        return self._client.dropped

    def events(self) -> Iterator[ClientEvent]:
        """Everything that arrives, in order; see `AsyncClient.events`."""
        while (event := self._run(self._client.next_event())) is not None:
            yield event

    def frames(self) -> Iterator[ClientFrame]:
        """The frames of motion alone; see `AsyncClient.frames`."""
        return (event for event in self.events() if isinstance(event, ClientFrame))

    def subscribe(
        self, set: str = messages.FLAME, *, audio: bool = False, ahead: bool = False
    ) -> None:
        """Get another set of channels from now on; raises RequestError `no_such_set`."""
        self._run(self._client.subscribe(set, audio=audio, ahead=ahead))

    def style(self, name: str) -> None:
        """Speak in a style of the hello's, or a mix; raises RequestError `no_such_style`."""
        self._run(self._client.style(name))

    def guidance(self, audio: float | None = None, style: float | None = None) -> None:
        """Follow the voice and the style so strongly (1 is as trained); raises RequestError."""
        self._run(self._client.guidance(audio, style))

    def life(self, gaze: float | None = None, still: bool | None = None) -> None:
        """Look around so much (0 at who watches, 1 as people do), be still or not; raises
        RequestError.
        """
        self._run(self._client.life(gaze, still))

    def interrupt(self, at: int | None = None) -> None:
        """Be silent now, or in one's own session from the sample `at` on."""
        self._run(self._client.interrupt(at))

    def push(self, samples: Samples, sample_rate: int = SAMPLE_RATE, *, wait: bool = True) -> None:
        """Have this sound spoken; see `AsyncClient.push`."""
        self._run(self._client.push(samples, sample_rate, wait=wait))

    def open(self, **options: Any) -> session_messages.Opened:
        """Get a session of one's own; see `AsyncClient.open`."""
        return self._run(self._client.open(**options))

    def flush(self) -> None:
        """The utterance is over: make its last frames now (one's own session)."""
        self._run(self._client.flush())

    def close_session(self) -> None:
        """End one's own session; the server's frames come again."""
        self._run(self._client.close_session())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this on the client's thread, and wait for it."""
        thread = self._thread
        if thread is None:
            work.close()
            raise ConnectionFailed(NOT_CONNECTED)
        return thread.run(work)
