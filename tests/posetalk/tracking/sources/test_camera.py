"""The camera: its pictures in their own time, let go of at the end, and refusals in one line."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from posetalk.tracking.problem import TrackingError
from posetalk.tracking.sources.camera import LONGEST_GAP, Camera


class Device:
    """Stands in for OpenCV's camera: gives pictures until there are no more."""

    def __init__(self, pictures: int, opens: bool = True) -> None:
        self.left, self.opens, self.released = pictures, opens, False

    def isOpened(self) -> bool:
        return self.opens

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self.left:
            return False, None
        self.left -= 1
        picture = np.zeros((4, 6, 3), np.uint8)
        picture[..., 0] = 200  # blue comes first
        return True, picture

    def release(self) -> None:
        self.released = True


def _camera(monkeypatch: pytest.MonkeyPatch, device: Device, times: list[float]) -> Camera:
    logging = SimpleNamespace(setLogLevel=lambda level: level)
    stand_in = SimpleNamespace(
        VideoCapture=lambda number: device, utils=SimpleNamespace(logging=logging)
    )
    monkeypatch.setitem(sys.modules, "cv2", stand_in)
    clock = iter(times)
    return Camera(1.0, clock=lambda: next(clock))


def test_pictures_have_the_times_at_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(99)
    times = [5.0, 5.03, 5.1, 5.9, 6.0, 6.5]
    shots = list(_camera(monkeypatch, device, times))
    assert [shot.begin for shot in shots] == pytest.approx([0.0, 0.03, 0.1, 0.9, 1.0])
    assert shots[2].end == pytest.approx(0.1 + LONGEST_GAP), "it stood still for a while"
    assert (shots[0].picture[..., 2] == 200).all() and not shots[0].picture[..., 0].any()
    assert device.released


def test_a_camera_that_is_pulled_out_leaves_what_there_was(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(2)
    shots = list(_camera(monkeypatch, device, [0.0, 0.1, 0.2]))
    assert len(shots) == 2 and device.released


@pytest.mark.parametrize("opens", [True, False])
def test_no_camera_or_one_that_gives_nothing(monkeypatch: pytest.MonkeyPatch, opens: bool) -> None:
    device = Device(0, opens)
    with pytest.raises(TrackingError, match="camera") as caught:
        list(_camera(monkeypatch, device, [0.0, 0.1]))
    assert "\n" not in str(caught.value) and device.released


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(TrackingError, match=r"OpenCV.*posetalk\[video\]|OpenCV.*setup video"):
        Camera(1.0)
