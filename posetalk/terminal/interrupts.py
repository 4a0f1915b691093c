"""Ctrl-C and SIGTERM: a command ends soon, in the same clean way, wherever they land."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

from posetalk.terminal.exit_codes import ended_by


class Interrupts:
    """Ctrl-C and SIGTERM end a command in the same clean way, and are remembered.

    A library in which the interrupt lands may make an error of its own of it, as ctypes under
    OpenGL does, or swallow it.  What ends a command after an interrupt is the interrupt: long work
    asks `raise_if_interrupted` between two steps.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        """130 after Ctrl-C, 143 after SIGTERM, 0 before either."""
        self._raised_again = False
        # A shell's background job starts with SIGINT ignored; `kill -INT` must end it all the same.
        for number in SIGNALS:
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = ended_by(number)
        raise KeyboardInterrupt

    def raise_if_swallowed(self) -> None:
        """Interrupt again, once, what went on although it was interrupted."""
        if self.exit_code and not self._raised_again:
            self._raised_again = True
            raise KeyboardInterrupt


SIGNALS = (signal.SIGINT, signal.SIGTERM)
_installed: Interrupts | None = None
_before: list[Callable[[sys.UnraisableHookArgs], object]] = []


def install() -> Interrupts:
    """Take over both signals for one command; in the main thread."""
    global _installed
    _installed = Interrupts()
    if sys.unraisablehook is not _unraisable:
        _before.append(sys.unraisablehook)
        sys.unraisablehook = _unraisable
    return _installed


def hold_back() -> None:
    """Keep both signals waiting, also for the program that this one becomes, until it lets them in.

    A program that has just been started has no handlers yet: an interrupt would be a traceback.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def let_in() -> None:
    """Raise KeyboardInterrupt if a signal waits since `hold_back`, and hold none back any more."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt in a destructor is remembered: Python cannot raise it, and would print it."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        _before[-1](unraisable)


def forget_it_was_unhandled() -> None:
    """Have Python end with the code that it is told, although an interrupt was raised.

    Up to 3.12 it ends by the signal itself once an interrupt has left an `exec` of text, as there
    is in the making of every dataclass, whoever caught it later; the next `exec` makes it forget.
    """
    exec("")


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt where an interrupt came and a library swallowed it."""
    if _installed is not None:
        _installed.raise_if_swallowed()
