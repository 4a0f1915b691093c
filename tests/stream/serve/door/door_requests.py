"""Requests to a server's door, well-formed and not."""

from __future__ import annotations

import http.client

from patience import PATIENCE

from stream.serve.door.http_pages import Page
from stream.serve.server import Server

TOKEN = "a-secret-of-sixteen"


PAGES = {
    "/index.html": Page(b"<p>", "text/html"),
    "/head.bin": Page(b"head", "application/octet-stream", private=True),
}


def ask(
    server: Server, path: str, method: str = "GET", **fields: str
) -> tuple[int, dict[str, str], bytes]:
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        link.request(method, path, headers={k.replace("_", "-"): v for k, v in fields.items()})
        answer = link.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        link.close()


def upgrade(port: int) -> bytes:
    return (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
