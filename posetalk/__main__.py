"""`posetalk COMMAND`: reads the options, runs the command, and turns errors into one line.

`posetalk.terminal.exit_codes` has the exit codes.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

from posetalk.terminal.exit_codes import FAILED, INTERRUPTED, WRONG_USAGE
from posetalk.terminal.interrupts import forget_it_was_unhandled, install, let_in


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Before numpy is loaded: its idle threads spin, which takes a core from model and picture.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    interrupts, debug = install(), False
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        let_in()
        from posetalk.commands import parse
        from posetalk.terminal.console import set_up_logging

        try:
            options = parse(sys.argv[1:] if arguments is None else arguments)
            debug = options.debug
            set_up_logging(debug=debug)
            return options.run() or interrupts.exit_code
        finally:
            sys.stdout.flush()  # here, where a reader that has gone is expected
    except KeyboardInterrupt:
        forget_it_was_unhandled()
        from posetalk.terminal.console import say

        say("interrupted")
        return interrupts.exit_code or INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away; Python must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return interrupts.exit_code or FAILED
    except Exception as error:
        if debug:
            traceback.print_exc()
        from posetalk.terminal.console import UsageError, say

        if interrupts.exit_code:
            say("interrupted")
            return interrupts.exit_code
        say(explain(error))
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED


def explain(error: Exception) -> str:
    """One line on an error, for people."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    from head.errors import PosetalkError
    from head.new_file import full_disk
    from posetalk.terminal.install_hints import advice, is_damaged_package
    from posetalk.terminal.installation import here

    if isinstance(error, MemoryError):
        return "there is not enough memory for this"
    text = " ".join(str(error).split())
    if isinstance(error, PosetalkError | OSError) and text:
        return here(text)
    if (full := full_disk(error)) is not None:
        return f"a file cannot be written: {full.strerror}"
    if isinstance(error, ImportError) or (
        isinstance(error, AttributeError) and is_damaged_package(error)
    ):
        return advice(error)
    return f"{type(error).__name__}: {text} (--debug shows where; this should not happen)"


if __name__ == "__main__":
    sys.exit(main())
