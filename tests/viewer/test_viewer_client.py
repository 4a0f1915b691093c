"""The viewer's client against the real server: events, reconnection, refusals, clean ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from patience import PATIENCE
from websocket_thread import WebsocketThread
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection as ThreadedConnection
from websockets.sync.server import serve as serve_threaded

from head.model import Head
from head.rig import builtin_head
from stream.frames import Frame
from stream.serve.server import Server
from stream.wire import codec, messages
from stream.wire.channels import make_hello
from viewer.client.address import parse_url
from viewer.client.errors import ClientError, refusal
from viewer.client.retries import WAITS_SECONDS, Retries
from viewer.client.watching import (
    ClientThread,
    Ended,
    Event,
    Inbox,
    ReceivedMotion,
    Restarted,
    Sound,
    ViewerClient,
)


@pytest.fixture(scope="module")
def head() -> Head:
    return builtin_head()


def frame(k: int) -> Frame:
    return Frame(k, 640 * k, np.full(54, k / 100, np.float32))


def gather(thread: ClientThread, until: Callable[[list[Event]], bool]) -> list[Event]:
    """Events until the condition holds, at most 8 s."""
    events: list[Event] = []
    end = time.monotonic() + PATIENCE
    while not until(events):
        assert time.monotonic() < end, f"only {[type(event).__name__ for event in events]}"
        events += thread.take()
        time.sleep(0.005)
    return events


def has(kind: type, count: int = 1) -> Callable[[list[Event]], bool]:
    return lambda events: sum(isinstance(event, kind) for event in events) >= count


class Peer(WebsocketThread):
    """A server that says what it is told to and nothing else, and stays or goes."""

    def __init__(self, *messages: str | bytes, hold: bool = True) -> None:
        self._messages, self._hold = messages, hold
        super().__init__()

    async def _handle(self, socket: ServerConnection) -> None:
        for message in self._messages:
            await socket.send(message)
        if self._hold:
            await socket.wait_closed()


@contextlib.contextmanager
def peer(*messages: str | bytes, hold: bool = True) -> Iterator[str]:
    """The address of such a server, while it listens."""
    with Peer(*messages, hold=hold) as server:
        yield server.url


@contextlib.contextmanager
def refusing(status: int) -> Iterator[tuple[str, list[int]]]:
    """A server that answers every client with this status; gives its address, and the answers."""
    answers: list[int] = []

    def answer(link: ThreadedConnection, request: Request) -> Response:
        answers.append(status)
        return link.respond(status, "no\n")

    with serve_threaded(lambda link: None, "127.0.0.1", 0, process_request=answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}", answers
        finally:
            server.shutdown()
            thread.join()


def failure(client: ViewerClient) -> str:
    """The one line a client ends with."""
    with ClientThread(client) as thread, pytest.raises(ClientError) as caught:
        gather(thread, lambda _: False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_motion_and_sound_arrive_in_order_and_stamped(head: Head) -> None:
    with (
        Server(head, make_hello(head), port=0) as server,
        ClientThread(ViewerClient(server.url, audio=True)) as thread,
    ):
        gather(thread, has(Restarted))
        before = time.monotonic()
        time.sleep(0.1)  # the subscription travels
        for k in range(20):
            server.on_audio(640 * k, np.full(640, k / 100, np.float32))
            server.on_frame(frame(k))
        events = gather(thread, lambda e: has(ReceivedMotion, 20)(e) and has(Sound, 20)(e))
        motions = [event for event in events if isinstance(event, ReceivedMotion)]
        sounds = [event for event in events if isinstance(event, Sound)]
        assert [m.sample for m in motions] == [640 * k for k in range(20)]
        assert [m.sequence for m in motions] == list(range(20))
        assert all(before < m.arrival < time.monotonic() for m in motions)
        for k, motion in enumerate(motions):
            np.testing.assert_allclose(motion.values[:51], np.float32(k / 100))
        heard = np.concatenate([s.samples for s in sounds])
        np.testing.assert_allclose(heard, np.repeat(np.arange(20) / 100, 640), atol=1e-4)
        assert sounds[0].sample == 0


def test_without_audio_no_sound_is_sent(head: Head) -> None:
    with (
        Server(head, make_hello(head), port=0) as server,
        ClientThread(ViewerClient(server.url)) as t,
    ):
        gather(t, has(Restarted))
        time.sleep(0.1)
        server.on_audio(0, np.zeros(640, np.float32))
        server.on_frame(frame(0))
        assert not any(isinstance(event, Sound) for event in gather(t, has(ReceivedMotion)))


def test_the_end_of_the_server_ends_the_client(head: Head) -> None:
    with Server(head, make_hello(head), port=0) as server:
        thread = ClientThread(ViewerClient(server.url))
        with thread:
            gather(thread, has(Restarted))
            server.close()
            gather(thread, has(Ended))
            thread.join(PATIENCE)
            assert not thread.running


def test_a_client_waits_for_its_server(head: Head) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with ClientThread(ViewerClient(f"ws://127.0.0.1:{port}")) as thread:
        time.sleep(0.4)
        assert not thread.take() and thread.running
        with Server(head, make_hello(head), port=port) as server:
            gather(thread, has(Restarted))
            time.sleep(0.1)
            server.on_frame(frame(0))
            gather(thread, has(ReceivedMotion))


def test_a_lost_connection_is_made_again(head: Head) -> None:
    motion = codec.serialise(codec.Message(codec.Kind.FLAME, 0, 0, np.zeros(56, np.float32)))
    with peer(codec.serialise_text(make_hello(head)), motion, hold=False) as url:
        with ClientThread(ViewerClient(url)) as thread:
            events = gather(thread, has(ReceivedMotion, 3))
        kinds = [type(event) for event in events]
        assert kinds[:6] == [Restarted, ReceivedMotion] * 3
        assert thread.client.connections >= 3
        assert "was lost" in failure(ViewerClient(url, reconnect=False))


def test_no_server_is_one_line_after_the_patience(head: Head) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    begin = time.monotonic()
    line = failure(ViewerClient(f"ws://127.0.0.1:{port}", start_timeout=0.6))
    assert 0.2 < time.monotonic() - begin < 3
    assert "nothing listens there" in line and "posetalk serve" in line
    assert "no such host" in failure(ViewerClient("ws://nowhere.invalid", start_timeout=0.1))


def test_another_protocol_version_is_one_line(head: Head) -> None:
    hello = codec.serialise_text(make_hello(head)).replace('"protocol":1', '"protocol":2')
    with peer(hello) as url:
        assert "protocol 2" in failure(ViewerClient(url))
    message = codec.serialise(codec.Message(codec.Kind.FLAME, 0, 0, np.zeros(56, np.float32)))
    with peer(codec.serialise_text(make_hello(head)), message[:4] + b"\x07" + message[5:]) as url:
        assert "protocol 7" in failure(ViewerClient(url))


@pytest.mark.parametrize("first", ["{}", "rubbish", b"\x00\x01", '{"type":"pong"}'])
def test_a_server_that_does_not_say_hello_is_one_line(first: str | bytes) -> None:
    with peer(first) as url:
        line = failure(ViewerClient(url))
        assert "no posetalk server" in line or "not the protocol" in line


def test_rubbish_after_the_hello_is_one_line(head: Head) -> None:
    with peer(codec.serialise_text(make_hello(head)), b"GET / is not really a frame of it") as url:
        assert "not the protocol" in failure(ViewerClient(url))


def test_a_refusal_is_passed_on(head: Head) -> None:
    with peer(codec.serialise_text(messages.Error("busy", "too many viewers"))) as url:
        assert "too many viewers" in failure(ViewerClient(url))
    with Server(head, make_hello(head), port=0, token="a-secret-of-sixteen") as server:
        assert "wants a token" in failure(ViewerClient(server.url))
        with ClientThread(ViewerClient(server.url + "/?token=a-secret-of-sixteen")) as thread:
            gather(thread, has(Restarted))


@pytest.mark.parametrize(("status", "sentence"), [(401, "wants a token"), (403, "not let this")])
def test_a_closed_door_is_knocked_at_once(status: int, sentence: str) -> None:
    with refusing(status) as (url, knocks):
        assert sentence in failure(ViewerClient(url))
    assert knocks == [status]


@pytest.mark.parametrize(("status", "sentence"), [(503, "no room"), (502, "nothing answers")])
def test_a_full_or_absent_server_is_asked_again(status: int, sentence: str) -> None:
    with refusing(status) as (url, knocks):
        assert sentence in failure(ViewerClient(url, start_timeout=0.6))
    assert len(knocks) >= 3


def test_a_restarted_server_is_found_again_and_its_end_is_the_end(head: Head) -> None:
    with contextlib.ExitStack() as until_crash, contextlib.ExitStack() as watching:
        url = until_crash.enter_context(peer(codec.serialise_text(make_hello(head))))
        thread = watching.enter_context(ClientThread(ViewerClient(url)))
        gather(thread, has(Restarted))
        until_crash.close()
        with Server(head, make_hello(head), port=int(url.rpartition(":")[2])) as server:
            gather(thread, has(Restarted))
            server.close()
            gather(thread, has(Ended))
        thread.join(2)
        assert not thread.running and thread.client.connections == 2


def test_waits_are_short_grow_and_begin_anew_after_a_connection_that_held() -> None:
    retries = Retries()
    waits = [retries.wait() for _ in range(7)]
    for wait, longest in zip(waits, (*WAITS_SECONDS, 3.0, 3.0), strict=True):
        assert longest / 2 <= wait <= longest
    assert retries.wait(held=1.0) >= 1.5, "a server that drops its clients is not asked at once"
    assert retries.wait(held=60.0) == 0.0
    assert len({Retries().wait() + Retries(4).wait() for _ in range(5)}) > 1


def test_unknown_messages_are_skipped(head: Head) -> None:
    strange = codec.serialise(codec.Message(codec.Kind.FLAME, 0, 0, np.zeros(56, np.float32)))
    strange = strange[:5] + b"\xc8" + strange[6:]
    good = codec.serialise(codec.Message(codec.Kind.FLAME, 3, 1920, np.ones(56, np.float32)))
    hello = codec.serialise_text(make_hello(head))
    with (
        peer(hello, strange, '{"type":"weather"}', good) as url,
        ClientThread(ViewerClient(url)) as thread,
    ):
        events = gather(thread, has(ReceivedMotion))
        assert [event.sample for event in events if isinstance(event, ReceivedMotion)] == [1920]


def test_stopping_is_quick_whatever_the_client_does(head: Head) -> None:
    with Server(head, make_hello(head), port=0) as server:
        for url in (server.url, "ws://127.0.0.1:9"):
            with ClientThread(ViewerClient(url, start_timeout=60)) as thread:
                time.sleep(0.4)
                begin = time.monotonic()
            assert time.monotonic() - begin < 1
            assert not thread.running


def test_the_inbox_is_bounded_and_keeps_the_newest() -> None:
    inbox = Inbox(capacity=5)
    for k in range(12):
        inbox.put(ReceivedMotion(k, 640 * k, np.zeros(56, np.float32), 0.0))
    taken = inbox.take()
    assert [event.sequence for event in taken if isinstance(event, ReceivedMotion)] == [
        7,
        8,
        9,
        10,
        11,
    ]
    assert inbox.dropped == 7 and not inbox.take()


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("localhost", "ws://localhost:8765"),
        ("10.0.0.2:9000", "ws://10.0.0.2:9000"),
        ("ws://[::1]", "ws://[::1]:8765"),
        ("w", "ws://w:8765"),
        ("ws://ws", "ws://ws:8765"),
        ("ws://s/s?token=s", "ws://s:8765/s?token=s"),
        ("ws://face:", "ws://face:8765"),
        ("wss://face.example/stream?token=x", "wss://face.example/stream?token=x"),
    ],
)
def test_addresses_are_completed(given: str, full: str) -> None:
    assert parse_url(given) == full


@pytest.mark.parametrize("given", ["ftp://a", "ws://", "ws://a:notaport", "", "ws://a:99999"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ClientError, match="not an address"):
        parse_url(given)


def test_the_pages_address_is_the_servers_and_a_wrong_token_is_named() -> None:
    assert parse_url("http://there:9000/") == "ws://there:9000/"
    assert parse_url("https://there/?token=x") == "wss://there/?token=x"
    assert "token" in str(refusal("ws://a:1", 401)) and "403" in str(refusal("ws://a:1", 403))
