"""What happens as a JSON object a line, for programs that collect logs."""

from __future__ import annotations

import json
import logging
import sys
import time

from posetalk.terminal import console


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return json.dumps(told)


def log_as_json() -> None:
    """From here on everything that is told goes to standard error that way, INFO and above.

    With `--debug`, all that other packages tell as well.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    root = logging.getLogger()
    level = min(root.level, logging.INFO)
    if root.level == logging.DEBUG:
        root.handlers[:] = [handler]
    for name in console.PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers[:] = [handler]
        logger.propagate = False
    console.tell = _tell


def _tell(text: str) -> None:
    told = {"time": round(time.time(), 3), "level": "info", "from": "posetalk", "message": text}
    print(json.dumps(told), file=sys.stderr, flush=True)
