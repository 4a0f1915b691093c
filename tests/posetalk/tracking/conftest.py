"""The real tracker, where it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from posetalk.tracking.landmarks.model_file import find_model
from posetalk.tracking.problem import TrackingError


@pytest.fixture(scope="session")
def landmark_model() -> Path:
    """The landmark model's file; skips where it or MediaPipe is missing."""
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("not run: MediaPipe is not installed (pip install 'posetalk[video]')")
    try:
        return find_model()
    except TrackingError:
        pytest.skip("not run: MediaPipe's landmark model is not here (docs/video.md)")


@pytest.fixture(scope="session")
def can_draw() -> None:
    """Skips where nothing can draw."""
    pytest.importorskip("pyrender", reason="not run: pyrender is not installed")
