"""Silences what ALSA and PortAudio print from C, which no option of theirs turns off.

Every enumeration of devices and every unplugged microphone brings pages like `ALSA lib pcm.c:2722`
and `Expression 'paTimedOut' failed`; our own line says what matters.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from typing import Any

_lock = threading.Lock()
_depth = 0
_saved: int | None = None
_nowhere: int | None = None


@contextlib.contextmanager
def quiet_native_code() -> Iterator[None]:
    """C code's `stderr` leads nowhere meanwhile; Python's own is untouched.  May be nested."""
    global _depth, _saved
    with _lock:
        _depth += 1
        stream = _c_stderr()
        if _depth == 1 and stream is not None and _dev_null() is not None:
            _saved, stream.value = stream.value, _dev_null()
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and stream is not None and _saved is not None:
                stream.value, _saved = _saved, None


def _c_stderr() -> Any:
    """C's `FILE *stderr` itself, where it is known how to get at it."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    except (OSError, ValueError):
        return None


def _dev_null() -> int | None:
    """A `FILE *` that swallows everything, opened once."""
    global _nowhere
    if _nowhere is None:
        fopen = ctypes.CDLL(None).fopen
        fopen.restype = ctypes.c_void_p
        fopen.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
        _nowhere = fopen(b"/dev/null", b"w")
    return _nowhere
