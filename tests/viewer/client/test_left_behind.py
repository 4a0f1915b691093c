"""Clients leave nothing behind: no open connection, and no task that its closed loop cannot end."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hung_server import HungServer
from patience import PATIENCE
from websockets.asyncio.client import ClientConnection

import posetalk
from head.rig import builtin_head
from posetalk.client import ConnectionFailed
from stream.serve.server import Server
from stream.wire import codec, messages
from stream.wire.channels import make_hello
from viewer.client.link import CLOSE_SECONDS, Link
from viewer.client.loop_thread import LoopThread
from viewer.client.watching import ClientThread, Ended, Restarted, ViewerClient

HEAD = builtin_head()
HELLO = codec.serialise_text(make_hello(HEAD))
END = codec.serialise_text(messages.End())


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What these tests are about, asked when each is over."""
    before = {id(link) for link in connections()}
    yield
    until(lambda: all(id(link) in before for link in connections()), "an open connection is left")
    assert not [task for task in tasks() if not task.done() and task.get_loop().is_closed()]


def connections() -> list[ClientConnection]:
    """Connections of this process that nobody has closed."""
    links = [it for it in gc.get_objects() if type(it) is ClientConnection]  # no proxies
    return [link for link in links if not link.connection_lost_waiter.done()]


def tasks() -> list[asyncio.Task[object]]:
    return [it for it in gc.get_objects() if type(it) is asyncio.Task]


def until(is_so: Callable[[], bool], complaint: str = "it never came to that") -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, complaint
        time.sleep(0.01)


def events_of(thread: ClientThread, kind: type) -> None:
    """Wait until an event of this kind has come."""
    until(lambda: any(isinstance(event, kind) for event in thread.take()))


# --- the viewer --------------------------------------------------------------------------------
def test_a_viewer_that_stops_while_it_says_goodbye_leaves_nothing() -> None:
    """The server has sent its last frame and hangs; the window is closed in that moment."""
    with HungServer(HELLO, END) as server, ClientThread(ViewerClient(server.url)) as thread:
        events_of(thread, Ended)


def test_a_server_that_hangs_holds_no_viewer_up() -> None:
    with HungServer(HELLO) as server:
        with ClientThread(ViewerClient(server.url)) as thread:
            events_of(thread, Restarted)
            began = time.monotonic()
        assert time.monotonic() - began < CLOSE_SECONDS + 2
        assert not thread.running


def test_a_viewer_that_stops_before_the_hello_leaves_nothing() -> None:
    with HungServer() as server, ClientThread(ViewerClient(server.url)):
        server.came.wait(PATIENCE)


# --- a program's client ------------------------------------------------------------------------
def test_closing_ends_what_another_thread_waits_for() -> None:
    with Server(HEAD, make_hello(HEAD), port=0) as server:
        client = posetalk.Client(server.url, set="").connect()
        ended: list[BaseException] = []

        def listen() -> None:
            try:
                for _ in client.events():
                    pass
            except ConnectionFailed as error:
                ended.append(error)

        listeners = [threading.Thread(target=listen) for _ in range(3)]
        for listener in listeners:
            listener.start()
        client.close()
        for listener in listeners:
            listener.join(PATIENCE)
        assert len(ended) == 3 and not any(listener.is_alive() for listener in listeners)


def test_closing_ends_a_connection_that_another_thread_is_making() -> None:
    with HungServer() as server:
        client = posetalk.Client(server.url, timeout=PATIENCE)
        failed: list[BaseException] = []

        def connect() -> None:
            try:
                client.connect()
            except ConnectionFailed as error:
                failed.append(error)

        maker = threading.Thread(target=connect)
        maker.start()
        assert server.came.wait(PATIENCE)
        client.close()
        maker.join(PATIENCE)
        assert len(failed) == 1 and not maker.is_alive()


def test_a_server_that_hangs_holds_no_client_up() -> None:
    with HungServer(HELLO) as server:
        client = posetalk.Client(server.url).connect()
        began = time.monotonic()
        client.close()
        assert time.monotonic() - began < CLOSE_SECONDS + 2


# --- on a program's own loop -------------------------------------------------------------------
@pytest.mark.parametrize("said", [(), (HELLO,)], ids=["before the hello", "after it"])
def test_a_cancelled_opening_closes_its_connection(said: tuple[str, ...]) -> None:
    """Cancelled twice: the second time while it says goodbye."""

    async def run(server: HungServer) -> None:
        client = posetalk.AsyncClient(server.url)
        opening = asyncio.create_task(client.connect())
        await asyncio.to_thread(server.came.wait, PATIENCE)
        for _ in range(2):
            opening.cancel()
            await asyncio.sleep(0.1)
        with suppress(asyncio.CancelledError):
            await opening
            await client.close()

    with HungServer(*said) as server:
        loop = asyncio.new_event_loop()  # which cancels nothing by itself, unlike asyncio.run
        loop.run_until_complete(run(server))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_a_cancelled_goodbye_is_none() -> None:
    async def run(server: HungServer) -> None:
        link = await Link.open(server.url)
        closing = asyncio.create_task(link.close())
        await asyncio.sleep(0.1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    with HungServer(HELLO) as server:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(run(server))
        loop.close()


# --- the thread itself -------------------------------------------------------------------------
def test_a_closed_loop_has_no_tasks_and_takes_none() -> None:
    thread, ended = LoopThread("test"), threading.Event()

    async def wait_for_ever() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0.05)  # as a goodbye takes time
            ended.set()

    waiting = thread.submit(wait_for_ever())
    late = wait_for_ever()
    thread.close()
    thread.close()
    assert ended.is_set() and waiting.cancelled()
    with pytest.raises(ConnectionFailed, match="was closed"):
        thread.run(late)


def test_a_closed_loop_has_no_connections() -> None:
    """This one was made, and nobody has taken it yet."""
    with HungServer(HELLO) as server, LoopThread("test") as thread:
        link = thread.run(Link.open(server.url))
    assert link._socket.connection_lost_waiter.done()
