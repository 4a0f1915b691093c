"""Whom a server lets in, and what it answers browsers: requests judged, as values."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Protocol

from stream.serve import http_pages
from stream.serve.auth import Gate

Refusal = tuple[http.HTTPStatus, str]


class Headers(Protocol):
    """Fields of a request, whatever case their names are written in."""

    def get(self, key: str, /) -> str | None: ...


class Admission:
    """Judges requests.

    Args:
        gate: knows tokens, origins and hosts.
        pages: what browsers get, by path.
        clients: websockets at once.
    """

    def __init__(self, gate: Gate, pages: Mapping[str, http_pages.Page], clients: int) -> None:
        self._gate, self._pages, self._most = gate, dict(pages), clients

    def refusal(self, path: str, headers: Headers, clients: int) -> Refusal | None:
        """Why no websocket opens for this request, `clients` being here; None lets it in."""
        refused = self._gate_refusal(path, headers)
        if refused is None and clients >= self._most:
            return http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients"
        return refused

    def page(self, path: str, headers: Headers) -> http_pages.Answer:
        """The answer to a plain HTTP request: a page of the site, or why not."""
        page = self._pages.get(http_pages.page_path(path))
        refused = self._gate.page_refusal(headers.get("Host"))
        if refused is None and page is None:
            refused = http.HTTPStatus.NOT_FOUND, "there is no such page"
        if refused is None and page is not None and page.private:
            refused = self._gate_refusal(path, headers)
        if refused is not None or page is None:
            return http_pages.refusal(*(refused or (http.HTTPStatus.NOT_FOUND, "")))
        return http_pages.answer(page, headers.get("Accept-Encoding"))

    def _gate_refusal(self, path: str, headers: Headers) -> Refusal | None:
        return self._gate.refusal(
            path, headers.get("Origin"), headers.get("Authorization"), headers.get("Host")
        )
