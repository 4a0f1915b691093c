"""Who may connect: loopback or a token, and no web pages from elsewhere."""

from __future__ import annotations

import enum
import hashlib
import hmac
import http
import ipaddress
import urllib.parse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from http.cookies import CookieError, SimpleCookie

from head.errors import WrongValue
from stream.serve.door.origins import (
    ANY,
    NULL,
    OriginError,
    host_of,
    is_of_host,
    normal_origin,
    normal_origins,
)

SHORTEST_TOKEN = 16

Refusal = tuple[http.HTTPStatus, str]
WRONG_TOKEN: Refusal = (http.HTTPStatus.UNAUTHORIZED, "a token is needed")
FOREIGN: Refusal = (http.HTTPStatus.FORBIDDEN, "this origin is not allowed")


class Role(enum.Enum):
    """What a client may do: watch and have a session, or steer what others have begun, too."""

    VIEWER = "viewer"
    OPERATOR = "operator"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_token(token: str | None, name: str = "token") -> None:
    """Raises ValueError for a token that does not protect: an empty or a short one."""
    if token is None:
        return
    if not token:
        raise WrongValue(f"the {name} is empty: is its variable set? Leave it out to have none")
    if len(token) < SHORTEST_TOKEN:
        raise WrongValue(
            f"the {name} has {len(token)} characters: give it {SHORTEST_TOKEN} or more, such as "
            '`python -c "import secrets; print(secrets.token_urlsafe())"` prints'
        )


def check_door(
    host: str, token: str | None, operator_token: str | None, origins: Collection[str] = ()
) -> None:
    """Judge who would get in, before there is a door.

    Raises:
        ValueError: a token that does not protect, or none where others can connect, pages of every
            site among them; an origin that cannot be; one line.
    """
    check_token(token)
    check_token(operator_token, "operator's token")
    if not is_loopback(host) and token is None:
        raise WrongValue(
            f"serving on {host} lets others connect: give them a token with --token SECRET, "
            "or stay on 127.0.0.1"
        )
    everybody = normal_origins(origins) & {ANY, NULL}
    if everybody and token is None:
        raise WrongValue(
            f"--origin '{min(everybody)}' lets pages of every site in: give a token with --token, "
            "or name the sites"
        )


@dataclass(frozen=True)
class Credentials:
    """What a request brings to be let in.

    Attributes:
        token: as `?token=` or `Authorization: Bearer`; None: none.
        cookies: as the page has them.
    """

    token: str | None
    cookies: Mapping[str, str]


def credentials(path: str, authorization: str | None, cookie: str | None = None) -> Credentials:
    """What a request's target and its headers of these names bring."""
    query = urllib.parse.parse_qs(path.partition("?")[2], keep_blank_values=True)
    kind, _, bearer = (authorization or "").partition(" ")
    given = query.get("token", [bearer if kind == "Bearer" else None])[0]
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load((cookie or "")[:4096])
    except CookieError:
        jar.clear()
    return Credentials(given, {name: morsel.value for name, morsel in jar.items()})


@dataclass(frozen=True)
class Gate:
    """Judges a client by its handshake.

    Attributes:
        token: what clients must bring, as `?token=`, `Authorization: Bearer` or the page's cookie;
            None asks nothing.
        origins: web pages that may connect besides those served by this machine, as
            `https://example.org`, in any spelling; `*` lets all in; raises OriginError where one is
            asked for and none of it can be.
        operator_token: lets in as well, and to steer what others have begun; None: nobody may.
    """

    token: str | None = None
    origins: Collection[str] = ()
    operator_token: str | None = None

    def refusal(
        self,
        path: str,
        origin: str | None,
        authorization: str | None,
        host: str | None = None,
        cookie: str | None = None,
    ) -> Refusal | None:
        """Why this client must stay out, as an HTTP status and a sentence; None lets it in.

        Args:
            path: the request's target, with its query.
            origin, authorization, host, cookie: the headers of these names.
        """
        own_page = self.token is not None and is_of_host(origin, host)
        if origin is not None and not own_page and not self._knows(origin):
            return FOREIGN
        brought = credentials(path, authorization, cookie)
        if origin is not None and not is_of_host(origin, host):
            brought = Credentials(brought.token, {})  # a cookie is of this server's own page
        if self.token is not None and self.role(brought) is None:
            return WRONG_TOKEN
        return None

    def role(self, brought: Credentials) -> Role | None:
        """What a client with these may do; None: they open nothing.  Takes the same time always."""
        operator = _matches(brought, self.operator_token)
        viewer = _matches(brought, self.token)
        if operator:
            return Role.OPERATOR
        return Role.VIEWER if viewer or self.token is None else None

    def cookie(self, brought: Credentials) -> str | None:
        """The cookie, as `NAME=VALUE`, that stands for the token which was brought; None: none."""
        if brought.token is None:
            return None
        known = [token for token in (self.operator_token, self.token) if token is not None]
        token = next((t for t in known if _same(brought.token, t)), None)
        return None if token is None else "=".join(_cookie_of(token))

    def page_refusal(self, host: str | None) -> Refusal | None:
        """Why a browser that asked for a page at this `Host` must not get one; None lets it in.

        Without a token only names of this machine are answered: a name elsewhere that was made to
        point here (DNS rebinding) would let a foreign page read what is served.
        """
        name = _host_name(host)
        known = {host_of(origin) for origin in self._origins} - {""}
        if self.token is not None or is_loopback(name) or name in known or ANY in self._origins:
            return None
        return http.HTTPStatus.FORBIDDEN, "pages are served by the names of this machine only"

    @cached_property
    def _origins(self) -> frozenset[str]:
        return normal_origins(self.origins)

    def _knows(self, origin: str) -> bool:
        """Any web page in a browser here could reach the port; programs send no origin."""
        if ANY in self._origins or is_loopback(host_of(origin)):
            return True
        try:
            return normal_origin(origin) in self._origins
        except OriginError:
            return False


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(
        given.encode(errors="surrogatepass"), token.encode(errors="surrogatepass")
    )


def _cookie_of(token: str) -> tuple[str, str]:
    """Name and value that stand for a token in a browser: other tokens have other names."""
    value = hmac.new(token.encode(errors="surrogatepass"), b"posetalk page", hashlib.sha256)
    name = hashlib.sha256(value.digest()).hexdigest()[:8]
    return f"posetalk-{name}", value.hexdigest()


def _matches(brought: Credentials, token: str | None) -> bool:
    """Whether the token, or its cookie, was brought."""
    if token is None:
        return False
    name, value = _cookie_of(token)
    by_token = _same(brought.token or "", token)
    return _same(brought.cookies.get(name, ""), value) or by_token


def _host_name(host: str | None) -> str:
    """The name in a `Host` header, without its port."""
    try:
        return urllib.parse.urlsplit(f"//{host or ''}").hostname or ""
    except ValueError:
        return ""
