"""`live --view web` and `serve` as their users start them: the page, sessions, TLS."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificate
from cli import brings, call, finish, start, wait_for_line
from patience import PATIENCE
from websockets.sync.client import ClientConnection, connect

from posetalk import demo_speech
from posetalk.app.opening import open_source
from posetalk.app.serving import tls_context
from posetalk.app.settings.address import AddressSettings
from posetalk.app.settings.stream import StreamSettings
from posetalk.app.streaming import delay_advice
from stream.run.metrics import LiveStatistics
from stream.run.sinks import FrameTiming
from stream.sources.microphone import Microphone
from stream.sources.pushed import PushedSource
from stream.sources.raw import RawSource
from stream.wire import codec, messages, session_messages

FAKE = ["--backend", "fake"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hello(link: ClientConnection) -> messages.Hello:
    greeting = codec.parse_text(link.recv(timeout=PATIENCE))
    assert isinstance(greeting, messages.Hello)
    return greeting


def read(link: ClientConnection, kind: Any) -> Any:
    while True:
        data = link.recv(timeout=PATIENCE)
        message = codec.parse(data) if isinstance(data, bytes) else codec.parse_text(data)
        if isinstance(message, kind):
            return message


def test_every_source_says_what_drives_the_face(tmp_path: Path) -> None:
    copy = tmp_path / demo_speech().name  # called like the demo speech, and is not it
    copy.write_bytes(demo_speech().read_bytes())
    named = {"demo": "demo", "push": "push", "none": "none", str(copy): "file"}
    kinds = {open_source(StreamSettings(source=one)).kind: kind for one, kind in named.items()}
    assert kinds == {kind: kind for kind in kinds} and len(kinds) == len(named)
    assert {*kinds, RawSource.kind, Microphone.kind} == set(messages.SOURCES)
    assert PushedSource.kind == "push"


def test_live_on_a_page_waits_for_somebody_to_look_and_tells_what_may_be_asked(
    tmp_path: Path,
) -> None:
    port = free_port()
    process = start("live", *FAKE, "--view", "web", "--port", str(port), cwd=tmp_path)
    try:
        # There is no microphone on this machine: the page's will do.
        wait_for_line(process, "speak through the page")
        assert f"http://127.0.0.1:{port}/" in wait_for_line(process, "the face is at")
        page = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        page.request("GET", "/")
        assert b"<canvas" in page.getresponse().read()
        page.close()
        with connect(f"ws://127.0.0.1:{port}", compression=None) as link:
            accepts = hello(link).accepts
            assert accepts is not None and set(accepts) <= set(messages.ACCEPTS)
            assert {"audio", "open", "interrupt", "guidance"} <= set(accepts)
            assert read(link, codec.Message).sample < 16000 * 5, "it began when somebody came"
        process.send_signal(signal.SIGINT)
        code, _, _ = finish(process)
        assert code == 130
    finally:
        process.kill()
        process.communicate()
    assert not list(tmp_path.iterdir()), "nothing was recorded"


def test_a_server_may_have_nothing_but_clients_sessions_over_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    port = free_port()
    process = start(
        "serve",
        *FAKE,
        "--source",
        "none",
        "--sessions",
        "1",
        "--port",
        str(port),
        "--tls-cert",
        str(certificate),
        "--tls-key",
        str(key),
        cwd=tmp_path,
    )
    try:
        assert f"https://127.0.0.1:{port}/" in wait_for_line(process, "serving at wss://")
        trust = ssl.create_default_context(cafile=str(certificate))
        page = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=trust)
        page.request("GET", "/app.js")
        assert page.getresponse().status == 200
        page.close()
        address = f"wss://localhost:{port}"
        with connect(address, ssl=trust, compression=None) as one:
            assert "audio" not in (hello(one).accepts or [])
            one.send('{"type":"open","style":"neutral"}')
            assert read(one, session_messages.Opened).style == "neutral"
            assert [read(one, codec.Message).sequence for _ in range(3)] == [0, 1, 2]
            with connect(address, ssl=trust, compression=None) as other:
                hello(other)
                other.send('{"type":"open"}')
                error = read(other, messages.Error)
                assert error.code == "capacity" and "1" in error.message
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--tls-key", "k.pem"], "--tls-cert"), (["--sessions", "-1"], "--sessions -1")],
)
def test_options_that_cannot_be(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = call(["serve", *FAKE, *options], capsys)
    assert code == 2 and words in said


def test_the_delay_for_a_streaming_program_is_what_99_frames_of_100_meet() -> None:
    statistics = LiveStatistics()
    for number in range(300):
        late = 0.5 if number < 50 else 0.121 + 0.02 * (number % 2)
        statistics.add(FrameTiming(0.0, late, late, late, late), late, False)
    assert "by 150 ms" in delay_advice(statistics), "the last ten seconds count"


@pytest.mark.parametrize(
    "options", [["--a2f", "--sessions", "0"], ["--a2f", "1", "2"], ["--a2f", "70000"]]
)
def test_audio2face_that_cannot_be_is_wrong_usage(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, messages = call(["serve", *FAKE, "--source", "none", *options], capsys)
    assert code == 2 and "--a2f" in messages and messages.count("\n") == 1


def test_a_clients_certificate_needs_one_of_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, _ = make_certificate(tmp_path)
    ca = ["--tls-client-ca", str(certificate)]
    code, _, messages = call(["serve", *FAKE, "--source", "none", *ca], capsys)
    assert code == 2 and "--tls-cert" in messages


def test_clients_must_show_their_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = tls_context(AddressSettings(tls_cert=certificate, tls_key=key))
    assert context is not None and context.verify_mode == ssl.CERT_NONE
    both = AddressSettings(tls_cert=certificate, tls_key=key, tls_client_ca=certificate)
    context = tls_context(both)
    assert context is not None and context.verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(ValueError, match="not a PEM file with certificates"):
        tls_context(AddressSettings(tls_cert=certificate, tls_key=key, tls_client_ca=key))


@pytest.mark.skipif(find_spec("nvidia_ace") is not None, reason="not run: the extra is here")
def test_audio2face_without_its_extra_says_what_brings_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--source", "none", "--port", "0", "--a2f", "0"]
    code, _, messages = call(["serve", *FAKE, *options], capsys)
    assert code == 1 and brings("a2f", messages)
