"""Addresses of servers, as people write them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from viewer.client.errors import ClientError

DEFAULT_PORT = 8765


def parse_url(url: str) -> str:
    """Complete `host`, `host:port`, a page or a full address to ws://host:port.

    Raises:
        ClientError: no address.
    """
    full = url if "://" in url else f"ws://{url}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    secure = {"http": "ws", "https": "wss"}  # the page's address, which servers print
    parts = parts._replace(scheme=secure.get(parts.scheme, parts.scheme))
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ClientError(f"{url!r} is not an address: write ws://HOST:{DEFAULT_PORT}")
    if port is None and parts.scheme == "ws":
        host = parts.netloc.removesuffix(":")
        return urlunsplit(parts._replace(netloc=f"{host}:{DEFAULT_PORT}"))
    return urlunsplit(parts)


def split_token(url: str) -> tuple[str, str | None]:
    """An address without the token in its query, and that token: it is to stand in no log."""
    parts = urlsplit(url)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    token = next((value for name, value in fields if name == "token"), None)
    rest = urlencode([field for field in fields if field[0] != "token"])
    return urlunsplit(parts._replace(query=rest)), token
