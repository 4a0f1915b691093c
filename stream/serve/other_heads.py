"""Heads that clients may have their own sessions move, besides the server's: made ready once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from head.model import Head
from stream.backends.protocol import Backend
from stream.core.retarget import model_of, on_head
from stream.wire import messages
from stream.wire.channels import make_hello


@dataclass(frozen=True)
class OtherHead:
    """A head, the model's motion on it, and what the wire says of it.

    Attributes:
        head: poses and names what is sent.
        backend: of its sessions; the model is the one of all of them.
        hello: its channels and counts.
    """

    head: Head
    backend: Backend
    hello: messages.Hello


def other_heads(backend: Backend, heads: Iterable[Head]) -> dict[str, OtherHead]:
    """By id, without the head that `backend` moves already.

    Raises:
        head.HeadError: the model's own head is not here, or its motion cannot be mapped.
    """
    model = model_of(backend)
    return {
        head.id: OtherHead(head, on_head(model, head), make_hello(head))
        for head in heads
        if head.id != backend.head_id
    }
