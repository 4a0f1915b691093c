"""A websocket that reads no faster than its client has paid for, a slice in turn with the others.

What arrives is handed on in slices of a few kilobytes, of all connections in turn and for a few
milliseconds in each turn of the event loop: so that no flood, of pings or of anything else, holds
up the frames of others.  Knows no websocket library: it is handed the class that it guards.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stream.serve.door import http_pages
from stream.serve.door.arrivals import Arrivals
from stream.serve.door.hang_ups import TURN, HangUps, Tap
from stream.serve.door.peers import Peer, Peers
from stream.serve.door.unfinished import Unfinished
from stream.serve.limits import BYTES_A_UNIT, CONTROL_FRAME, FRAGMENT, Budget, Limits

SLICE = 4_096  # bytes; at most 682 control frames
TURN_SECONDS = 0.004
READ_AT_ONCE = 1 << 16  # bytes, where the event loop would take four times as many
LAST_SLICES = 4  # that are still read of who has hung up
CONTROL_OPCODES = range(0x8, 0x10)
CONTROL_HEADER = 6  # bytes, with the mask


class Turns:
    """Whose slice is next; one for a server, in its event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._called = False

    def add(self, digest: Callable[[], None]) -> None:
        """Call this when its turn has come."""
        self._waiting.append(digest)
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        until = time.perf_counter() + TURN_SECONDS
        while self._waiting and time.perf_counter() < until:
            self._waiting.popleft()()
        self._called = bool(self._waiting)
        if self._called:
            asyncio.get_running_loop().call_soon(self._run)


@dataclass
class Places:
    """How many websockets there are, those that are being opened counted in."""

    taken: int = 0


@dataclass(frozen=True)
class Guards:
    """What all guarded connections of a server share.

    Attributes:
        limits, peers, arrivals, unfinished: of the server.
        hang_ups: looks after those that are not read.
        turns: of reading.
        places: of websockets.
        on_bytes: told how many bytes came in.
        on_refused: told why a connection was cut off.
    """

    limits: Limits
    peers: Peers
    arrivals: Arrivals
    unfinished: Unfinished
    hang_ups: HangUps
    turns: Turns
    places: Places
    on_bytes: Callable[[int], None]
    on_refused: Callable[[str], None]


def guard(base: type[Any], guards: Guards) -> type[Any]:
    """The kind of connection `base`, an asyncio protocol with `process_event`, guarded.

    Its connections have `budget` and `peer`; who judges the request of one sets `is_judged`.
    """

    class Guarded(base):  # type: ignore[misc]
        budget: Budget
        peer: Peer

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._address = transport.get_extra_info("peername")
            self._arrived: deque[memoryview] = deque()
            self._control = 0.0  # cost of what was read and is not paid for
            self._fragments = 0
            self._begun = 0  # bytes of a message that is not whole
            self._stuck = self._lost = self._has_place = False
            self.is_judged = self._is_refused = self._has_begun = False
            if hasattr(transport, "max_size"):
                transport.max_size = READ_AT_ONCE
            self._tap = Tap(transport, guards.hang_ups)
            self.peer = guards.peers.of(self._address)
            self.budget = guards.peers.budget(self.peer)
            guards.arrivals.joined(self._address, self._tap.abort)
            super().connection_made(self._tap)

        def connection_lost(self, exc: Exception | None) -> None:
            self._lost = True
            self._tap.end()
            self._arrived.clear()
            guards.arrivals.left(self._address)
            guards.unfinished.left(self)
            if self._has_place:
                guards.places.taken -= 1
                self.peer.clients -= 1
            fault = getattr(self.protocol, "handshake_exc", None)
            left = isinstance(getattr(fault, "__cause__", None), EOFError)
            if fault is not None and not (self.is_judged or left):
                guards.on_refused("bad_request")
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            guards.on_bytes(len(data))
            if self._is_refused:
                return  # a body, of which nobody wants to hear
            if not self._has_begun:
                self._has_begun = True
                self._refuse_method(data)
                if self._is_refused:
                    return
            if not self._arrived:
                self._tap.hold(TURN)
                guards.turns.add(self._pay)
            view = memoryview(data)
            self._arrived.extend(view[at : at + SLICE] for at in range(0, len(data), SLICE))

        def _refuse_method(self, first: bytes) -> None:
            """Answer requests that the websocket's parser would not: those with a body."""
            answer = http_pages.early_refusal(first)
            if answer is not None:
                self.is_judged = self._is_refused = True
                guards.on_refused("http_405")
                self._tap.write(answer)
                self._tap.close()

        def eof_received(self) -> None:
            for _ in range(min(LAST_SLICES, len(self._arrived))):
                self._digest()
            self._arrived.clear()
            return super().eof_received()

        def _pay(self) -> None:
            """Take the cost of the next slice, and of the control frames of the one before."""
            if self._lost or not self._arrived:
                return
            cost = len(self._arrived[0]) / BYTES_A_UNIT + self._control
            self._control = 0.0
            wait = self.budget.take(cost, time.monotonic())
            if wait > 0:
                self._tap.hold("bill")
                self.loop.call_later(wait, guards.turns.add, self._digest)
            else:
                self._digest()

        def _digest(self) -> None:
            if self._lost or not self._arrived or self._tap.is_closing():
                return
            size = len(self._arrived[0])
            if not guards.unfinished.fits(self, size):
                self._tap.hold("room")
                guards.unfinished.wait(self, size, lambda: guards.turns.add(self._digest))
                return
            for held in ("bill", "room"):
                self._tap.let_go(held)
            self._begun += size
            super().data_received(bytes(self._arrived.popleft()))
            if not self._lost:
                guards.unfinished.holds(self, self.peer.name, self._begun, self._tap.abort)
            if self._stuck and self._control and not self._lost:
                self._tap.hold("answers")  # who reads no answers to its pings sends no more
            if self._arrived:
                guards.turns.add(self._pay)
            else:
                self._tap.let_go(TURN)

        def process_event(self, event: Any) -> None:
            opcode = getattr(event, "opcode", None)
            if opcode is None:
                self._begun = 0  # its handshake
            else:
                self._count(int(opcode), bool(event.fin), len(event.data))
            super().process_event(event)

        def _count(self, opcode: int, ends: bool, size: int) -> None:
            if opcode in CONTROL_OPCODES:
                self._control += CONTROL_FRAME
                self._begun = max(0, self._begun - CONTROL_HEADER - size)
                return
            self._control += FRAGMENT
            self._begun = 0 if ends else self._begun
            self._fragments = 0 if ends else self._fragments + 1
            if self._fragments == guards.limits.fragments + 1:
                guards.on_refused("fragments")
                self.transport.abort()

        def pause_writing(self) -> None:
            self._stuck = True
            super().pause_writing()

        def resume_writing(self) -> None:
            self._stuck = False
            self._tap.let_go("answers")
            super().resume_writing()

        def take_place(self) -> None:
            """It is let in: from now until it is gone it has a place."""
            if self._lost:  # while it waited for its turn at the door
                return
            self._has_place = True
            guards.places.taken += 1
            self.peer.clients += 1

        def hold_reading(self) -> None:
            """Read nothing more: who is here has not paid yet."""
            self._tap.hold("debt")

        def resume_reading(self) -> None:
            """Read on."""
            self._tap.let_go("debt")

    return Guarded
