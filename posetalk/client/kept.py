"""What a client keeps of its session, so that another server can go on with it; no sockets here."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posetalk.client.events import ClientEvent, ClientFrame, ClientSound
from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
from stream.sources.pcm import LiveResampler
from stream.wire import codec, messages, session_messages

Floats = NDArray[np.float32]

KEPT_SAMPLES = 2 * SAMPLE_RATE + FRAME_SAMPLES
"""Of the sound before the last frame: what another server hears again."""
MOST_JOINED = 4 * SAMPLE_RATE
"""Of a message that brings it."""
MOST_FRAMES = 2_000
MOST_VALUES = 4_000
"""Of a frame that is told: vertices are too many, and are not eased from."""


@dataclass
class KeptSession:
    """One session, followed.

    Attributes:
        ticket: the newest one.
        waiting: sound that was pushed and not placed yet, by its number.
    """

    ticket: str
    waiting: OrderedDict[int, Floats] = field(default_factory=OrderedDict)
    _placed: deque[tuple[int, Floats]] = field(default_factory=deque)
    _frames: deque[ClientFrame] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))
    _heard: int = 0  # sound before this sample has come back

    @property
    def last(self) -> int:
        """The first sample of the last frame that came; -1: none has."""
        return self._frames[-1].sample if self._frames else -1

    def pushed(self, number: int, samples: Floats) -> None:
        """Sound is on its way: (n,) at 16 kHz."""
        self.waiting[number] = samples

    def placed(self, message: session_messages.Placed) -> None:
        """The server has placed the sound of a message."""
        samples = self.waiting.pop(message.sequence, None)
        if samples is not None:
            self._placed.append((message.sample, samples))

    def refused(self, number: int | None) -> None:
        """The server did not take the sound of a message."""
        if number is not None:
            self.waiting.pop(number, None)

    def cut(self, sample: int) -> None:
        """Speech was cut: what lies from this sample on is void."""
        self._placed = deque((at, s[: sample - at]) for at, s in self._placed if at < sample)
        while self._frames and self._frames[-1].sample >= sample:
            self._frames.pop()
        self._heard = min(self._heard, sample)

    def new(self, event: ClientEvent) -> ClientEvent | None:
        """What of an event is new; None: it has been here before."""
        if isinstance(event, ClientFrame):
            if event.sample <= self.last:
                return None
            self._frames.append(event)
            before = event.sample - KEPT_SAMPLES
            while self._placed and self._placed[0][0] + len(self._placed[0][1]) <= before:
                self._placed.popleft()
        elif isinstance(event, ClientSound):
            known = max(0, self._heard - event.sample)
            if known >= len(event.samples):
                return None
            self._heard = event.sample + len(event.samples)
            if known:
                return ClientSound(event.sample + known, event.samples[known:])
        return event

    def resume(self, first_number: int) -> list[str | bytes]:
        """The messages that ask another server to go on; sound is numbered from `first_number`."""
        last = self._frames[-1] if self._frames else None
        values = [] if last is None or last.values.size > MOST_VALUES else last.values.tolist()
        pieces = self._joined()
        request = session_messages.Resume(
            self.ticket,
            self.last,
            last.set if last is not None else "",
            [float(value) for value in values],
            len(pieces),
        )
        return [codec.serialise_text(request)] + [
            codec.serialise(codec.Message(codec.Kind.PCM, first_number + number, at, samples))
            for number, (at, samples) in enumerate(pieces)
        ]

    def _joined(self) -> list[tuple[int, Floats]]:
        """The sound that was placed; what lies end to end is one piece, so that few go out."""
        runs: list[tuple[int, list[Floats]]] = []
        end = -1
        for at, samples in self._placed:
            if not runs or at != end or at - runs[-1][0] >= MOST_JOINED:
                runs.append((at, []))
            runs[-1][1].append(samples)
            end = at + len(samples)
        return [(at, np.concatenate(parts)) for at, parts in runs]

    @property
    def pieces(self) -> int:
        """Messages of sound that `resume` has."""
        return len(self._joined())


class Keeping:
    """Whether a client's session is kept, and the sound that is pushed to it at one rate.

    Attributes:
        wanted: whether the next session is to be kept.
        session: that is; None: there is none.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.session: KeptSession | None = None
        self._resampler: LiveResampler | None = None
        self._rate = 0

    def follow(self, event: ClientEvent) -> ClientEvent | None:
        """What of an event is for who takes them."""
        kept = self.session
        match event:
            case session_messages.Opened():
                keeps = self.wanted and event.ticket is not None
                self.session = KeptSession(event.ticket or "") if keeps else None
            case session_messages.Placed():
                if kept is not None:
                    kept.placed(event)
                return None
            case session_messages.TicketRenewed(ticket):
                if kept is not None:
                    kept.ticket = ticket
                return None
            case messages.End() if kept is not None:
                return None  # of this server, not of the session: the connection ends next
            case session_messages.Closed():
                self.session = None
            case _ if kept is None:
                pass
            case messages.Interrupted(sample):
                kept.cut(sample)
            case messages.Error():
                kept.refused(event.sequence)
            case _:
                return kept.new(event)
        return event

    def at_one_rate(self, samples: Floats, rate: int) -> Floats:
        """Sound at 16 kHz, as a session that is kept has it."""
        if self._resampler is None or self._rate != rate:
            self._resampler, self._rate = LiveResampler(int(rate)), rate
        return self._resampler.feed(samples)

    def rest(self) -> Floats:
        """What the end of the utterance brings of it."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest = self._resampler.finish()
        self._resampler.reset()
        return rest
