"""The seam to MediaPipe: pictures in, the landmarks of every face in them out."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from posetalk.tracking.problem import TrackingError

Points = NDArray[np.float32]

POINTS: Final = 478
"""Landmarks of a face; the last ten are the irises."""
MOST_FACES: Final = 3
"""Never one: for a single face MediaPipe smooths by a filter that lags behind."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one picture: (478, 3) in pixels, x right, y down, z away from the camera."""

    points: Points

    @property
    def centre(self) -> NDArray[np.float32]:
        """(2,) the middle of the face's box, in pixels."""
        flat = self.points[:, :2]
        return np.asarray((flat.min(0) + flat.max(0)) / 2, np.float32)

    @property
    def height(self) -> float:
        """Pixels from the highest to the lowest landmark."""
        return float(np.ptp(self.points[:, 1]))


class LandmarkTracker:
    """Follows faces from picture to picture. Use it from one thread, and close it.

    Args:
        model: the landmark model's file.
        most_faces: faces that are followed at once.

    Raises:
        TrackingError: MediaPipe is not installed, or refuses the model.
    """

    def __init__(self, model: Path, most_faces: int = MOST_FACES) -> None:
        try:
            with _quiet():
                import mediapipe
                from mediapipe.tasks.python import BaseOptions, vision
        except (ImportError, OSError) as error:  # OSError: a system library is missing
            raise TrackingError(
                f"films need MediaPipe: run `pip install 'posetalk[video]'` ({_line(error)})"
            ) from None
        self._mediapipe: Any = mediapipe
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=max(2, most_faces),
        )
        try:
            with _quiet():
                self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            raise TrackingError(f"{model}: MediaPipe refuses it ({_line(error)})") from None
        self._last = -1

    def __call__(self, picture: NDArray[np.uint8], seconds: float) -> list[Face]:
        """The faces in a picture (height, width, 3) uint8 RGB; times must not go back."""
        height, width = picture.shape[:2]
        self._last = max(self._last + 1, round(1000 * seconds))
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
        )
        found = self._landmarker.detect_for_video(image, self._last)
        scale = np.array([width, height, width], np.float32)
        return [
            Face(np.array([[p.x, p.y, p.z] for p in face], np.float32) * scale)
            for face in found.face_landmarks
        ]

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    def __enter__(self) -> LandmarkTracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MediaPipe's C++ writes greetings to standard error while it starts: they go nowhere."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
