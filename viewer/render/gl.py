"""The one door to OpenGL and pyrender: chooses how to get a context and loads them.

Everything else in the product can be imported without them. PyOpenGL takes its platform from the
environment once per process, on its first import, so `load` decides before anything else may.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import importlib.metadata
import logging
import os
import socket
import sys
from typing import Any

import numpy as np

from head.errors import PosetalkError

logger = logging.getLogger(__name__)

SYSTEM_GL = ("libegl1", "libegl-mesa0", "libgl1", "libgl1-mesa-dri")
"""What Debian calls the libraries that draw without a display."""
PACKAGE_HINT = "install the viewer with `pip install 'posetalk[viewer]'`"
# Elsewhere pictures come from the desktop's own OpenGL, also those off-screen.
DRIVER_HINT = (
    f"on Debian or Ubuntu `sudo apt-get install -y {' '.join(SYSTEM_GL)}`"
    if sys.platform == "linux"
    else "log in to a desktop, and install its graphics driver"
)


class GLError(PosetalkError, RuntimeError):
    """There is no way to draw here; one line that says why and what to install."""


def display_available() -> bool:
    """Whether a window could be opened: always tried on Windows and macOS, else if X answers."""
    if sys.platform in ("win32", "darwin"):
        return True
    return x_answers(os.environ.get("DISPLAY", ""))


def x_answers(display: str) -> bool:
    """Whether something listens at HOST:NUMBER.SCREEN, as an X server does: a session's variable
    outlives its display, and `ssh -X` its connection."""
    host, _, number = display.rpartition(":")
    digits = number.partition(".")[0]
    if not digits.isdigit():
        return False
    local = host in ("", "unix")
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET) as link:
        link.settimeout(1.0)
        places: tuple[Any, ...] = (f"/tmp/.X11-unix/X{digits}", f"\0/tmp/.X11-unix/X{digits}")
        for place in places if local else ((host, 6000 + int(digits)),):
            try:
                link.connect(place)
            except OSError:
                continue
            return True
    return False


def egl_devices() -> int:
    """Number of EGL devices (software drawing counts as one), 0 where EGL is not installed."""
    name = ctypes.util.find_library("EGL")
    try:
        egl = ctypes.CDLL(name or "libEGL.so.1")
        egl.eglGetProcAddress.restype = ctypes.c_void_p
        address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    except (OSError, AttributeError):
        return 0
    if not address:
        return 0
    count = ctypes.c_int(0)
    query = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
    )(address)
    return count.value if query(0, None, ctypes.byref(count)) else 0


def choose_platform(*, window: bool) -> str | None:
    """Value for PYOPENGL_PLATFORM ("egl", "osmesa"), or None for the system's own windows.

    Raises GLError where nothing can draw.
    """
    if sys.platform in ("win32", "darwin"):
        return None
    if window:
        if display_available():
            return None
        raise GLError("no display to open a window on: use --view offscreen, or set DISPLAY")
    if egl_devices():
        return "egl"
    if ctypes.util.find_library("OSMesa") and _osmesa_works():
        return "osmesa"
    if display_available():
        return None
    raise GLError(f"cannot draw: neither EGL nor OSMesa nor a display was found; {DRIVER_HINT}")


def _osmesa_works() -> bool:
    """PyOpenGL before 3.1.7 cannot load OSMesa, and pyrender asks for 3.1.0."""
    try:
        version = importlib.metadata.version("PyOpenGL")
    except importlib.metadata.PackageNotFoundError:
        return False
    return tuple(int(part) for part in version.split(".")[:3]) >= (3, 1, 7)


def platform_name() -> str:
    """How this process draws, or would draw: "egl", "osmesa" or "window"."""
    return os.environ.get("PYOPENGL_PLATFORM") or "window"


def load(*, window: bool) -> None:
    """Make `import pyrender` work, for a window or for off-screen drawing; raises GLError.

    The first call of a process settles the platform. A process that has opened a window draws
    off-screen through it too; the reverse is impossible and raises.
    """
    if "pyrender" not in sys.modules and "PYOPENGL_PLATFORM" not in os.environ:
        platform = choose_platform(window=window)
        if platform is not None:
            os.environ["PYOPENGL_PLATFORM"] = platform
    if window and platform_name() != "window":
        raise GLError(
            f"no window: this process draws off-screen with {platform_name()}"
            " (unset PYOPENGL_PLATFORM, and open the window before drawing off-screen)"
        )
    if not hasattr(np, "infty"):  # pyrender 0.1.45 predates numpy 2
        np.infty = np.inf  # type: ignore[attr-defined]
    logging.getLogger("OpenGL").setLevel(logging.WARNING)
    try:
        importlib.import_module("pyrender")
    except Exception as error:  # a missing library surfaces as any of five types
        hint = PACKAGE_HINT if isinstance(error, ModuleNotFoundError) else DRIVER_HINT
        raise GLError(f"cannot load OpenGL ({line_of(error)}); {hint}") from error
    logger.debug("drawing with %s", platform_name())


def line_of(error: BaseException) -> str:
    """First line of an error's text."""
    return (str(error) or type(error).__name__).splitlines()[0]
