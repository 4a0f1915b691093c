"""Heads that clients may have their own sessions move, besides the server's: made ready once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from head.model import Head
from head.retarget import Retarget
from stream.backends.protocol import Backend
from stream.core.retarget import retarget_to
from stream.wire import messages
from stream.wire.channels import make_hello


@dataclass(frozen=True)
class OtherHead:
    """A head, the model's motion on it, and what the wire says of it.

    Attributes:
        head: poses and names what is sent.
        retarget: of its sessions; None on the head that the model's motion belongs to.
        hello: its channels and counts.
    """

    head: Head
    retarget: Retarget | None
    hello: messages.Hello


def other_heads(
    backend: Backend, heads: Iterable[Head], moved: str | None = None
) -> dict[str, OtherHead]:
    """By id, without the head `moved` that the server's own stream moves, by default the model's.

    Raises:
        head.model.HeadError: the model's own head is not here, or its motion cannot be mapped.
    """
    return {
        head.id: OtherHead(head, retarget_to(backend, head), make_hello(head))
        for head in heads
        if head.id != (moved or backend.head_id)
    }
