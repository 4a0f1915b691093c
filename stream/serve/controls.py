"""What may be done to a server's own stream, as far as its source and its model can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.wire import session_messages


@dataclass
class StreamControls:
    """What clients may do to the server's own stream; None where that is not to be had.

    Attributes:
        push: takes (n,) float32 at 16 kHz, returns False if it does not fit.
        fits: whether so many samples would fit, before any work is done for them.
        interrupt: cuts the speech.
        change: speaks as a request for a condition says; raises ValueError where that cannot be.
        sends_early: whether frames come before their time, to those that subscribe to that.
    """

    push: Callable[[NDArray[np.float32]], bool] | None = None
    fits: Callable[[int], bool] | None = None
    interrupt: Callable[[], None] | None = None
    change: Callable[[session_messages.Condition], None] | None = None
    sends_early: bool = False
