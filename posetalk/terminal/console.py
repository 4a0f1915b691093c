"""What the commands tell their user: one line each, on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from head.errors import PosetalkError

PACKAGES = ("diffposetalk", "head", "posetalk", "stream", "training", "viewer")


class UsageError(PosetalkError, ValueError):
    """The options make no sense together; the command ends with exit code 2."""


def say(text: str) -> None:
    """Tell the user something; what is to be installed, as it is typed here."""
    if "pip install" in text:
        from posetalk.terminal.installation import here

        text = here(text)
    tell(text)


def _print(text: str) -> None:
    print(f"posetalk: {text}", file=sys.stderr, flush=True)


tell: Callable[[str], None] = _print
"""How `say` does it; `posetalk.terminal.json_log` does it otherwise."""


class _Say(logging.Handler):
    """Tells the user what our own packages warn of."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def set_up_logging(*, debug: bool) -> None:
    """Warnings of our packages become lines for the user; with `debug`, everything is logged."""
    if debug:
        pattern = "%(asctime)s %(name)s %(levelname)s: %(message)s"
        logging.basicConfig(level=logging.DEBUG, format=pattern)
        logging.getLogger("websockets").setLevel(logging.INFO)
        return
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(logging.NullHandler())
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.addHandler(_Say())
        logger.propagate = False
