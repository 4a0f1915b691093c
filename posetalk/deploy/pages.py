"""The page, and how all replicas do: what answers browsers and probes of a deployment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from posetalk.app.settings.tokens import OPERATOR_VARIABLE
from posetalk.deploy.board import Board, Note
from posetalk.deploy.settings import ReplicaSettings
from stream.serve.door import http_pages
from stream.serve.door.admission import Admission, Site
from stream.serve.door.auth import Gate
from stream.serve.door.origins import normal_origins
from stream.serve.door.peers import Peers
from stream.serve.limits import Limits
from stream.serve.metrics import reports


class PageDesk:
    """Answers plain requests; holds no model.

    Args:
        settings: as every replica gets them.
    """

    def __init__(self, settings: ReplicaSettings) -> None:
        from diffposetalk.bundle.bundle import load_bundle
        from head.rig import CHARACTERS, character, load_head, open_head
        from viewer.page.site import get_ready, make_site

        wanted = settings.deployment
        model, address = wanted.model, wanted.address
        bundle = load_bundle(model.bundle)
        own = load_head(bundle.head_id) if model.head is None else open_head(model.head)
        shape = bundle.statistics.shape_mean if own.id == bundle.head_id else None
        heads = [open_head(name) for name in wanted.other_heads]
        pages = make_site(own, shape, [*heads, *(character(name) for name in CHARACTERS)])
        get_ready(pages)
        self._board, self._peers = Board(), Peers(Limits())
        names = reports(self._board.health())
        told = {name: lambda name=name: reports(self._board.health())[name]() for name in names}
        gate = Gate(
            address.token, normal_origins(address.origin), os.environ.get(OPERATOR_VARIABLE)
        )
        site = Site(pages, told, secure=address.tls_cert is not None)
        self._admission = Admission(gate, site, 0)

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], address: tuple[str, int]
    ) -> http_pages.Answer:
        """The answer to a request."""
        from stream.serve.door.bridged import Arrived

        arrived = Arrived(target, headers, address)
        return self._admission.page(method, target, arrived, self._peers.of(address))

    def note(self, name: str, note: Note | None) -> None:
        """A replica tells how it does; None: it takes nobody any more."""
        if note is None:
            self._board.forget(name)
        else:
            self._board.note(name, note)
