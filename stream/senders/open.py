"""From addresses on the command line to senders."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from head.errors import PosetalkError
from head.model import Head
from stream.clock import Clock
from stream.frames import FPS
from stream.senders.livelink import LiveLinkEncoder
from stream.senders.udp import Encoder, UdpSender
from stream.senders.vmc import VmcEncoder, VmcNames
from stream.wire.channels import channel_names
from stream.wire.messages import ARKIT52

DEFAULT_PORTS: Final = {"livelink": 11111, "vmc": 39539}
NAMES: Final = {"livelink": "Live Link Face", "vmc": "VMC"}


class SenderError(PosetalkError, ValueError):
    """There is nowhere to send to; one line that says why."""


def parse_target(text: str, port: int) -> tuple[str, int]:
    """`HOST`, `HOST:PORT` or `[V6]:PORT` as a numeric address and a port.

    Raises:
        SenderError: no such host, or no such port.
    """
    host, given = text, ""
    if text.startswith("["):
        host, _, given = text[1:].partition("]")
        given = given.removeprefix(":")
    elif text.count(":") == 1:
        host, _, given = text.partition(":")
    if given and not (given.isdecimal() and 0 < int(given) < 65536):
        raise SenderError(f"{text!r}: give HOST:PORT with a port of 1 to 65535")
    try:
        found = socket.getaddrinfo(host or None, int(given or port), type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise SenderError(f"{text!r}: there is no such host") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    address = found[0][4]
    return str(address[0]), int(address[1])


def open_senders(
    head: Head,
    *,
    livelink: str | None = None,
    vmc: str | None = None,
    livelink_fps: int = FPS,
    vmc_names: VmcNames = "all",
    clock: Clock | None = None,
) -> Sequence[UdpSender]:
    """A sender for each address that is given; close them in the end.

    Args:
        head: of the session.
        livelink: Live Link Face, HOST[:11111].
        vmc: VMC over OSC, HOST[:39539].
        livelink_fps: frames per second of Live Link Face; the phone's app sends 60.
        vmc_names: perfect sync's names, VRM's, or all.
        clock: the clock of the frames' timings.

    Raises:
        SenderError: an address that cannot be, or a head without ARKit channels.
    """
    wanted: list[tuple[str, str, Encoder]] = []
    if livelink is not None:
        wanted.append(("livelink", livelink, LiveLinkEncoder(fps=livelink_fps)))
    if vmc is not None:
        wanted.append(("vmc", vmc, VmcEncoder(vmc_names)))
    if wanted and ARKIT52 not in channel_names(head):
        raise SenderError(
            f"--{wanted[0][0]} sends ARKit shapes, and head {head.id!r} has none: "
            "use a bundle for the built-in head"
        )
    targets = [parse_target(text, DEFAULT_PORTS[kind]) for kind, text, _ in wanted]
    return [
        UdpSender(
            head,
            encode,
            target,
            protocol=NAMES[kind],
            fps=livelink_fps if kind == "livelink" else FPS,
            clock=clock,
        )
        for (kind, _, encode), target in zip(wanted, targets, strict=True)
    ]
