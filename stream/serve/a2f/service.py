"""The call itself: a header, sound, the end of sound; names, frames, a status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from head.errors import PosetalkError, WrongValue
from head.model import Head
from stream.run.push.factory import SessionFactory
from stream.serve.a2f import messages
from stream.serve.a2f.admission import CallRefused, Door
from stream.serve.a2f.animation import Animation
from stream.serve.a2f.clip import SpeechClip
from stream.serve.a2f.shaping import named
from stream.serve.client.pushed_audio import Filters
from stream.serve.door.peers import Peer
from stream.serve.limits import Limits
from stream.serve.server_counts import ServerCounts
from stream.wire.session_messages import Open

log = logging.getLogger(__name__)

HEADER_SECONDS = 10.0
"""After which a call without a header ends."""
IDLE_SECONDS = 60.0
"""Between two messages of a clip."""


@dataclass(eq=False)
class Fault(PosetalkError):
    """A call that ends badly: gRPC's status by name, and a sentence for the client."""

    code: str
    sentence: str


@dataclass
class ServiceContext:
    """What every call needs of its server.

    Attributes:
        factory: opens sessions.
        head: that they move.
        door: who may come in.
        filters: resampling, beside the event loop.
        limits: what is taken from clients.
        counts: where to count.
        read_timeout: seconds after which a client that does not read is let go.
    """

    factory: SessionFactory
    head: Head
    door: Door
    filters: Filters
    limits: Limits
    read_timeout: float = 10.0
    counts: ServerCounts = field(default_factory=ServerCounts)


class Service(messages.ServicerBase):
    """NVIDIA's `A2FControllerService`."""

    def __init__(self, host: ServiceContext) -> None:
        self._host = host

    async def ProcessAudioStream(self, requests: AsyncIterator[Any], context: Any) -> None:
        """One clip, or a stream of speech for as long as it lasts."""
        host = self._host
        try:
            with host.door.enter(context.peer(), context.invocation_metadata()) as peer:
                host.counts.clients = host.door.calls
                await Call(host, requests, context, peer).run()
        except CallRefused as refused:
            host.counts.refuse(refused.reason)
            await context.abort(grpc.StatusCode[refused.code], refused.sentence)
        except Fault as fault:
            host.counts.refuse(fault.code.lower())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await context.write(messages.status_message("ERROR", fault.sentence))
            await context.abort(grpc.StatusCode[fault.code], fault.sentence)
        finally:
            host.counts.clients = host.door.calls


class Call:
    """One call, from its header to its status.

    Args:
        host: of the server.
        requests: what the client sends.
        context: gRPC's.
        peer: where it comes from.
    """

    def __init__(
        self, host: ServiceContext, requests: AsyncIterator[Any], context: Any, peer: Peer
    ) -> None:
        self._host, self._context, self._peer = host, context, peer
        self._requests = requests.__aiter__()
        self._said: set[str] = set()
        self._writing = asyncio.Lock()  # gRPC takes one message at a time

    async def run(self) -> None:
        """Animate it.

        Raises:
            Fault: why it ends before its end.
        """
        header = await self._header()
        if self._peer.sessions >= self._peer.most_sessions:
            raise Fault("RESOURCE_EXHAUSTED", "this address has its share of the sessions")
        animation = await self._open(header)
        self._peer.sessions += 1
        self._host.counts.sessions += 1
        try:
            first = messages.header_message(header.rate, header.channels, time.time())
            await self._write(first)
            await self._warn(header.ignored)
            async with asyncio.timeout(self._host.limits.session_seconds):
                await self._animate(animation, header)
        except TimeoutError:
            raise Fault("DEADLINE_EXCEEDED", "this stream has lasted too long") from None
        finally:
            animation.close()
            self._peer.sessions -= 1
            self._host.counts.sessions -= 1

    async def _header(self) -> messages.Header:
        request = await self._next(HEADER_SECONDS)
        if request is None or request.WhichOneof("stream_part") != "audio_stream_header":
            raise Fault("INVALID_ARGUMENT", "the first message must be audio_stream_header")
        try:
            return messages.read_header(request.audio_stream_header)
        except ValueError as error:
            raise Fault("INVALID_ARGUMENT", str(error)) from None

    async def _open(self, header: messages.Header) -> Animation:
        host = self._host
        made = await host.filters.of(header.rate)
        if made is None:
            raise Fault(
                "RESOURCE_EXHAUSTED", "too many unusual sample rates are in use: send 16000 Hz"
            )
        clip = SpeechClip(header.rate, header.channels, made)
        loop = asyncio.get_running_loop()
        scheduler = await loop.run_in_executor(None, host.factory.start)
        try:
            return Animation(
                scheduler,
                host.factory.session(Open()),
                host.head,
                clip,
                header.shape,
                header.mix,
                host.filters.worker,
            )
        except RuntimeError as error:  # stream.run.scheduler.CapacityError
            raise Fault("RESOURCE_EXHAUSTED", str(error)) from None

    async def _animate(self, animation: Animation, header: messages.Header) -> None:
        """Read and write at once; the one that fails ends the other."""
        reading = asyncio.create_task(self._read(animation, header))
        writing = asyncio.create_task(self._send(animation))
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (reading, writing):
                if task.done():
                    task.result()
        finally:
            async with self._writing:  # a message that is cut while gRPC has it blocks all others
                for task in (reading, writing):
                    task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
        ended = reading.result()
        await self._write(messages.end_message())
        code = "SUCCESS" if ended else "WARNING"
        sentence = "all frames were sent" + ("" if ended else "; no end_of_audio came")
        await self._write(messages.status_message(code, sentence))

    async def _read(self, animation: Animation, header: messages.Header) -> bool:
        """Take in what the client sends; whether its end was announced."""
        try:
            await self._warn_of(animation.feel(0.0, dict(header.beginning), named=False))
            heard = False
            while (request := await self._next(IDLE_SECONDS)) is not None:
                part = request.WhichOneof("stream_part")
                if part == "end_of_audio":
                    break
                if part != "audio_with_emotion":
                    raise WrongValue("after the header come audio_with_emotion and end_of_audio")
                audio = request.audio_with_emotion
                for seconds, emotions in messages.read_emotions(audio):
                    await self._warn_of(animation.feel(seconds, emotions))
                heard = heard or bool(audio.audio_buffer)
                await animation.hear(audio.audio_buffer)
            if not heard:
                raise WrongValue("no sound came before the end of the stream")
            await animation.finish()
        except ValueError as error:
            if animation.error is not None:
                return False  # the writer says so
            if animation.ended:
                raise Fault("UNAVAILABLE", "this server is shutting down") from None
            raise Fault("INVALID_ARGUMENT", str(error)) from None
        return request is not None

    async def _send(self, animation: Animation) -> None:
        """Send frames until there are no more."""
        try:
            while frames := await animation.next():
                for frame in frames:
                    made = messages.frame_message(frame.seconds, frame.weights, frame.sound)
                    await self._write(made)
                self._host.counts.session_sent += len(frames)
                animation.sent(len(frames))
        except (Fault, asyncio.CancelledError):
            raise
        except Exception as error:
            log.error("a session ended: %s", error)
            raise Fault("INTERNAL", "the session failed") from None

    async def _next(self, seconds: float) -> Any:
        """The client's next message; None: it has ended its side."""
        try:
            async with asyncio.timeout(seconds):
                return await anext(self._requests)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise Fault("DEADLINE_EXCEEDED", f"nothing came for {seconds:g} s") from None

    async def _write(self, message: Any) -> None:
        try:
            async with self._writing, asyncio.timeout(self._host.read_timeout):
                await self._context.write(message)
        except TimeoutError:
            self._host.counts.let_go += 1
            raise Fault("DEADLINE_EXCEEDED", "this client does not read") from None

    async def _warn(self, ignored: tuple[str, ...]) -> None:
        """Name parameters that mean nothing here, once."""
        if ignored:
            sentence = f"ignored, as they mean nothing here: {named(ignored)}"
            await self._write(messages.status_message("WARNING", sentence))

    async def _warn_of(self, emotions: list[str]) -> None:
        """Name emotions that no style here shows, each once."""
        fresh = [name for name in emotions if name not in self._said]
        if fresh and len(self._said) < 100:
            self._said.update(fresh)
            sentence = f"no style here shows: {named(fresh)}"
            await self._write(messages.status_message("WARNING", sentence))
