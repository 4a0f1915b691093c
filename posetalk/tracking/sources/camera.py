"""The camera as pictures with times; nothing of it is kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.film import Shot

LONGEST_GAP: Final = 0.5


class Camera:
    """A camera of this machine, for a number of seconds. Iterating yields its pictures once.

    Args:
        seconds: how long.
        number: which camera, as the system counts them.
        clock: seconds that never go back.

    Raises:
        TrackingError: OpenCV is missing, there is no camera, or it may not be used.
    """

    has_sound = False

    def __init__(
        self, seconds: float, number: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        try:
            import cv2
        except (ImportError, OSError) as error:
            raise TrackingError(
                f"the camera needs OpenCV: run `pip install 'posetalk[video]'` ({error})"
            ) from None
        cv2.utils.logging.setLogLevel(0)  # silent: it would write of every refusal
        self._cv2: Any = cv2
        self._device = cv2.VideoCapture(number)
        self._clock = clock
        self.seconds = seconds
        self.fps = 30.0
        self.frames = round(seconds * self.fps)
        if not self._device.isOpened():
            self._device.release()
            raise TrackingError(_no_camera(number))

    def __iter__(self) -> Iterator[Shot]:
        """Pictures until the time is over.

        Raises:
            TrackingError: the camera gives none.
        """
        held: tuple[Any, float] | None = None
        begin: float | None = None
        try:
            while True:
                came, picture = self._device.read()
                now = self._clock()
                if not came:
                    if held is None:
                        raise TrackingError(
                            "the camera gives no pictures; is another program on it?"
                        )
                    break
                begin = now if begin is None else begin
                if held is not None and now - begin > held[1]:
                    yield Shot(held[0], held[1], min(now - begin, held[1] + LONGEST_GAP))
                held = np.ascontiguousarray(picture[:, :, ::-1]), now - begin
                if now - begin >= self.seconds:
                    break
            yield Shot(held[0], held[1], held[1] + 1 / self.fps)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the camera; a second call does nothing."""
        self._device.release()


def _no_camera(number: int) -> str:
    hint = {
        "darwin": "allow it for this terminal in System Settings, Privacy, Camera",
        "win32": "allow it in Settings, Privacy, Camera",
    }.get(sys.platform, "is it plugged in, and may you read /dev/video0?")
    return f"there is no camera {number} that can be used; {hint}"
