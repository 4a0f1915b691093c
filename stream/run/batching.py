"""One model call for several sessions: speech encoded together, windows sampled together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TypeVar

from stream.backends.protocol import (
    BATCH_ON_GPU,
    Backend,
    SamplerCall,
    SpeechCall,
    batch_key,
    encode_speech,
)
from stream.backends.slots.hop_slots import HopKind
from stream.backends.threads import usable_cores
from stream.core.resident.slot_bank import SlotBank
from stream.core.session import Session
from stream.frames import Frame

MOST_WORKERS = 4

Item = TypeVar("Item")
Call = TypeVar("Call")
Answer = TypeVar("Answer")


def run_batch(
    backend: Backend, work: Sequence[tuple[Session, int]]
) -> list[list[Frame] | Exception]:
    """One model call of each session, over so many hops; the answers come in the same order.

    A session whose call fails gets its exception as the answer, and can be called again; those
    that shared a batch with it are done one by one.  A session that is alone in its batch gets the
    bits that its own `step` would give; see `Backend` for what a larger batch may change.
    """
    if len(work) == 1:
        session, hops = work[0]
        try:
            return [session.step(hops)]
        except Exception as error:
            return [error]
    answers: dict[int, list[Frame] | Exception] = {}

    def attempt(index: int, do: Callable[[], Item]) -> Item | None:
        try:
            return do()
        except Exception as error:
            answers[index] = error
            return None

    speech: list[tuple[int, SpeechCall]] = []
    for index, (session, hops) in enumerate(work):
        spoken = attempt(index, partial(session.begin, hops))
        if spoken is not None:
            speech.append((index, spoken))
    most = backend.max_batch
    for group in grouped(speech, key=lambda item: len(item[1].pcm), most=most):
        heard = together(partial(encode_speech, backend), [call for _, call in group])
        for (index, _), features in zip(group, heard, strict=True):
            if isinstance(features, Exception):
                answers[index] = features
            else:
                attempt(index, partial(work[index][0].set_features, *features))
    calls: list[tuple[int, SamplerCall]] = []
    for index, (session, _) in enumerate(work):
        call = None if index in answers else attempt(index, session.prepare)
        if call is not None:
            calls.append((index, call))
    for same in grouped(calls, key=lambda item: batch_key(item[1]), most=most):
        sampled = together(backend.sample_many, [call for _, call in same])
        for (index, _), x0 in zip(same, sampled, strict=True):
            if isinstance(x0, Exception):
                answers[index] = x0
            else:
                frames = attempt(index, partial(work[index][0].commit, x0))
                if frames is not None:
                    answers[index] = frames
    return [answers[index] for index in range(len(work))]


def grouped(items: Iterable[Item], key: Callable[[Item], Hashable], most: int) -> list[list[Item]]:
    """Items of equal key together, at most so many, in the order in which they came."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return [
        group[first : first + most]
        for group in groups.values()
        for first in range(0, len(group), most)
    ]


def together(
    do: Callable[[list[Call]], list[Answer]], calls: list[Call]
) -> list[Answer | Exception]:
    """`do(calls)`; where it fails, each call alone, so that one cannot spoil the others."""
    try:
        return [*do(calls)]
    except Exception as error:
        if len(calls) == 1:
            return [error]
    return [answer for call in calls for answer in together(do, [call])]


class Batcher:
    """`run_batch` on several threads: a share of the sessions each, where that is faster.

    The CPU's kernels run on one thread each and let go of Python's lock, so two batches on two
    cores take half the time of one; a GPU takes everything in one.

    Where the backend has slots (`stream.backends.slots`), plain hops are made in them: the
    sessions' states stay with the model.

    Args:
        backend: of all sessions.
        workers: threads; None: as many as there are cores for a CPU, at most MOST_WORKERS, else 1.
        places: sessions that may have a slot; those beyond them are done without.
    """

    def __init__(
        self, backend: Backend, workers: int | None = None, places: int = BATCH_ON_GPU
    ) -> None:
        self.backend, self.places = backend, places
        self._banks: dict[HopKind, SlotBank | None] = {}
        self.workers = workers or default_workers(backend)
        self._pool = None
        if self.workers > 1:
            self._pool = ThreadPoolExecutor(self.workers - 1, thread_name_prefix="batch")

    def run(self, work: Sequence[tuple[Session, int]]) -> list[list[Frame] | Exception]:
        """One model call of each session, see `run_batch`."""
        answers: dict[int, list[Frame] | Exception] = {}
        banks: dict[SlotBank, list[int]] = defaultdict(list)
        for index, (session, hops) in enumerate(work):
            if hops != 1:
                continue
            resident = session.state.resident  # nearly always
            bank = resident if isinstance(resident, SlotBank) else self._bank(session)
            if bank is None:
                continue
            try:
                if bank.enter(session):
                    banks[bank].append(index)
            except Exception as error:
                answers[index] = error
        for bank, rows in banks.items():
            answers.update(zip(rows, bank.hop([work[i][0] for i in rows]), strict=True))
        left = [index for index in range(len(work)) if index not in answers]
        answers.update(zip(left, self._plain([work[i] for i in left]), strict=True))
        return [answers[index] for index in range(len(work))]

    def _plain(self, work: Sequence[tuple[Session, int]]) -> list[list[Frame] | Exception]:
        """Calls of sessions whose states are at home."""
        parts = min(self.workers, len(work))
        if self._pool is None or parts < 2:
            return run_batch(self.backend, work)
        cuts = [len(work) * part // parts for part in range(parts + 1)]
        shares = [work[start:stop] for start, stop in pairwise(cuts)]
        others = [self._pool.submit(run_batch, self.backend, share) for share in shares[1:]]
        answers = run_batch(self.backend, shares[0])
        for other in others:
            answers += other.result()
        return answers

    @property
    def most(self) -> int:
        """Sessions in one call of the model, of the kind that takes most."""
        banks = [bank.most for bank in self._banks.values() if bank is not None]
        return max([self.backend.max_batch, *banks])

    def prepare(self, like: Session | None = None) -> None:
        """Have all ready that plain hops of sessions like this one need, before anybody speaks."""
        session = like or Session(self.backend)
        bank = self._bank(session)
        if bank is not None:
            bank.prepare(session)

    def make_room(self, places: int) -> None:
        """Slots for so many sessions of a kind; what has a slot comes home when it is wanted."""
        if places != self.places:
            self.places, self._banks = places, {}

    def _bank(self, session: Session) -> SlotBank | None:
        """Where a session's hops are made; None: in no slot."""
        resident = session.state.resident
        if isinstance(resident, SlotBank):
            return resident
        if type(session) is not Session:
            return None  # its state has a place of its own
        if session.kind not in self._banks:
            slots = self.backend.hop_slots(session.kind, self.places)
            bank = None if slots is None else SlotBank(self.backend, session.kind, slots)
            self._banks[session.kind] = bank
        return self._banks[session.kind]

    def close(self) -> None:
        """Let the threads go, without waiting for them."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for bank in self._banks.values():
            if bank is not None:
                bank.close()


def default_workers(backend: Backend) -> int:
    """Threads that make batches of this backend's."""
    if backend.place != "cpu":
        return 1
    # Where a call takes several cores itself, so many fewer calls run at once.
    return max(1, min(usable_cores(), MOST_WORKERS) // backend.threads)
