from __future__ import annotations

import contextlib
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import make_certificate
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from head.channels import ARKIT_52
from head.rig import builtin_head
from stream import connection as connection_module
from stream import server as server_module
from stream import wire
from stream.access import Gate, is_loopback
from stream.channel_sets import make_hello
from stream.clock import MonotonicClock
from stream.frames import Frame
from stream.server import Server, ServerError
from stream.sink import FrameTiming
from stream.sources.pcm import LiveResampler
from stream.sources.pushed import PushedSource
from stream.wire import Kind

HEAD = builtin_head()
HELLO = make_hello(HEAD, style="calm", styles=["calm", "lively"])


def frame(sequence: int) -> Frame:
    motion = np.random.default_rng(sequence).uniform(0, 0.2, 54).astype("f4")
    return Frame(sequence, 640 * sequence, motion)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(HEAD, HELLO, port=0) as running:
        yield running


@contextlib.contextmanager
def client(server: Server, **options: Any) -> Iterator[ClientConnection]:
    """A connected client that has read the hello."""
    with connect(server.url, compression=None, close_timeout=0.5, **options) as connection:
        assert isinstance(wire.parse_text(connection.recv(timeout=10)), wire.Hello)
        yield connection


def receive(connection: ClientConnection) -> wire.Message | wire.Text | wire.Unknown:
    data = connection.recv(timeout=10)
    return wire.parse(data) if isinstance(data, bytes) else wire.parse_text(data)


def until(connection: ClientConnection, kind: Any) -> Any:
    """The next message of a class (text) or a kind (binary)."""
    while True:
        message = receive(connection)
        if isinstance(kind, Kind):
            if isinstance(message, wire.Message) and message.kind == kind:
                return message
        elif isinstance(message, kind):
            return message


def settled(connection: ClientConnection) -> None:
    """Wait until the server has read everything sent so far."""
    connection.send(wire.serialise_text(wire.Ping(7)))
    assert until(connection, wire.Pong).id == 7


# --- what viewers get --------------------------------------------------------------------------
def test_hello_comes_first_and_says_everything(server: Server) -> None:
    with connect(server.url) as connection:
        hello = wire.parse_text(connection.recv(timeout=10))
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers  # no compression
    assert hello == HELLO
    assert isinstance(hello, wire.Hello)
    assert (hello.fps, hello.sample_rate, hello.synthetic) == (25, 16000, True)
    assert hello.channels["arkit52"][:52] == list(ARKIT_52)
    assert [len(hello.channels[name]) for name in ("flame", "arkit52")] == [56, 55]


def test_flame_parameters_come_without_asking(server: Server) -> None:
    with client(server) as connection:
        settled(connection)
        for number in range(3):
            server.send(frame(number))
        for number in range(3):
            message = until(connection, Kind.FLAME)
            assert (message.sequence, message.sample) == (number, 640 * number)
            motion = frame(number).motion
            expected = np.concatenate([motion[:53], motion[53:], [0, 0]])
            assert np.array_equal(message.payload, expected.astype("f4"))


def test_arkit_weights(server: Server) -> None:
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.Subscribe("arkit52")))
        settled(connection)
        server.send(frame(4))
        message = until(connection, Kind.ARKIT52)
    motion = frame(4).motion
    assert len(message.payload) == 55
    assert message.payload[ARKIT_52.index("jawOpen")] == pytest.approx(motion[53] / 0.35)
    assert message.payload[ARKIT_52.index("eyeBlinkLeft")] == motion[0]
    assert message.payload[ARKIT_52.index("tongueOut")] == motion[49]
    assert np.array_equal(message.payload[52:], motion[50:53])


def test_vertices_come_after_the_faces(server: Server) -> None:
    faces: list[int] = []
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.Subscribe("vertices")))
        connection.send(wire.serialise_text(wire.Ping()))
        while True:
            message = receive(connection)
            if isinstance(message, wire.Pong):
                server.send(frame(4))
            elif isinstance(message, wire.Message) and message.kind == Kind.VERTICES:
                break
            elif isinstance(message, wire.Message):
                assert wire.HEADER.size + message.payload.nbytes < 65536  # small engines' buffers
                assert (message.kind, message.sample) == (Kind.FACES, len(faces))
                faces += message.payload.tolist()
    assert np.array_equal(faces, HEAD.faces.ravel())
    assert len(message.payload) == 3 * len(HEAD.template)
    assert 1e-4 < np.abs(message.payload.reshape(-1, 3) - HEAD.template).max() < 0.1


def test_audio_comes_back_with_its_sample_index(server: Server) -> None:
    block = np.linspace(-1, 1, 320, dtype=np.float32)
    with client(server) as quiet, client(server) as listening:
        listening.send(wire.serialise_text(wire.Subscribe("flame", audio=True)))
        settled(listening)
        settled(quiet)
        server.audio(6400, block)
        message = until(listening, Kind.PCM)
        assert message.sample == 6400
        assert np.array_equal(message.payload, block)
        server.send(frame(0))
        assert receive(quiet).kind == Kind.FLAME  # type: ignore[union-attr]


def test_json_text_mode(server: Server) -> None:
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.Subscribe("flame", json=True)))
        settled(connection)
        server.send(frame(1))
        message = until(connection, wire.TextFrame)
    assert message.values["jawX"] == pytest.approx(frame(1).motion[53], abs=1e-5)


def test_clients_are_told_when_sample_zero_was_captured(server: Server) -> None:
    clock = MonotonicClock()
    with client(server) as connection:
        settled(connection)
        middle = clock.now() - 0.1
        server.send(frame(25), FrameTiming(middle, middle, middle, middle, middle))
        told = until(connection, wire.ClockInfo)
    assert told.time == pytest.approx(time.time() - 0.1 - 1.02, abs=0.1)
    with connect(server.url) as late:
        hello = wire.parse_text(late.recv(timeout=10))
        assert isinstance(hello, wire.Hello) and hello.start_time == told.time


def test_end_is_announced_after_the_last_frame(server: Server) -> None:
    with client(server) as connection:
        settled(connection)
        for number in range(50):
            server.send(frame(number))
        server.close()
        seen = 0
        while not isinstance(message := receive(connection), wire.End):
            seen += isinstance(message, wire.Message)
        assert (seen, message.frames) == (50, 50)
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=10)


# --- what clients may ask ----------------------------------------------------------------------
def test_pushed_audio_of_another_rate_arrives_at_16_khz(server: Server) -> None:
    source = PushedSource()
    server.on_audio = source.push
    tone = np.sin(2 * np.pi * 300 * np.arange(48000) / 48000)
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.AudioFormat(48000)))
        for number, part in enumerate(np.split(np.int16(tone * 30000), 10)):
            message = wire.Message(Kind.PCM, number, 0, part, wire.Flag.INT16)
            connection.send(wire.serialise(message))
        settled(connection)
    assert source.waiting == pytest.approx(16000, abs=40)
    heard = np.concatenate(list(source._pieces))
    expected = np.sin(2 * np.pi * 300 * np.arange(len(heard)) / 16000) * 30000 / 32768
    assert np.abs(heard - expected)[100:].max() < 1e-3


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_audio_that_is_refused_and_pushed_again_arrives_whole(server: Server, rate: int) -> None:
    taken: list[np.ndarray] = []
    asked = 0

    def take(samples: np.ndarray) -> bool:
        nonlocal asked
        asked += 1
        if asked % 3:  # two refusals before each block is taken
            return False
        taken.append(samples)
        return True

    server.on_audio = take
    speech = np.random.default_rng(0).uniform(-1, 1, rate).astype("f4")
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.AudioFormat(rate)))
        for number, part in enumerate(np.split(speech, 10)):
            data = wire.serialise(wire.Message(Kind.PCM, number, 0, part))
            for _ in range(2):
                connection.send(data)
                assert until(connection, wire.Error).code == "audio_full"
            connection.send(data)
        settled(connection)
    assert asked == 30
    assert np.array_equal(np.concatenate(taken), LiveResampler(rate).feed(speech))


def test_one_client_at_a_time_pushes_audio(server: Server) -> None:
    pcm = wire.serialise(wire.Message(Kind.PCM, 0, 0, np.zeros(320, np.float32)))
    with client(server) as first, client(server) as second:
        first.send(pcm)
        assert until(first, wire.Error).code == "audio_not_accepted"
        server.on_audio = lambda samples: True
        first.send(pcm)
        settled(first)
        second.send(pcm)
        assert until(second, wire.Error).code == "audio_busy"
        server.on_audio = lambda samples: False
        first.send(pcm)
        assert until(first, wire.Error) == wire.Error(
            "audio_full", "too much audio waits: push this again later", fatal=False
        )
        settled(first)  # none of these closes anybody
        settled(second)


def test_interrupt_and_style(server: Server) -> None:
    seen: list[str] = []

    def speak(style: str) -> None:
        if style == "drunken":
            raise ValueError("no such style")
        seen.append(style)

    server.on_interrupt = lambda: seen.append("interrupt")
    server.on_style = speak
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.Interrupt()))
        connection.send(wire.serialise_text(wire.Style("lively")))
        connection.send(wire.serialise_text(wire.Style("drunken")))
        error = until(connection, wire.Error)
        assert (error.code, error.fatal) == ("no_such_style", False)
        server.interrupted(3200)
        assert until(connection, wire.Interrupted).sample == 3200
        server.style_changed("lively")
        assert until(connection, wire.Style).name == "lively"
        connection.send(wire.serialise_text(wire.Style("calm*0.7+lively*0.3")))
        settled(connection)
    assert seen == ["interrupt", "lively", "calm*0.7+lively*0.3"]
    with connect(server.url) as late:
        assert '"style":"lively"' in str(late.recv(timeout=10))


def test_nobody_is_greeted_before_it_is_known_what_may_be_asked_for() -> None:
    server = Server(HEAD, HELLO, port=0)
    server.hold()
    with server, connect(server.url, compression=None) as early:
        with pytest.raises(TimeoutError):
            early.recv(timeout=0.2)
        server.on_interrupt = lambda: None
        server.welcome()
        hello = wire.parse_text(early.recv(timeout=10))
        assert isinstance(hello, wire.Hello) and hello.accepts == ["interrupt"]
        with connect(server.url) as later:
            assert isinstance(wire.parse_text(later.recv(timeout=10)), wire.Hello)
    server = Server(HEAD, HELLO, port=0)
    server.hold()
    with server, connect(server.url, compression=None):
        server.close()
    assert not any(thread.name == "websocket-server" for thread in threading.enumerate())


def test_strengths_are_asked_for_and_told(server: Server) -> None:
    seen: list[tuple[float | None, float | None]] = []

    def guide(audio: float | None, style: float | None) -> None:
        if audio is not None and audio > 20:
            raise ValueError("audio guidance 99: choose a number from 0 to 20")
        seen.append((audio, style))

    server.on_guidance = guide
    with client(server) as connection:
        connection.send('{"type":"guidance","audio_guidance":1.5}')
        connection.send('{"type":"guidance","audio_guidance":99}')
        error = until(connection, wire.Error)
        assert (error.code, error.fatal) == ("guidance", False) and "0 to 20" in error.message
        server.guidance_changed(1.5, 1.0)
        assert until(connection, wire.Guidance) == wire.Guidance(1.5, 1.0)
    assert seen == [(1.5, None)]
    with connect(server.url) as late:
        hello = wire.parse_text(late.recv(timeout=10))
        assert isinstance(hello, wire.Hello)
        assert hello.guidance == {"audio": 1.5, "style": 1.0} and hello.accepts == ["guidance"]


def test_a_set_the_head_cannot_give_is_refused_politely(server: Server) -> None:
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.Subscribe("metahuman")))
        assert until(connection, wire.Error).code == "no_such_set"
        settled(connection)


def test_motion_can_be_paused(server: Server) -> None:
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.Subscribe("")))
        settled(connection)
        server.send(frame(0))
        settled(connection)
        connection.send(wire.serialise_text(wire.Subscribe("flame")))
        settled(connection)
        server.send(frame(1))
        assert until(connection, Kind.FLAME).sequence == 1


# --- bad clients -------------------------------------------------------------------------------
RUBBISH: dict[str, tuple[bytes | str, str]] = {
    "short": (b"PTK", "truncated"),
    "magic": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n....", "magic"),
    "version": (b"PTK1\x09" + bytes(40), "version"),
    "length": (b"PTK1\x01\x10" + bytes(17) + b"\x01" + b"abc", "length"),
    "own kind": (wire.serialise(wire.Message(Kind.FLAME, 0, 0, np.zeros(56))), "unexpected"),
    "json": ("{", "json"),
    "own text": (wire.serialise_text(wire.End()), "unexpected"),
    "field": ('{"type":"subscribe","audio":1}', "field"),
    "rate": ('{"type":"audio_format","sample_rate":1}', "field"),
    "text version": ('{"type":"subscribe","protocol":2}', "version"),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_gets_a_typed_error_and_closes_that_client_only(server: Server, name: str) -> None:
    data, code = RUBBISH[name]
    with client(server) as good, client(server) as bad:
        bad.send(data)
        error = until(bad, wire.Error)
        assert (error.code, error.fatal) == (code, True)
        with pytest.raises(ConnectionClosed) as closed:
            bad.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, code)
        settled(good)
        server.send(frame(0))
        assert until(good, Kind.FLAME).sequence == 0
    assert server.counts.refused == 1


def test_unknown_types_are_skipped(server: Server) -> None:
    with client(server) as connection:
        connection.send(wire.serialise(wire.Message(200, 0, 0, np.zeros(3))))
        connection.send('{"type":"weather","sun":[1,{"a":null}]}')
        settled(connection)


def test_random_bytes_never_hurt_the_server(server: Server, capfd: Any) -> None:
    rng = random.Random(3)
    for _ in range(30):
        with client(server) as connection:
            data = rng.randbytes(rng.randrange(200))
            if rng.random() < 0.5:
                data = b"PTK1\x01" + bytes([rng.choice([1, 16, 16, 99])]) + data
            with contextlib.suppress(ConnectionClosed):
                connection.send(data)
                connection.send(data.decode("latin1"))
                while True:  # until the server has judged it
                    connection.recv(timeout=10)
    for _ in range(10):  # below the websocket layer, and during the handshake
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(rng.randbytes(300))
    with client(server) as connection:
        connection.socket.sendall(rng.randbytes(500))
    with client(server) as connection, contextlib.suppress(ConnectionClosed):
        connection.send(bytes(wire.MAX_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=10)
    with client(server) as good:
        settled(good)
        server.send(frame(0))
        assert until(good, Kind.FLAME).sequence == 0
    assert capfd.readouterr() == ("", "")


def test_a_viewer_that_stops_reading_is_let_go_and_nobody_waits_for_it() -> None:
    with (
        Server(HEAD, HELLO, port=0, patience=1.0) as server,
        socket.create_connection(("127.0.0.1", server.port)) as stuck,
        client(server) as good,
    ):
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        key = b'{"type":"subscribe","set":"vertices"}'
        stuck.sendall(bytes([0x81, 0x80 | len(key), 0, 0, 0, 0]) + key)
        settled(good)
        deadline = time.monotonic() + 5
        sent = received = 0
        while server.counts.clients == 2 and time.monotonic() < deadline:
            before = time.perf_counter()
            server.send(frame(sent))
            assert time.perf_counter() - before < 0.5
            assert until(good, Kind.FLAME).sequence == sent
            sent, received = sent + 1, received + 1
            assert max(len(c._frames) for c in server._clients) <= 64
            time.sleep(0.002)
        assert server.counts.let_go == 1
        assert server.counts.clients == 1
        assert received == sent > 10
        assert server.counts.dropped > 0  # newest won


def test_a_port_in_use_is_one_line(server: Server) -> None:
    with pytest.raises(ServerError, match=rf"^port {server.port} on 127.0.0.1 is in use.*--port$"):
        Server(HEAD, HELLO, port=server.port).start()


def test_a_host_of_another_machine_is_one_line() -> None:
    with pytest.raises(ServerError, match=r"^cannot serve on 192\.0\.2\.1:0"):
        Server(HEAD, HELLO, "192.0.2.1", 0, token="x").start()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_one_line(port: int) -> None:
    with pytest.raises(ServerError, match="choose 0 to 65535"):
        Server(HEAD, HELLO, port=port)


def test_a_host_that_cannot_be_is_one_line() -> None:
    with pytest.raises(ServerError, match=r"^cannot serve on a\.\.b:0") as raised:
        Server(HEAD, HELLO, "a..b", 0, token="x").start()
    assert "\n" not in str(raised.value)


# --- who may come in ---------------------------------------------------------------------------
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "example.org"])
def test_serving_others_needs_a_token(host: str) -> None:
    with pytest.raises(ServerError, match="--token"):
        Server(HEAD, HELLO, host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


def test_the_token_is_asked_for() -> None:
    with Server(HEAD, HELLO, "0.0.0.0", 0, token="s3cret") as server:
        url = f"ws://127.0.0.1:{server.port}"
        for bad in (url, f"{url}/?token=s3cre", f"{url}/?token="):
            with pytest.raises(InvalidStatus, match="401"):
                connect(bad)
        with connect(f"{url}/?token=s3cret") as connection:
            connection.recv(timeout=10)
        with connect(url, additional_headers={"Authorization": "Bearer s3cret"}) as connection:
            connection.recv(timeout=10)


def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Server(HEAD, HELLO, port=0, ssl=context) as server:
        assert server.url.startswith("wss://")
        with client(server, ssl=trusting) as connection:
            settled(connection)
            server.send(frame(3))
            assert until(connection, Kind.FLAME).sequence == 3


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5173", True),
        ("http://127.0.0.1", True),
        ("https://good.example", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://localhost.evil.example", False),
    ],
)
def test_web_pages_of_others_stay_out(origin: str, allowed: bool) -> None:
    with Server(HEAD, HELLO, port=0, origins=["https://good.example"]) as server:
        if allowed:
            with connect(server.url, origin=origin) as connection:  # type: ignore[arg-type]
                connection.recv(timeout=10)
        else:
            with pytest.raises(InvalidStatus, match="403"):
                connect(server.url, origin=origin)  # type: ignore[arg-type]


def test_the_gate_survives_any_handshake() -> None:
    gate = Gate("s3cret")
    for origin in ("http://[", "http://[::1", "//", "http://\u2100"):
        refusal = gate.refusal("/?token=s3cret", origin, None)
        assert refusal is not None and refusal[0] == 403
    for path in ("", "//", "/?token", "/?token=%ff%00", "/?token=s3cret%0a", "/?\ud800"):
        refusal = gate.refusal(path, None, "Basic s3cret")
        assert refusal is not None and refusal[0] == 401
    assert gate.refusal("/?a=b&token=s3cret", "http://localhost:1", None) is None


# --- its own life ------------------------------------------------------------------------------
def test_closing_takes_little_time_even_with_a_stuck_viewer() -> None:
    server = Server(HEAD, HELLO, port=0).start()
    with client(server) as connection:
        connection.send(wire.serialise_text(wire.Subscribe("vertices")))
        settled(connection)
        for number in range(200):
            server.send(frame(number))
        before = time.monotonic()
        server.close(deadline=1.0)
        assert time.monotonic() - before < 5.0  # it gives up after 2 s; machines are busy
    server.close()
    server.send(frame(0))  # late notes are harmless
    assert not any(thread.name == "websocket-server" for thread in threading.enumerate())


def test_many_viewers_get_every_frame(server: Server) -> None:
    counts: list[int] = []

    def view(name: str, ready: threading.Barrier) -> None:
        with client(server) as connection:
            connection.send(wire.serialise_text(wire.Subscribe(name)))
            settled(connection)
            ready.wait()
            seen = [until(connection, wire.KIND_OF_SET[name]).sequence for _ in range(60)]
            assert seen == list(range(60))
            counts.append(len(seen))

    ready = threading.Barrier(13)
    threads = [
        threading.Thread(target=view, args=(name, ready))
        for name in ("flame", "arkit52", "vertices") * 4
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    for number in range(60):
        server.send(frame(number))
        time.sleep(0.01)
    for thread in threads:
        thread.join(10)
    assert counts == [60] * 12
    assert server.counts.dropped == 0


# --- the page ----------------------------------------------------------------------------------
PAGE = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()


def test_the_page_lists_the_channels_in_order() -> None:
    text = PAGE.split("**Channels.**")[1].split("## Control")[0]
    words = (
        re.sub(r"\(.*?\)", "", text, flags=re.DOTALL).replace(",", " ").replace(".", " ").split()
    )
    at = words.index("eyeBlinkLeft")
    listed = [word for word in words[at : at + 57] if word != "then"]
    assert listed == HELLO.channels["flame"]


def test_the_page_names_every_message_and_error() -> None:
    for text in wire._TEXTS:
        assert f'"type":"{text}"' in PAGE
    for kind in Kind:
        assert f"| {int(kind)} |" in PAGE
    modules = (wire, server_module, connection_module)
    sources = "".join(Path(str(m.__file__)).read_text() for m in modules)
    codes = set(re.findall(r'(?:WireError|wire\.Error)\(\s*"(\w+)"', sources))
    assert len(codes) >= 10
    assert not [code for code in codes if f"`{code}`" not in PAGE]


def test_the_page_has_the_heads_numbers() -> None:
    text = re.findall(r"## Hello\n```json\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    hello = wire.parse_text(text)
    assert isinstance(hello, wire.Hello)
    assert (hello.head, hello.vertices, hello.faces) == (HEAD.id, HELLO.vertices, HELLO.faces)
    size = len(wire.serialise(wire.Message(Kind.VERTICES, 0, 0, HEAD.template.ravel())))
    assert f"24 + 12 V bytes, {size:,} for the built-in head" in PAGE


def test_the_json_on_the_page_is_accepted() -> None:
    for example in re.findall(r'^\| `(\{"type".*?\})` \|', PAGE, flags=re.MULTILINE):
        assert not isinstance(wire.parse_text(example), wire.Unknown)


def test_the_example_on_the_page_runs(server: Server) -> None:
    program = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    program = program.replace("ws://127.0.0.1:8765", server.url)
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 10
        while not any(c.wish.set == "arkit52" for c in list(server._clients)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.send(frame(25))
        assert child.stdout is not None
        sample, jaw = child.stdout.readline().split()
        assert float(sample) == 1.0
        assert float(jaw) == pytest.approx(frame(25).motion[53] / 0.35, rel=1e-4)
    finally:
        child.kill()
        child.communicate()
