"""Tokens: which protect, what each opens, and how guesses are braked."""

from __future__ import annotations

import socket

import pytest
from door_requests import PAGES, TOKEN, ask
from patience import PATIENCE
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from wire_clients import HEAD, HELLO

from stream.serve.door.auth import Gate, Role, check_token, credentials
from stream.serve.limits import Limits
from stream.serve.server import Server, ServerError


@pytest.mark.parametrize("token", ["", "short", "x" * 15])
def test_a_token_that_does_not_protect_is_an_error(token: str) -> None:
    with pytest.raises(ServerError, match=r"the token (is empty|has \d+ characters)"):
        Server(HEAD, HELLO, port=0, token=token)
    with pytest.raises(ValueError, match="operator"):
        check_token(token, "operator's token")
    check_token(None)
    check_token("x" * 16)


def test_a_token_in_the_address_becomes_a_cookie_and_leaves_it() -> None:
    with Server(HEAD, HELLO, port=0, token=TOKEN, pages=PAGES) as server:
        status, fields, _ = ask(server, f"/?token={TOKEN}")
        assert (status, fields["location"]) == (303, "/")
        flags = fields["set-cookie"]
        assert "HttpOnly" in flags and "SameSite=Strict" in flags and TOKEN not in flags
        cookie = flags.partition(";")[0]
        assert ask(server, "/head.bin")[0] == 401
        assert ask(server, "/head.bin", Cookie=cookie)[0] == 200
        assert ask(server, "/head.bin", Cookie=cookie[:-1] + "x")[0] == 401
        own = f"http://127.0.0.1:{server.port}"
        headers = {"Cookie": cookie}
        with connect(server.url, origin=own, additional_headers=headers) as link:  # type: ignore[arg-type]
            link.recv(timeout=PATIENCE)
        for origin in ("http://127.0.0.1:1", "http://localhost:5173"):
            with pytest.raises(InvalidStatus, match="401"):
                connect(server.url, origin=origin, additional_headers=headers)  # type: ignore[arg-type]
        status, fields, _ = ask(server, "/?token=wrong-wrong-wrong-wrong")
        assert status == 200 and "set-cookie" not in fields
        assert "set-cookie" in ask(server, "/head.bin", Authorization=f"Bearer {TOKEN}")[1]


def test_guesses_are_braked_for_the_address_they_come_from() -> None:
    limits = Limits(wrong_tokens=3, wrong_token_seconds=1000)
    with Server(HEAD, HELLO, port=0, token=TOKEN, pages=PAGES, limits=limits) as server:
        for path in ("/head.bin", "/", "/metrics"):
            ask(server, path, Authorization="Bearer wrong-wrong-wrong")
        for path in ("/head.bin", "/", "/metrics"):
            assert ask(server, path, Authorization=f"Bearer {TOKEN}")[0] == 429
        with pytest.raises(InvalidStatus, match="429"):
            connect(f"{server.url}/?token={TOKEN}")
        # From another address there is none to feel.
        link = socket.create_connection(
            ("127.0.0.1", server.port), source_address=("127.0.0.2", 0), timeout=PATIENCE
        )
        with link:
            wanted = f"GET /head.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            link.sendall(wanted.encode())
            assert link.recv(4096).startswith(b"HTTP/1.1 200")


def test_what_each_token_opens() -> None:
    gate = Gate(TOKEN, operator_token="an-operators-secret")
    assert gate.role(credentials(f"/?token={TOKEN}", None)) is Role.VIEWER
    assert gate.role(credentials("/", "Bearer an-operators-secret")) is Role.OPERATOR
    assert gate.role(credentials("/", "Basic an-operators-secret")) is None
    assert gate.role(credentials("/?token=", None)) is None
    assert Gate().role(credentials("/", None)) is Role.VIEWER
    assert Gate(operator_token=TOKEN).role(credentials("/", f"Bearer {TOKEN}")) is Role.OPERATOR
