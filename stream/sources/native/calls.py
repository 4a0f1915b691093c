"""C code that may hang, as PortAudio does while a sound server says nothing: called beside.

In the thread that calls it, it would hold up whatever else that thread does, and every signal.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from head.errors import PosetalkError

ANSWER_SECONDS = 5.0

Result = TypeVar("Result")


class NoAnswerError(PosetalkError):
    """It has not come back in time, or one before it has not yet."""


class _Call(Generic[Result]):
    """One call on a thread of its own."""

    def __init__(self, call: Callable[[], Result], late: Callable[[], None]) -> None:
        self._call, self._late = call, late
        self._lock = threading.Lock()
        self._ended = self._is_given_up = False
        self.result: list[Result] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="native-call", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result.append(self._call())
        except BaseException as error:
            self.error = error
        with self._lock:
            self._ended = True
            is_late = self._is_given_up and self.error is None
        if is_late:
            self._late()

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._is_given_up = True
            is_late = self._ended and self.error is None
        if is_late:
            self._late()


_hanging: list[threading.Thread] = []


def _standard_error() -> int:
    """Another number of it; -1: there is none."""
    try:
        return os.dup(2)
    except OSError:
        return -1


def answered(call: Callable[[], Result], late: Callable[[], None] = lambda: None) -> Result:
    """What `call` returns or raises; one at a time is waited for.

    Where there are sound servers that hang; elsewhere it is called as it is, as some systems bind
    what C code opens to its thread.

    Args:
        call: made once.
        late: undoes it, where it came to its end and nobody waited any more.

    Raises:
        NoAnswerError: it takes longer than ANSWER_SECONDS.
    """
    if not sys.platform.startswith("linux"):
        return call()
    until = time.monotonic() + ANSWER_SECONDS
    for thread in list(_hanging):
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            raise NoAnswerError
        if thread in _hanging:
            _hanging.remove(thread)
    is_here, standard_error = False, _standard_error()
    made = _Call(call, late)
    try:
        made.thread.join(max(0.0, until - time.monotonic()))
        is_here = not made.thread.is_alive()
    finally:  # an interrupt, too
        if not is_here:
            _hanging.append(made.thread)
            made.give_up()
            # sounddevice leads it nowhere while PortAudio begins.
            with contextlib.suppress(OSError):
                os.dup2(standard_error, 2)
        with contextlib.suppress(OSError):
            os.close(standard_error)
    if not is_here:
        raise NoAnswerError
    if made.error is not None:
        raise made.error
    return made.result[0]
