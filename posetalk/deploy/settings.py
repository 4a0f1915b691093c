"""What a deployment is made of, as plain values: the same for every replica, on every node."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

import tyro

from posetalk.app.settings.address import AddressSettings
from posetalk.app.settings.model import ModelSettings

SPARE_REQUESTS = 16
"""Of a replica beyond its sessions: for pages, probes, and those who are refused."""
QUEUED_REQUESTS = 64
"""That may wait in a proxy while every replica is full."""
BUSY_SHARE = 0.7
"""Of a replica's sessions, on average, that autoscaling keeps to."""


@dataclass(frozen=True)
class DeploySettings:
    """How sessions of clients are spread over the machines of a Ray cluster."""

    replicas: Annotated[int, tyro.conf.arg(metavar="N")] = 2
    """Processes that hold the model, with many sessions each. With two or more, room for the
    sessions of one is kept free, so that those of a replica that dies find a place."""
    most_replicas: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: as many as replicas)")
    ] = None
    """As many as there may be when many clients come; there are never less than --replicas."""
    cores: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Cores of a replica, and threads of its model."""
    sessions: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: it is measured)")
    ] = None
    """Of a replica. Unless it is said, each measures what its machine carries in real time."""
    direct: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Let clients connect to the replicas themselves, past Ray's proxy: they ask at /direct where.
    Every node must then be reachable for them."""
    other_heads: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME|FILE.npz ...", help_behavior_hint="(default: none)"),
    ] = ()
    """Heads that sessions may move, besides the one of --head."""
    model: ModelSettings = field(default_factory=ModelSettings)
    address: AddressSettings = field(default_factory=AddressSettings)

    def check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a value that cannot be.
        """
        from posetalk.terminal.console import UsageError

        self.model.check()
        self.address.check()
        if self.replicas < 1:
            raise UsageError(f"--replicas {self.replicas}: at least 1")
        if self.most_replicas is not None and self.most_replicas < self.replicas:
            raise UsageError(
                f"--most-replicas {self.most_replicas}: at least --replicas, {self.replicas}"
            )
        if self.cores < 1:
            raise UsageError(f"--cores {self.cores}: at least 1")
        if self.sessions is not None and self.sessions < 1:
            raise UsageError(f"--sessions {self.sessions}: at least 1")
        if self.address.tls_client_ca is not None:
            raise UsageError("--tls-client-ca is not to be had here: Ray's proxy asks for none")

    def closed(self) -> DeploySettings:
        """The same with its secrets in it, as replicas on other machines need them."""
        token = self.address.secret()
        return replace(self, address=replace(self.address, token=token, token_file=None))


@dataclass(frozen=True)
class ReplicaSettings:
    """What one replica is told.

    Attributes:
        deployment: all of it, with its secrets.
        sessions: that it may have; where nobody named them, it may find that it carries fewer.
        key: signs the tickets of sessions, the same on every replica.
        posetalk: the version that every node must have.
        bundle: the hash of the weights that every node must have.
    """

    deployment: DeploySettings
    sessions: int
    key: bytes = field(repr=False)
    posetalk: str
    bundle: str


def ticket_key(token: str | None) -> bytes:
    """The key that signs tickets: of the token, so that it outlives the deployment; else chance."""
    if token is None:
        return secrets.token_bytes(32)
    return hashlib.sha256(b"posetalk tickets\0" + token.encode()).digest()


def for_newcomers(sessions: int, replicas: int) -> int:
    """Sessions of a replica that newcomers may have: the rest waits for those of a lost one."""
    return sessions if replicas < 2 else max(1, math.floor(sessions * (replicas - 1) / replicas))


def from_arguments(arguments: Mapping[str, str]) -> DeploySettings:
    """Settings from words, as `serve run` hands them on.

    Raises:
        UsageError: an argument that is none, or a value that cannot be.
    """
    from posetalk.terminal.console import UsageError

    numbers = ("replicas", "most_replicas", "cores", "sessions")
    words = ("bundle", "style", "backend")
    own: dict[str, int | bool] = {}
    model: dict[str, str] = {}
    for name, value in arguments.items():
        if name in numbers:
            if not str(value).isdecimal():
                raise UsageError(f"{name}={value}: a whole number")
            own[name] = int(value)
        elif name in words:
            model[name] = str(value)
        elif name == "direct":
            own[name] = str(value).lower() in ("yes", "true", "1")
        else:
            there = ", ".join([*numbers, *words, "direct"])
            raise UsageError(f"no argument `{name}`; there are {there}")
    settings = DeploySettings(model=ModelSettings(**model), **own)  # type: ignore[arg-type]
    settings.check()
    return settings
