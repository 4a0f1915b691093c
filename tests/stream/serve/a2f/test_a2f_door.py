"""The door of the Audio2Face-3D service, and its command."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import grpc
import pytest
from a2f_service import END, SPEECH, Answer, Served, ask, header, pieces
from certificates import make_certificate
from cli import finish, start, wait_for_line

from stream.serve.a2f.admission import address_of
from stream.serve.a2f.server import TlsFiles
from stream.serve.listener import ServerError

pytestmark = pytest.mark.extra("a2f")

TOKEN = "a token that is long enough"


def test_a_token_is_needed_where_there_is_one() -> None:
    clip = [header(), *pieces(SPEECH), END]
    with Served(token=TOKEN) as served:
        assert ask(served, *clip).code == grpc.StatusCode.UNAUTHENTICATED
        for value, code in ((TOKEN, "OK"), (TOKEN + "x", "UNAUTHENTICATED")):
            metadata = [("authorization", f"Bearer {value}")]
            assert ask(served, *clip, metadata=metadata).code == grpc.StatusCode[code]
        assert served.counts.refusals["token"] == 2
        bad = [("authorization", "Bearer guess")]
        codes = {ask(served, *clip, metadata=bad).code for _ in range(12)}
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes, "guesses are slowed down"


def test_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    certificate, key = make_certificate(tmp_path)
    own, own_key = make_certificate(tmp_path / "client")
    trust = certificate.read_bytes()
    clip = [header(), *pieces(SPEECH), END]

    def asked(served: Served, *pair: bytes) -> grpc.StatusCode:
        credentials = grpc.ssl_channel_credentials(trust, *pair)
        with grpc.secure_channel(f"localhost:{served.server.port}", credentials) as channel:
            return Answer(channel, iter(clip)).code

    with Served(tls=TlsFiles(certificate, key)) as served:
        assert served.server.url.startswith("https://")
        assert asked(served) == grpc.StatusCode.OK
        assert ask(served, *clip).code == grpc.StatusCode.UNAVAILABLE, "plain"
    with Served(tls=TlsFiles(certificate, key, own)) as served:
        assert asked(served) == grpc.StatusCode.UNAVAILABLE
        assert asked(served, own_key.read_bytes(), own.read_bytes()) == grpc.StatusCode.OK


def test_health_is_told_without_a_token() -> None:
    with Served(token=TOKEN) as served, served.channel() as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5) == b"\x08\x01"


def test_a_port_that_is_taken_is_one_line(served: Served) -> None:
    with pytest.raises(ServerError, match="is the port in use"):
        Served(port=served.server.port).__enter__()


def test_addresses() -> None:
    assert address_of("ipv4:10.0.0.7:1234") == ("10.0.0.7", 1234)
    assert address_of("ipv6:%5B2001:db8::1%5D:99") == ("2001:db8::1", 99)


def test_the_command(tmp_path: Path) -> None:
    options = ("--backend", "fake", "--source", "none", "--port", "0", "--a2f", "0")
    process = start("serve", *options, cwd=tmp_path)
    try:
        found = re.search(r"127\.0\.0\.1:(\d+)", wait_for_line(process, "serving Audio2Face"))
        assert found is not None
        with grpc.insecure_channel(f"127.0.0.1:{found[1]}") as channel:
            answer = Answer(channel, iter([header(), *pieces(SPEECH), END]))
        assert answer.sound == SPEECH.tobytes() and answer.statuses[-1][0] == 0
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130
    finally:
        process.kill()
        process.communicate()
