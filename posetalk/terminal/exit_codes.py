"""The exit codes of every command, one table: `docs/commands.md` shows it."""

from __future__ import annotations

DONE = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
TERMINATED = 143

MEANINGS = {
    DONE: "done",
    FAILED: "it failed; one line on standard error says why, and what to do",
    WRONG_USAGE: "wrong usage: nothing was begun",
    INTERRUPTED: "interrupted (Ctrl-C, SIGINT); what was made until then is whole",
    TERMINATED: "terminated (SIGTERM); what was made until then is whole. Not on Windows, which "
    "ends processes without telling them",
}


def ended_by(number: int) -> int:
    """The exit code of a command that a signal ended; 0 where `number` is 0: none did."""
    return 128 + number if number else DONE
