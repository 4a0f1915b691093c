"""Speak, and a 3D face speaks back: the product in Python.

Everything here is loaded when it is first used, so `import posetalk` costs nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from head.errors import PosetalkError
    from head.rig import Head, builtin_head, load_head
    from posetalk.app.animate import animate
    from posetalk.app.session import Session
    from posetalk.client import AsyncClient, Client
    from posetalk.formats.motion_file import Motion

__all__ = [
    "AsyncClient",
    "Client",
    "Head",
    "Motion",
    "PosetalkError",
    "Session",
    "animate",
    "builtin_head",
    "demo_speech",
    "load_head",
]

_HOMES = {
    "AsyncClient": "posetalk.client",
    "Client": "posetalk.client",
    "Head": "head.rig",
    "Motion": "posetalk.formats.motion_file",
    "PosetalkError": "head.errors",
    "Session": "posetalk.app.session",
    "animate": "posetalk.app.animate",
    "builtin_head": "head.rig",
    "load_head": "head.rig",
}


def demo_speech() -> Path:
    """The demo speech that comes with the package: 23 s, four synthetic voices."""
    return Path(__file__).resolve().parent / "demo" / "speech.flac"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'posetalk' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
