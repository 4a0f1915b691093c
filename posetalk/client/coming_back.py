"""How a client that has lost its server goes on with its session on another one."""

from __future__ import annotations

import asyncio
import ssl as tls
import time
from dataclasses import dataclass

from posetalk.client.events import Reading, RequestError
from posetalk.client.kept import KeptSession
from stream.wire import codec, messages, session_messages
from viewer.client.errors import PASSING, Busy, ConnectionFailed
from viewer.client.link import Link
from viewer.client.retries import Retries

GIVE_UP_SECONDS = 30.0
"""After which a session that nobody takes is over."""
SILENCE_SECONDS = 1.2
"""A server that answers no ping for so long is gone, though its machine has not said so."""
PING_SECONDS = 0.4
LAST_WAIT_SECONDS = 0.5
"""Between two tries: who is speaking cannot wait for long."""


@dataclass(frozen=True)
class ServerAddress:
    """Where to connect, and how.

    Attributes:
        url, token, ssl: of the deployment.
        timeout: seconds that an answer may take.
        is_direct: ask at `/direct` for the address of a replica, and go there.
    """

    url: str
    token: str | None
    ssl: tls.SSLContext | None
    timeout: float
    is_direct: bool = False

    async def connect(self) -> Link:
        """A link to a server that has said hello; raises as `Link.open`."""
        if not self.is_direct:
            return await Link.open(self.url, self.token, self.timeout, self.ssl)
        return await Link.open_direct(self.url, self.token, self.timeout, self.ssl)


async def come_back(
    kept: KeptSession, place: ServerAddress, subscribe: messages.Subscribe, number: int
) -> tuple[Link, Reading, session_messages.Opened]:
    """Connect, and go on with the session; what was pushed and not placed is pushed again.

    Args:
        kept: the session.
        subscribe: what is to be sent.
        number: of the first message of sound on the new link.

    Raises:
        ConnectionFailed: nobody took it in GIVE_UP_SECONDS; the line says where it was tried.
        RequestError: it cannot be gone on with.
        Refused, VersionMismatch, ClientError: as `Link.open`, where trying again is of no use.
    """
    until, retries = time.monotonic() + GIVE_UP_SECONDS, Retries()
    last: Exception | None = None
    while time.monotonic() < until:
        await asyncio.sleep(min(retries.wait(), LAST_WAIT_SECONDS))
        try:
            link = await place.connect()
        except PASSING as error:
            last = error
            continue
        try:
            reading = Reading(link.hello)
            opened = await _resume(link, reading, kept, subscribe, number, place.timeout)
            return link, reading, opened
        except PASSING as error:
            last = error
            await link.close()
        except BaseException:
            await link.close()
            raise
    raise ConnectionFailed(
        f"the session was lost: {last}. If {place.url} is a node that has gone, connect by the "
        "address of the deployment"
    )


async def _resume(
    link: Link,
    reading: Reading,
    kept: KeptSession,
    subscribe: messages.Subscribe,
    number: int,
    timeout: float,
) -> session_messages.Opened:
    await link.send(codec.serialise_text(subscribe))
    for message in kept.resume(number):
        await link.send(message)
    number += kept.pieces
    try:
        async with asyncio.timeout(timeout):
            while True:
                event = reading.event(await link.receive())
                match event:
                    case session_messages.Opened():
                        break
                    case messages.Error("capacity", sentence):
                        raise Busy(sentence)
                    case messages.Error(code, sentence):
                        raise RequestError(code, sentence)
    except TimeoutError:
        raise ConnectionFailed(f"{link.url} does not answer") from None
    assert isinstance(event, session_messages.Opened)
    kept.ticket = event.ticket or kept.ticket
    waiting = list(kept.waiting.values())
    kept.waiting.clear()
    for place, samples in enumerate(waiting, number):
        kept.pushed(place, samples)
        await link.send(codec.serialise(codec.Message(codec.Kind.PCM, place, 0, samples)))
    return event
