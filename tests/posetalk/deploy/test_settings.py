"""What a deployment is told, what its replicas tell, and how requests are read; no Ray here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cli import call

from posetalk.app.settings.address import AddressSettings
from posetalk.deploy.asgi import arrived_of
from posetalk.deploy.board import SILENT_SECONDS, Board, Note
from posetalk.deploy.replica import stream_settings
from posetalk.deploy.settings import DeploySettings, for_newcomers, from_arguments, ticket_key
from posetalk.terminal.console import UsageError

TOKEN = "a token of sixteen and more"


def test_arguments_of_serve_run() -> None:
    told = from_arguments({"replicas": "3", "cores": "2", "bundle": "starter", "direct": "yes"})
    assert (told.replicas, told.cores, told.direct, told.model.bundle) == (3, 2, True, "starter")
    for arguments, line in (
        ({"replica": "3"}, "no argument `replica`; there are replicas"),
        ({"replicas": "three"}, "replicas=three: a whole number"),
        ({"replicas": "4", "most_replicas": "2"}, "--most-replicas 2: at least --replicas, 4"),
        ({"sessions": "0"}, "--sessions 0: at least 1"),
    ):
        with pytest.raises(UsageError, match=line):
            from_arguments(arguments)


def test_the_command_judges_before_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, line in (
        (["--cores", "0"], "--cores 0: at least 1"),
        (["--host", "0.0.0.0"], "give them a token"),
        (["--backend", "fake", "--precision", "bf16"], "precision"),
    ):
        code, _, messages = call(["deploy", *arguments], capsys)
        assert code == 2 and line in messages and len(messages.splitlines()) == 1


def test_secrets_travel_in_the_settings_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    closed = DeploySettings(address=AddressSettings(host="0.0.0.0", token_file=file)).closed()
    assert closed.address.token == TOKEN and closed.address.token_file is None
    assert ticket_key(TOKEN) == ticket_key(TOKEN) != ticket_key("another token of sixteen")
    assert ticket_key(None) != ticket_key(None)
    # A replica that nobody reaches directly listens to this machine alone, without TLS.
    near = stream_settings(closed, 7)
    assert (near.address.host, near.address.port, near.sessions) == ("127.0.0.1", 0, 7)
    far = stream_settings(replace(closed, direct=True), 7)
    assert far.address.host == "0.0.0.0" and far.address.token == TOKEN


def test_room_for_a_lost_replica_is_kept_free() -> None:
    assert [for_newcomers(12, n) for n in (1, 2, 3, 4)] == [12, 6, 8, 9]
    assert for_newcomers(1, 2) == 1


def test_the_board_knows_who_has_room() -> None:
    now = [0.0]
    board = Board(lambda: now[0])
    assert board.health().unready == "full", "nobody is there yet"
    board.note("a", Note(clients=3, sessions=2, places=10, session_places=2, sent=50))
    assert board.health().unready == "full"
    board.note("b", Note(clients=1, sessions=1, places=10, session_places=2, sent=25, refused=4))
    health = board.health()
    assert health.unready == "" and (health.counts.sessions, health.session_places) == (3, 4)
    assert (health.counts.session_sent, health.counts.refused) == (75, 4)
    now[0] = SILENT_SECONDS + 1.0
    board.note("a", Note(sessions=0, places=10, session_places=2))
    assert board.health().session_places == 2, "who tells nothing is gone"
    board.forget("a")
    assert board.health().session_places == 0


def test_a_handshake_as_asgi_has_it() -> None:
    scope = {
        "path": "/talk/direct",
        "root_path": "/talk",
        "query_string": b"token=a%20b",
        "headers": [(b"Host", b"here"), (b"cookie", b"a=1"), (b"Cookie", b"b=2")],
        "client": ["10.0.0.7", 4711],
    }
    arrived = arrived_of(scope)
    assert arrived.path == "/direct?token=a%20b" and arrived.address == ("10.0.0.7", 4711)
    assert arrived.get("HOST") == "here" and arrived.get("Cookie") == "a=1, b=2"
    assert arrived.get("Origin") is None
    bare = arrived_of({"path": "/", "headers": []})
    assert (bare.path, bare.address) == ("/", ("", 0))
