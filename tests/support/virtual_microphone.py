"""The benchmarks' virtual microphone, with this process led to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness import virtual_microphone as virtual
from benchmarks.harness.virtual_microphone import VirtualMicrophone

__all__ = ["VirtualMicrophone", "missing", "virtual_microphone"]


@contextmanager
def virtual_microphone() -> Iterator[VirtualMicrophone]:
    """A virtual microphone, with the environment that leads PortAudio to it."""
    with virtual.virtual_microphone() as microphone:
        saved = {name: os.environ.get(name) for name in microphone.environment}
        os.environ.update(microphone.environment)
        try:
            yield microphone
        finally:
            for name, value in saved.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def missing() -> str | None:
    """Why a virtual microphone cannot run here, or None."""
    absent = virtual.missing()
    return f"not run: {absent}" if absent else None
