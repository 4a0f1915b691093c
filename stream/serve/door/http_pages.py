"""Plain HTTP on the websocket's port, as values: which page answers which request.

A page is held in memory whole and never changes; nothing of a request reaches the file system.
"""

from __future__ import annotations

import gzip
import http
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

SAFE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every page: it runs its own files only, and no other site may read or frame it."""


@dataclass(frozen=True)
class Page:
    """One file of a site.

    Attributes:
        body: its bytes.
        content_type: as in HTTP.
        private: wants the server's token, where it has one; the page's own code is public.
    """

    body: bytes
    content_type: str
    private: bool = False

    @cached_property
    def packed(self) -> bytes:
        """The bytes as gzip."""
        return gzip.compress(self.body, 6, mtime=0)


class LatePage(Page):
    """A page whose bytes are made when they are first asked for: once, in whichever thread."""

    _made: dict[str, bytes]
    _make: Callable[[], bytes]
    _making: threading.Lock

    def __init__(self, make: Callable[[], bytes], content_type: str, private: bool = False) -> None:
        own = {"_make": make, "_made": {}, "_making": threading.Lock()}
        for name, value in {**own, "content_type": content_type, "private": private}.items():
            object.__setattr__(self, name, value)

    @property
    def body(self) -> bytes:
        """Its bytes."""
        return self._once("body", self._make)

    @property
    def packed(self) -> bytes:
        """The bytes as gzip."""
        body = self.body
        return self._once("packed", lambda: gzip.compress(body, 6, mtime=0))

    @property
    def is_made(self) -> bool:
        """Whether it can be answered with at once."""
        return "packed" in self._made

    def _once(self, what: str, make: Callable[[], bytes]) -> bytes:
        with self._making:
            if what not in self._made:
                self._made[what] = make()
            return self._made[what]


@dataclass(frozen=True)
class Answer:
    """A response of HTTP."""

    status: http.HTTPStatus
    headers: Mapping[str, str]
    body: bytes

    def head(self) -> Answer:
        """The same without its body, which its length still tells."""
        length = {"Content-Length": str(len(self.body))}
        return Answer(self.status, {**self.headers, **length}, b"")


@dataclass(frozen=True)
class Report:
    """A page that is written when it is asked for: how the server does."""

    status: http.HTTPStatus
    content_type: str
    body: bytes


METHODS = ("GET", "HEAD")
LONGEST_METHOD = 32


def early_refusal(first: bytes) -> bytes | None:
    """The whole response to a request of a method that no page answers, by its first bytes.

    A body may follow, which nobody reads.  None: it is one of the two, or that is not known yet.
    """
    method, space, _ = first[: LONGEST_METHOD + 1].partition(b" ")
    if not space or not method.isalpha() or method.decode() in METHODS:
        return None
    made = wrong_method()
    length = {"Content-Length": str(len(made.body)), "Connection": "close"}
    fields = "".join(f"{name}: {value}\r\n" for name, value in {**length, **made.headers}.items())
    status = f"HTTP/1.1 {made.status.value} {made.status.phrase}\r\n"
    return f"{status}{fields}\r\n".encode() + made.body


def is_websocket(upgrade: str | None) -> bool:
    """Whether a request with this `Upgrade` header wants a websocket, and no page."""
    return upgrade is not None and "websocket" in upgrade.lower()


def page_path(path: str) -> str:
    """The name of the page that a request's target asks for: `/` is `/index.html`."""
    name = path.partition("?")[0]
    return "/index.html" if name in ("", "/") else name


def without_token(path: str) -> str:
    """The page's address with what its query says but the token: it must not stay there."""
    kept = [part for part in path.partition("?")[2].split("&") if part.partition("=")[0] != "token"]
    query = "&".join(part for part in kept if re.fullmatch(r"[\w.=%#+-]+", part, re.ASCII))
    return f"/?{query}" if query else "/"


def answer(
    page: Page, accepts: str | None = None, extra: Mapping[str, str] | None = None
) -> Answer:
    """The response with a page, packed for clients that accept gzip."""
    headers = {**SAFE_HEADERS, "Content-Type": page.content_type, "Vary": "Accept-Encoding"}
    headers |= extra or {}
    body = page.body
    if "gzip" in (accepts or "") and len(page.packed) < len(body):
        headers["Content-Encoding"] = "gzip"
        body = page.packed
    return Answer(http.HTTPStatus.OK, headers, body)


def report(made: Report) -> Answer:
    """The response with a report, which nobody keeps."""
    headers = {**SAFE_HEADERS, "Cache-Control": "no-store", "Content-Type": made.content_type}
    return Answer(made.status, headers, made.body)


def redirect(path: str, extra: Mapping[str, str]) -> Answer:
    """The response that sends a browser on to `path`."""
    headers = {**SAFE_HEADERS, "Cache-Control": "no-store", "Location": path, **extra}
    return Answer(http.HTTPStatus.SEE_OTHER, headers, b"")


def wrong_method() -> Answer:
    """The response to every method but the two that there are."""
    return refusal(
        http.HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only", {"Allow": ", ".join(METHODS)}
    )


def refusal(
    status: http.HTTPStatus, sentence: str, extra: Mapping[str, str] | None = None
) -> Answer:
    """The response that says no, in one sentence."""
    headers = {**SAFE_HEADERS, "Content-Type": "text/plain; charset=utf-8", **(extra or {})}
    return Answer(status, headers, f"{sentence}\n".encode())
