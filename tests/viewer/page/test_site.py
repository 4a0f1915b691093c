"""Plain HTTP on the server's port: which page who gets, and the head as the page reads it."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

from head.rig import builtin_head
from head.skinning import skin
from stream.serve.door.auth import Gate
from stream.serve.door.http_pages import Page, page_path
from stream.serve.server import Server
from stream.wire.channels import make_hello
from viewer.page.head_file import pack_head, unpack
from viewer.page.site import look, make_site

HEAD = builtin_head()
SITE = make_site(HEAD)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(HEAD, make_hello(HEAD), port=0, pages=SITE) as running:
        yield running


def get(server: Server, path: str, method: str = "GET", **headers: str) -> Any:
    """(status, headers, body) of a request."""
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        link.request(method, path, headers=headers)
        answer = link.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        link.close()


def test_the_page_and_its_files_are_served_beside_the_websocket(server: Server) -> None:
    status, headers, body = get(server, "/")
    assert status == 200 and b"<canvas" in body and "text/html" in headers["Content-Type"]
    assert get(server, "/?whatever=1")[2] == body == get(server, "/index.html")[2]
    for path in SITE:
        status, headers, body = get(server, path)
        assert (status, body) == (200, SITE[path].body)
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    kinds = {path: page.content_type for path, page in SITE.items()}
    assert kinds["/app.js"].startswith("text/javascript")
    assert kinds["/style.css"].startswith("text/css")


def test_files_are_packed_for_those_who_can_unpack_them(server: Server) -> None:
    _, headers, body = get(server, "/head.bin", **{"Accept-Encoding": "gzip, br"})
    assert headers["Content-Encoding"] == "gzip" and len(body) < 0.7 * len(SITE["/head.bin"].body)
    assert gzip.decompress(body) == SITE["/head.bin"].body


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/../pyproject.toml",
        "/%2e%2e/app.js",
        "//app.js",
        "/web/app.js",
        "/app.js/",
        "*",
    ],
)
def test_nothing_else_is_there(server: Server, path: str) -> None:
    status, _, body = get(server, path)
    assert status == 404 and body == b"there is no such page\n"


def test_a_request_that_is_none_ends_the_connection_and_nothing_else(server: Server) -> None:
    for rubbish in (
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"GET " + b"a" * 70000,
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as link:
            link.sendall(rubbish)
            link.shutdown(socket.SHUT_WR)
            assert b"200 OK" not in link.recv(65536)
    assert get(server, "/")[0] == 200


def test_a_name_from_elsewhere_that_points_here_gets_no_page(server: Server) -> None:
    assert get(server, "/", Host="evil.example:80")[0] == 403
    assert get(server, "/", Host=f"localhost:{server.port}")[0] == 200
    assert get(server, "/", Host="[::1]:1")[0] == 200
    assert get(server, "/", Host="[")[0] == 403


def test_with_a_token_the_head_takes_it_and_the_code_does_not() -> None:
    with Server(HEAD, make_hello(HEAD), port=0, pages=SITE, token="a-secret-of-sixteen") as server:
        assert get(server, "/")[0] == get(server, "/app.js")[0] == 200
        assert get(server, "//[?token=a-secret-of-sixteen")[0] == 404
        assert get(server, "/head.bin")[0] == get(server, "/head.bin?token=no")[0] == 401
        assert get(server, "/head.bin?token=a-secret-of-sixteen")[0] == 200
        assert get(server, "/head.bin", Authorization="Bearer a-secret-of-sixteen")[0] == 200


def test_the_servers_own_page_may_connect_with_the_token_only() -> None:
    own = {"origin": "https://box.example:8765", "host": "box.example:8765"}
    with_token = Gate(token="a-secret-of-sixteen")
    assert with_token.refusal("/?token=a-secret-of-sixteen", authorization=None, **own) is None
    other = own | {"origin": "https://evil.example:8765"}
    assert (
        with_token.refusal("/?token=a-secret-of-sixteen", authorization=None, **other) is not None
    )
    # Without a token a page that calls itself this host may be anybody's (DNS rebinding).
    assert Gate().refusal("/", authorization=None, **own) is not None
    assert Gate(origins=["https://box.example:8765"]).page_refusal("box.example:8765") is None


def test_paths_are_read_without_trusting_them() -> None:
    assert page_path("/") == page_path("") == page_path("/?a=/x") == "/index.html"
    assert page_path("//[") == "//["
    assert Page(b"abc", "text/plain").packed != b"abc"


# --- the head's file ---------------------------------------------------------------------------
def posed(data: bytes, expression: Any) -> Any:
    """Vertices (V, 3) from the file's arrays, before any joint turns."""
    index, arrays = unpack(data)
    moved = arrays["template"].astype(np.float64)
    for channel in range(len(index["channels"])):
        rows = slice(*arrays["expression_start"][channel : channel + 2])
        step = arrays["expression_scale"][channel] * expression[channel]
        moved[arrays["expression_vertex"][rows]] += step * arrays["expression_move"][rows]
    return moved


def test_the_file_holds_the_head() -> None:
    data = pack_head(HEAD)
    index, arrays = unpack(data)
    assert index["id"] == HEAD.id and index["channels"] == list(HEAD.expression_names)
    assert len(data) < 1_000_000
    straight = replace(HEAD, pose_from_expression=np.zeros_like(HEAD.pose_from_expression))
    expression = np.random.default_rng(0).uniform(0, 1, 50).astype("f4")
    assert np.abs(posed(data, expression) - skin(straight, expression)).max() < 1e-5
    drawn = arrays["source"][arrays["triangles"]]
    assert {tuple(sorted(t)) for t in drawn.tolist()} == {
        tuple(sorted(t)) for t in HEAD.faces.tolist()
    }
    assert np.allclose(arrays["bone_weight"].sum(axis=1), 1, atol=1e-5)
    assert arrays["ranges"].all() and arrays["ranges"].sum() == len(HEAD.faces)


def test_a_shape_is_built_in() -> None:
    shape = np.linspace(-1, 1, HEAD.shape_count).astype("f4")
    _, arrays = unpack(pack_head(HEAD, shape))
    still = np.zeros(50, "f4")
    assert np.abs(arrays["template"] - skin(HEAD, still, shape=shape)).max() < 1e-5
    assert np.abs(arrays["joints"] - HEAD.rest_joints).max() > 1e-4


def test_pose_correctives_come_along() -> None:
    basis = np.zeros((HEAD.vertex_count, 3, 36), "f4")
    basis[7, 1, 20] = 0.01
    _, arrays = unpack(pack_head(replace(HEAD, pose_basis=basis)))
    assert arrays["pose_start"].tolist() == [0] * 21 + [1] * 16
    assert arrays["pose_vertex"].tolist() == [7]
    assert arrays["pose_move"][0, 1] * arrays["pose_scale"][20] == pytest.approx(0.01)


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not a packed head"):
        unpack(b"PK\3\4" + bytes(60))


def test_the_shaders_are_those_of_the_window_made_for_the_web() -> None:
    shaders = json.loads(SITE["/look.json"].body)
    assert shaders == look()
    for name in ("vertex", "fragment", "backdrop_vertex", "backdrop_fragment"):
        assert shaders[name].startswith("#version 300 es\nprecision highp float")


def test_a_program_that_ends_waits_for_the_page_being_made_alone() -> None:
    program = """
import time
from viewer.page.site import get_ready
class Slow:
    @property
    def packed(self):
        time.sleep(0.3)
        print("made", flush=True)
get_ready({str(number): Slow() for number in range(100)})
time.sleep(0.1)
"""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert 1 <= ended.stdout.count("made") <= 2
