"""Who may connect: loopback or a token, and no web pages from elsewhere."""

from __future__ import annotations

import hmac
import http
import ipaddress
import urllib.parse
from collections.abc import Collection
from dataclasses import dataclass


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Gate:
    """Judges a client by its handshake.

    Attributes:
        token: what clients must bring, as `?token=` or `Authorization: Bearer`; None asks nothing.
        origins: web pages that may connect besides those served by this machine, as
            `https://example.org`; `*` lets all in.
    """

    token: str | None = None
    origins: Collection[str] = ()

    def refusal(
        self, path: str, origin: str | None, authorization: str | None, host: str | None = None
    ) -> tuple[http.HTTPStatus, str] | None:
        """Why this client must stay out, as an HTTP status and a sentence; None lets it in.

        Args:
            path: the request's target, with its query.
            origin, authorization, host: the headers of these names.
        """
        own_page = self.token is not None and _is_of_host(origin, host)
        if origin is not None and not own_page and not self._knows(origin):
            return http.HTTPStatus.FORBIDDEN, "this origin is not allowed"
        if self.token is not None and not self._holds_token(path, authorization or ""):
            return http.HTTPStatus.UNAUTHORIZED, "a token is needed"
        return None

    def page_refusal(self, host: str | None) -> tuple[http.HTTPStatus, str] | None:
        """Why a browser that asked for a page at this `Host` must not get one; None lets it in.

        Without a token only names of this machine are answered: a name elsewhere that was made to
        point here (DNS rebinding) would let a foreign page read what is served.
        """
        name = _host_name(host)
        known = {_host_name(urllib.parse.urlsplit(o).netloc) for o in self.origins if "//" in o}
        if self.token is not None or is_loopback(name) or name in known or "*" in self.origins:
            return None
        return http.HTTPStatus.FORBIDDEN, "pages are served by the names of this machine only"

    def _knows(self, origin: str) -> bool:
        """Any web page in a browser here could reach the port; programs send no origin."""
        if origin in self.origins or "*" in self.origins:
            return True
        try:
            host = urllib.parse.urlsplit(origin).hostname
        except ValueError:
            return False
        return host is not None and is_loopback(host)

    def _holds_token(self, path: str, authorization: str) -> bool:
        query = urllib.parse.parse_qs(path.partition("?")[2])
        given = query.get("token", [authorization.removeprefix("Bearer ")])[0]
        return hmac.compare_digest(given.encode(), (self.token or "").encode())


def _host_name(host: str | None) -> str:
    """The name in a `Host` header, without its port."""
    try:
        return urllib.parse.urlsplit(f"//{host or ''}").hostname or ""
    except ValueError:
        return ""


def _is_of_host(origin: str | None, host: str | None) -> bool:
    """Whether a page comes from the very host and port that it now connects to."""
    if not origin or not host:
        return False
    try:
        return urllib.parse.urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
