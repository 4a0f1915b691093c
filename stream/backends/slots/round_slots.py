"""`HopSlots` over any runtime: what is the same for all of them.

A runtime has the memory of the slots and makes rounds of fixed sizes from them (`Rounds`).  Here a
round is laid out as one matrix, filled up to the next size with rows of a slot that is nobody's,
and conditions are kept, which go along with every row: a change of style costs no copy of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.backends.protocol import Backend, FloatArray, SpeechState
from stream.backends.slots.hop_slots import Guided, HopKind, Slots, row_parts, row_width

SPARE = 1
"""The first slot of a runtime is nobody's: rows that fill a round up are its, and what is captured
runs there while it is made, however often."""

BOTH: Guided = (True, True)
"""Under these scales a call serves all others, too: a scale of 1 takes nothing from its branch."""

MOST_CAUSAL, MOST_WHOLE = 1024, 64
"""Streams in a round: of a small causal encoder, whose hops are a few tokens, and of one that hears
whole windows (one of 64 streams takes some gigabytes on its way)."""


def round_sizes(count: int, most: int) -> list[int]:
    """Sizes of rounds of `count` streams at most: powers of two up to the one that holds them."""
    sizes = [1]
    while sizes[-1] < min(count, most):
        sizes.append(2 * sizes[-1])
    return sizes


class Rounds(Protocol):
    """What a runtime does for slots; of one thread at a time."""

    @property
    def sizes(self) -> Sequence[int]:
        """Of a round, in rising order."""
        ...

    def prepare(self, size: int, guided: Guided) -> None:
        """Have all made that `run` needs for such a round."""
        ...

    def run(self, fresh: FloatArray, guided: Guided) -> FloatArray:
        """A round of one of the sizes.

        Args:
            fresh: (size, W), see `row_parts`.

        Returns:
            (size, H, D) normalised motion, the caller's own.

        Raises:
            stream.backends.protocol.RuntimeProblem: it fails; all states are as they were.
        """
        ...

    def put(self, number: int, rows: Mapping[str, Any]) -> None:
        """Let a slot hold these states, by name."""
        ...

    def get(self, number: int) -> dict[str, NDArray[Any]]:
        """Copies of the states in a slot, by name."""
        ...

    def close(self) -> None:
        """See `HopSlots`."""
        ...


def like_part(row: NDArray[Any], part: Any) -> Any:
    """A row as that part of a speech state which `part` is an example of."""
    return row.reshape(part.shape)


class RoundSlots:
    """Slots of one runtime, as `HopSlots`.

    Args:
        backend: of the streams.
        kind: of their hops.
        count: slots.
        rounds: of the runtime, with memory for SPARE more.
        speech_part: makes a part of the backend's speech state, see `like_part`.
    """

    def __init__(
        self,
        backend: Backend,
        kind: HopKind,
        count: int,
        rounds: Rounds,
        speech_part: Callable[[NDArray[Any], Any], Any] = like_part,
    ) -> None:
        self.count, self._rounds, self._speech_part = count, rounds, speech_part
        self.most = rounds.sizes[-1]
        self._silence = backend.speech_state()
        self._one_call = backend.spec.denoiser.guidance_input  # whatever the scales are
        self._parts = row_parts(backend.spec, kind.hop)
        width = row_width(self._parts)
        self._fresh = np.zeros((self.most, width), np.float32)
        self._first = self._parts["noise_scale"].columns.start
        self._conditions = np.zeros((count, width - self._first), np.float32)
        self._prepared: set[Guided] = set()

    def prepare(self, guided: Guided) -> None:
        """Have rounds of every size made, under these scales and under any."""
        for kind in {self.call_of(guided), BOTH} - self._prepared:
            for size in self._rounds.sizes:
                self._rounds.prepare(size, kind)
            self._prepared.add(kind)

    def call_of(self, guided: Guided) -> Guided:
        """See `HopSlots`; once calls are prepared, no others are made."""
        is_there = not self._prepared or guided in self._prepared
        return guided if is_there and not self._one_call else BOTH

    def put(self, slot: int, rows: Mapping[str, NDArray[Any]], speech: SpeechState) -> None:
        """See `HopSlots`."""
        heard = {} if speech is None else speech._asdict()
        self._rounds.put(slot + SPARE, {**rows, **heard})

    def get(self, slot: int) -> tuple[dict[str, NDArray[Any]], SpeechState]:
        """See `HopSlots`."""
        rows = self._rounds.get(slot + SPARE)
        if self._silence is None:
            return rows, None
        parts = self._silence._asdict()
        heard = {n: self._speech_part(rows.pop(n), part) for n, part in parts.items()}
        return rows, self._silence._replace(**heard)

    def condition(self, slot: int, values: Mapping[str, Any]) -> None:
        """See `HopSlots`."""
        row = self._conditions[slot]
        for name, value in values.items():
            if name in self._parts:
                columns = self._parts[name].columns
                row[columns.start - self._first : columns.stop - self._first] = value

    def run(self, slots: Slots, pcm: FloatArray, noise: FloatArray, guided: Guided) -> FloatArray:
        """See `HopSlots`."""
        count = len(slots)
        size = next(size for size in self._rounds.sizes if size >= count)
        fresh, parts = self._fresh[:size], self._parts
        fresh[:count, 0] = slots + SPARE
        fresh[:count, parts["pcm"].columns] = pcm
        fresh[:count, parts["noise"].columns] = noise.reshape(count, -1)
        fresh[:count, self._first :] = self._conditions[slots]
        fresh[count:] = 0.0
        return self._rounds.run(fresh, self.call_of(guided))[:count]

    def close(self) -> None:
        """See `HopSlots`."""
        self._rounds.close()
