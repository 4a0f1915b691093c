"""When a client tries again: at once, soon, and then every few seconds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

WAITS_SECONDS = (0.0, 0.1, 0.3, 1.0, 3.0)
SPREAD = 0.5
"""Of a wait, left to chance: clients of one server that restarts come back one after another."""


@dataclass
class Retries:
    """How often it was tried since a connection held, and so how long to wait now."""

    tried: int = 0
    _chance: random.Random = field(default_factory=random.Random, repr=False)

    def wait(self, held: float = 0.0) -> float:
        """Seconds until the next try, where the connection held so many seconds before it broke.

        One that held longer than the longest wait begins the row anew; a server that takes
        connections and drops them does not.
        """
        if held > WAITS_SECONDS[-1]:
            self.tried = 0
        longest = WAITS_SECONDS[min(self.tried, len(WAITS_SECONDS) - 1)]
        self.tried += 1
        return longest * (1.0 - SPREAD * self._chance.random())
