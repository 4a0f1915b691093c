"""Whom a server lets in, and what it answers browsers: requests judged, as values."""

from __future__ import annotations

import http
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from stream.serve.door import http_pages
from stream.serve.door.auth import WRONG_TOKEN, Gate, Refusal, Role, credentials
from stream.serve.door.peers import Peer

FULL: Refusal = (http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients")
PEER_FULL: Refusal = (http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients from this address")
BRAKED: Refusal = (http.HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens: wait a minute")
NO_PAGE: Refusal = (http.HTTPStatus.NOT_FOUND, "there is no such page")

REASONS = {FULL: "full", PEER_FULL: "peer_full", BRAKED: "brake", WRONG_TOKEN: "token"}
"""What refusals are counted as; others: `origin`."""


class Headers(Protocol):
    """Fields of a request, whatever case their names are written in."""

    def get(self, key: str, /) -> str | None: ...


@dataclass(frozen=True)
class Site:
    """What browsers and those who watch over the server get.

    Attributes:
        pages: by path.
        reports: pages that are written when they are asked for, by path; behind the same door.
        secure: whether it is served by TLS.
    """

    pages: Mapping[str, http_pages.Page]
    reports: Mapping[str, Callable[[], http_pages.Report]]
    secure: bool = False


class Admission:
    """Judges requests.

    Args:
        gate: knows tokens, origins and hosts.
        site: what there is to read.
        clients: websockets at once; an attribute, `most_clients`, too.
        now: seconds, for the brake.
    """

    def __init__(
        self, gate: Gate, site: Site, clients: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._gate, self._site, self._now = gate, site, now
        self.most_clients = clients

    def refusal(self, path: str, headers: Headers, clients: int, peer: Peer) -> Refusal | None:
        """Why no websocket opens for this request, `clients` being here; None lets it in."""
        refused = self._gate_refusal(path, headers, peer)
        if refused is None and clients >= self.most_clients:
            return FULL
        if refused is None and peer.clients >= peer.most_clients:
            return PEER_FULL
        return refused

    def role(self, path: str, headers: Headers) -> Role:
        """What a client that was let in may do."""
        brought = credentials(path, headers.get("Authorization"), headers.get("Cookie"))
        return self._gate.role(brought) or Role.VIEWER

    def late_page(self, path: str) -> http_pages.LatePage | None:
        """The page that a request asks for, where it has yet to be made."""
        page = self._site.pages.get(http_pages.page_path(path))
        return page if isinstance(page, http_pages.LatePage) and not page.is_made else None

    def page(self, method: str, path: str, headers: Headers, peer: Peer) -> http_pages.Answer:
        """The answer to a plain HTTP request: a page of the site, or why not."""
        if method not in http_pages.METHODS:
            return http_pages.wrong_method()
        answer = self._page(path, headers, peer)
        return answer.head() if method == "HEAD" else answer

    def _page(self, path: str, headers: Headers, peer: Peer) -> http_pages.Answer:
        name = http_pages.page_path(path)
        page, report = self._site.pages.get(name), self._site.reports.get(name)
        refused = self._gate.page_refusal(headers.get("Host"))
        if refused is None and page is None and report is None:
            refused = NO_PAGE
        private = report is not None or (page is not None and page.private)
        judged: Refusal | None = None
        if refused is None and (private or _guesses(path, headers)):
            judged = self._gate_refusal(path, headers, peer)
            if private or judged == BRAKED:
                refused = judged
        if refused is not None:
            return http_pages.refusal(*refused)
        if report is not None:
            return http_pages.report(report())
        assert page is not None
        cookie = self._cookie_headers(path, headers) if judged is None else {}
        if cookie and name == "/index.html" and "token=" in path:
            return http_pages.redirect(http_pages.without_token(path), cookie)
        return http_pages.answer(page, headers.get("Accept-Encoding"), cookie)

    def _cookie_headers(self, path: str, headers: Headers) -> dict[str, str]:
        brought = credentials(path, headers.get("Authorization"))
        cookie = self._gate.cookie(brought)
        if cookie is None:
            return {}
        flags = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if self._site.secure else "")
        return {"Set-Cookie": cookie + flags}

    def _gate_refusal(self, path: str, headers: Headers, peer: Peer) -> Refusal | None:
        """Judge tokens no faster than the peer's brake allows: a guess costs one."""
        guesses = self._gate.token is not None and _guesses(path, headers)
        if guesses and not peer.brake.has(1.0, self._now()):
            return BRAKED
        refused = self._gate.refusal(
            path,
            headers.get("Origin"),
            headers.get("Authorization"),
            headers.get("Host"),
            headers.get("Cookie"),
        )
        if refused == WRONG_TOKEN and guesses:
            peer.brake.take(1.0, self._now())
        return refused


def _guesses(path: str, headers: Headers) -> bool:
    """Whether a request brings a token, right or wrong."""
    return credentials(path, headers.get("Authorization")).token is not None


def reason_of(refusal: Refusal) -> str:
    """What a refusal is counted as."""
    return REASONS.get(refusal, "origin")
