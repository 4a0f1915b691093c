"""Origins of web pages, as browsers send them and as people write them: made the same, compared."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable

from head.errors import PosetalkError

ANY = "*"
NULL = "null"
"""The origin of files, of sandboxed frames and of `data:` pages, whoever they belong to."""
USUAL_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class OriginError(PosetalkError, ValueError):
    """It is no origin; one line."""


def normal_origin(text: str) -> str:
    """The origin `text` in the one form: `scheme://host[:port]`, small letters, no usual port.

    A slash at its end is forgiven.  `*` and `null` stay as they are.

    Raises:
        OriginError: it has no scheme or no host, or more than an origin has.
    """
    written = text.strip()
    if written == ANY or written.lower() == NULL:
        return written.lower()
    try:
        parts = urllib.parse.urlsplit(written)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise OriginError(_wanted(text)) from None
    extra = parts.path.rstrip("/") or parts.query or parts.fragment or parts.username
    if not parts.scheme or not host or extra or parts.password is not None:
        raise OriginError(_wanted(text))
    if not host.isascii():
        try:
            host = host.encode("idna").decode()  # as browsers send it
        except UnicodeError:
            raise OriginError(_wanted(text)) from None
    scheme = parts.scheme.lower()
    authority = f"[{host}]" if ":" in host else host
    if port is None or port == USUAL_PORTS.get(scheme):
        return f"{scheme}://{authority}"
    return f"{scheme}://{authority}:{port}"


def normal_origins(origins: Iterable[str]) -> frozenset[str]:
    """All of them in the one form; raises OriginError."""
    return frozenset(map(normal_origin, origins))


def host_of(origin: str) -> str:
    """The name of the machine that a page comes from; "": there is none."""
    try:
        return urllib.parse.urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def is_of_host(origin: str | None, host: str | None) -> bool:
    """Whether a page comes from the very host and port that it now connects to."""
    if not origin or not host:
        return False
    try:
        return urllib.parse.urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _wanted(text: str) -> str:
    shown = ascii(text if len(text) <= 80 else text[:77] + "...")
    return f"{shown} is no web page's origin: write it as https://example.org or http://host:8080"
