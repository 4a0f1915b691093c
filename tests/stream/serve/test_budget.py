"""Work is paid for before it is done; queues are bounded in bytes; peers have their shares."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import numpy as np
import pytest
from patience import PATIENCE
from websockets.exceptions import ConnectionClosed
from wire_clients import HEAD, HELLO, client, frame, settled, until

from stream.frames import Frame
from stream.serve.client import pushed_audio
from stream.serve.client.outbox import EARLY_BYTES, Outbox, Queue
from stream.serve.door.hang_ups import HangUps, Tap
from stream.serve.door.peers import Peers, peer_of
from stream.serve.frame_encoder import Sound
from stream.serve.limits import Bucket, Budget, Limits, echo, mix_fault
from stream.serve.server import Server
from stream.sources.pcm import USUAL_RATES, LiveResampler, ResamplingFilter, make_filter
from stream.wire import codec, messages, session_messages
from stream.wire.codec import Kind


# --- values ------------------------------------------------------------------------------------
def test_a_budget_is_spent_by_oneself_and_with_others() -> None:
    shared = Bucket(rate=100, size=10)
    one, other = (Budget(Bucket(rate=10, size=5), (shared,), guaranteed=20) for _ in range(2))
    assert one.take(5, 0.0) == 0.0
    assert one.take(1, 0.0) == pytest.approx(0.1)  # its own is empty
    assert other.take(4, 0.0) == 0.0
    assert other.take(1, 0.0) == pytest.approx(0.01)  # the shared one is, by one
    for _ in range(1000):
        shared.take(100, 0.0)
    poor = Budget(Bucket(rate=10, size=5), (shared,), guaranteed=20)
    assert poor.take(1, 0.0) == pytest.approx(0.05), "others slow it down so far, and no further"


def test_what_a_peer_is() -> None:
    assert peer_of(("10.1.2.3", 5)) == "10.1.2.3"
    assert peer_of(("::ffff:10.1.2.3", 5, 0, 0)) == "10.1.2.3"
    assert peer_of(("2001:db8:1:2:3:4:5:6", 5, 0, 0)) == peer_of(("2001:db8:1:2::9", 7, 0, 0))
    assert peer_of(("::1", 5, 0, 0)) == "::1" and peer_of("") == "" == peer_of(None)
    assert peer_of(("fe80::1%eth0", 1, 0, 2)) == "fe80::"


def test_this_machine_may_have_every_place_and_others_a_share() -> None:
    peers = Peers(Limits(peer_clients=3, peer_sessions=2))
    assert peers.of(("127.0.0.1", 1)).most_clients == np.inf
    assert peers.of(("10.0.0.1", 1)).most_clients == 3
    assert peers.of(("10.0.0.1", 2)) is peers.of(("10.0.0.1", 1))
    for number in range(10_000):
        peers.of((f"10.0.{number // 250}.{number % 250}", 1))
    assert len(peers._peers) <= 4096


def test_what_a_client_sent_is_cut_where_it_is_repeated() -> None:
    assert len(echo("\U0001f600" * 5000)) < 900 and echo("calm") == "'calm'"
    assert mix_fault("calm*0.7+lively*0.3", 2) is None
    assert mix_fault("calm+calm+calm", 2) and mix_fault("x" * 201, 20)


def test_a_queue_is_bounded_in_messages_and_in_bytes() -> None:
    queue: Queue[bytes] = Queue(3, 10, len)
    assert [queue.put(b"aaaa"), queue.put(b"bbbb"), queue.put(b"cccc")] == [0, 0, 1]
    assert queue.put(b"d" * 50) == 2 and len(queue) == 1, "the newest is kept whatever its size"
    assert queue.put(b"e") == 1 and queue.bytes == 1
    assert [queue.put(b"f") for _ in range(4)] == [0, 0, 1, 1]
    queue.keep(lambda item: item != b"f")
    assert len(queue) == queue.bytes == 0


def test_an_outbox_holds_so_much_and_no_more() -> None:
    outbox = Outbox()
    outbox.begin(early=True)
    for number in range(5_000):
        outbox.texts.put("x" * 900)
        outbox.audio.put(Sound(number, 0, np.zeros(16_000, np.float32)))
        outbox.frames.put(Frame(number, 640 * number, np.zeros(54, np.float32)))
    assert outbox.texts.bytes <= 1 << 16 and outbox.audio.bytes <= EARLY_BYTES
    assert len(outbox.frames) <= 2_000
    outbox.begin(early=False)
    assert not outbox.audio and len(outbox.texts) > 0


def test_filters_are_made_once_for_usual_rates() -> None:
    assert LiveResampler(48_000)._taps is LiveResampler(48_000)._taps
    odd = make_filter(47_975)
    assert LiveResampler(47_975, odd)._taps is odd.taps
    assert all(make_filter(rate).taps.nbytes < 1 << 20 for rate in USUAL_RATES)


# --- over the socket ---------------------------------------------------------------------------
def test_names_are_short_and_what_is_refused_is_not_repeated_whole() -> None:
    taken: list[session_messages.Condition] = []
    with Server(HEAD, HELLO, port=0) as server, client(server) as connection:
        server.controls.change = taken.append
        for name in ("calm*" + "9" * 400, "\U0001f600" * 4_000, "calm+" * 30 + "calm"):
            connection.send(codec.serialise_text(session_messages.Style(name)))
            error = until(connection, messages.Error)
            assert (error.code, error.fatal) == ("no_such_style", False)
            assert len(codec.serialise_text(error)) < 1_200
        connection.send(codec.serialise_text(session_messages.Open(style="calm+" * 30 + "calm")))
        assert until(connection, messages.Error).code == "open"
        connection.send(codec.serialise_text(session_messages.Style("calm*0.5+lively*0.5")))
        settled(connection)
    assert taken == [session_messages.Style("calm*0.5+lively*0.5")]


def test_a_text_has_a_length() -> None:
    with Server(HEAD, HELLO, port=0) as server, client(server) as connection:
        connection.send(json.dumps({"type": "ping", "x": "y" * 70_000}))
        assert until(connection, messages.Error).code == "too_long"
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=PATIENCE)
        assert server.counts.refusals == {"too_long": 1}


def test_audio_that_does_not_fit_is_refused_before_it_is_resampled() -> None:
    pcm = codec.serialise(codec.Message(Kind.PCM, 0, 0, np.zeros(44_100, np.float32)))
    asked: list[int] = []

    def fits(count: int) -> bool:
        asked.append(count)
        return False

    with Server(HEAD, HELLO, port=0) as server, client(server) as connection:
        server.controls.push = lambda samples: pytest.fail("it was told that it does not fit")
        server.controls.fits = fits
        connection.send(codec.serialise_text(messages.AudioFormat(44_100)))
        connection.send(pcm)
        assert until(connection, messages.Error).code == "audio_full"
    assert asked == [16_000]


def test_unusual_rates_are_taken_and_too_many_at_once_are_not() -> None:
    limits = Limits(rate=1e9, burst=1e9, peer_rate=1e9, peer_burst=1e9)
    with Server(HEAD, HELLO, port=0, limits=limits) as server:
        held = []
        codes: list[str] = []
        with contextlib.ExitStack() as stack:
            for number in range(18):
                connection = stack.enter_context(client(server))
                connection.send(codec.serialise_text(messages.AudioFormat(47_975 - 25 * number)))
                connection.send(codec.serialise_text(messages.Ping(number)))
                while True:
                    told = codec.parse_text(connection.recv(timeout=PATIENCE))
                    if isinstance(told, messages.Pong):
                        break
                    assert isinstance(told, messages.Error)
                    codes.append(told.code)
                held.append(connection)
    assert codes == ["busy", "busy"]


def test_no_frame_waits_for_what_is_done_to_pushed_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, done = threading.Event(), threading.Event()

    def slow(rate: int) -> ResamplingFilter:
        busy.set()
        assert done.wait(PATIENCE)
        return make_filter(rate)

    monkeypatch.setattr(pushed_audio, "make_filter", slow)
    with Server(HEAD, HELLO, port=0) as server, client(server) as viewer, client(server) as speaker:
        viewer.send(codec.serialise_text(messages.Subscribe("arkit52")))
        settled(viewer)
        speaker.send(codec.serialise_text(messages.AudioFormat(47_975)))
        assert busy.wait(PATIENCE)
        for number in range(5):
            server.on_frame(frame(number))
            assert until(viewer, Kind.ARKIT52).sequence == number
        done.set()
        settled(speaker)


def test_vertices_as_text_come_once_a_second() -> None:
    with Server(HEAD, HELLO, port=0) as server, client(server) as connection:
        connection.send(codec.serialise_text(messages.Subscribe("vertices", json=True)))
        settled(connection)
        for number in range(60):
            server.on_frame(frame(number))
        seen = [until(connection, messages.TextFrame).sequence for _ in range(3)]
        connection.send(codec.serialise_text(messages.Subscribe("flame", json=True)))
        settled(connection)
        server.on_frame(frame(61))
        assert until(connection, messages.TextFrame).sequence == 61
    assert seen == [0, 25, 50]


def test_nobody_cuts_what_another_speaks_but_an_operator() -> None:
    pcm = codec.serialise(codec.Message(Kind.PCM, 0, 0, np.zeros(32_000, np.float32)))
    cuts: list[int] = []
    token, operator = "a-secret-of-sixteen", "an-operators-secret"
    bearer = {"Authorization": f"Bearer {token}"}
    with Server(HEAD, HELLO, port=0, token=token, operator_token=operator) as server:
        server.controls.push = lambda samples: True
        server.controls.interrupt = lambda: cuts.append(1)
        interrupt = codec.serialise_text(messages.Interrupt())
        with (
            client(server, additional_headers=bearer) as speaker,
            client(server, additional_headers=bearer) as other,
            client(server, additional_headers={"Authorization": f"Bearer {operator}"}) as boss,
        ):
            other.send(interrupt)  # nobody speaks
            settled(other)
            speaker.send(pcm)
            settled(speaker)
            other.send(interrupt)
            error = until(other, messages.Error)
            assert (error.code, error.fatal) == ("not_yours", False) and len(cuts) == 1
            speaker.send(interrupt)
            settled(speaker)
            speaker.send(pcm)
            settled(speaker)
            boss.send(interrupt)
            settled(boss)
            assert len(cuts) == 3


def test_a_flood_of_pings_is_paid_for_and_slows_nobody_else() -> None:
    limits = Limits(rate=200, burst=100)
    with (
        Server(HEAD, HELLO, port=0, limits=limits) as server,
        client(server) as good,
        client(server) as bad,
    ):
        stop = threading.Event()

        def flood() -> None:
            while not stop.is_set():
                try:
                    bad.socket.sendall(b"\x89\x80\0\0\0\0" * 700)
                except OSError:
                    return

        bad.socket.settimeout(0.5)
        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        time.sleep(0.5)
        received = server.counts.bytes_in
        for number in range(20):
            server.on_frame(frame(number))
            assert until(good, Kind.FLAME).sequence == number
        settled(good)
        # 6 bytes each: far fewer came in than were sent, as their sender is not read.
        assert server.counts.bytes_in - received < 600_000
        stop.set()
        thread.join(PATIENCE)


def test_a_message_in_too_many_pieces_ends_its_connection() -> None:
    with Server(HEAD, HELLO, port=0, limits=Limits(fragments=50)) as server:
        with client(server) as connection:
            connection.socket.sendall(b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 200)
            with pytest.raises(ConnectionClosed):
                connection.recv(timeout=PATIENCE)
        assert server.counts.refusals["fragments"] == 1


def test_a_connection_that_has_ended_may_be_aborted() -> None:
    class Ended:
        def abort(self) -> None:
            raise AttributeError("'NoneType' object has no attribute 'call_soon'")  # asyncio's

    tap = Tap(Ended(), HangUps())
    with pytest.raises(AttributeError):
        tap.abort()
    tap.end()
    tap.abort()


def test_who_leaves_in_debt_is_gone_and_holds_up_no_end() -> None:
    with Server(HEAD, HELLO, port=0, limits=Limits(rate=0.001, burst=1.0)) as server:
        server.controls.push = lambda _: True
        with client(server) as link:
            link.send('{"type":"audio_format","sample_rate":47975}')
            deadline = time.monotonic() + PATIENCE
            while not server.counts.bytes_in or server.counts.clients != 1:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.1)
        server.close()
        assert server._loop.join(0.0)
