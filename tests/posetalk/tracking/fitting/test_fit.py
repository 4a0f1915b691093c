"""The way from landmarks to channels, with landmarks that have no error: the head's own points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tracking_support import HeadPoints, shots

from head.rig import builtin_head
from posetalk.tracking import quality
from posetalk.tracking.closed_loop import compare, lag
from posetalk.tracking.landmarks.tracker import Face
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.scenes import SCENES, known_motion
from posetalk.tracking.sources.film import Shot
from posetalk.tracking.track import track

COUNT = 300


@pytest.fixture(scope="module")
def motion() -> tuple[np.ndarray, np.ndarray]:
    exp, pose = known_motion(replace(SCENES[0], seconds=COUNT / 25))
    return exp, pose


def test_every_channel_comes_back(motion: tuple[np.ndarray, np.ndarray]) -> None:
    found = track(shots(COUNT), HeadPoints(*motion))
    figures = compare(builtin_head(), motion, found)
    assert len(found) == COUNT
    assert np.isfinite(found.exp).all() and np.isfinite(found.pose).all()
    assert found.exp.min() >= 0
    for name in ("jaw", "lip gap", "mouth width", "smile", "brows", "lids", "gaze to the side"):
        assert figures[name]["r"] > 0.9, name
        assert 0.6 < figures[name]["gain"] < 1.4, name
    assert figures["gaze up and down"]["r"] > 0.9
    assert figures["head pose"]["degrees"] < 1.0
    assert abs(figures["lag"]["seconds"]) < 0.005


@pytest.mark.parametrize("fps", [12.5, 30, 60])
def test_other_rates_stay_in_time(motion: tuple[np.ndarray, np.ndarray], fps: float) -> None:
    exp, pose = motion
    count = int(COUNT / 25 * fps)
    # What a camera of this rate sees at the middles of its pictures.
    at = (np.arange(count) + 0.5) / fps * 25 - 0.5
    seen = [
        np.stack([np.interp(at, np.arange(COUNT), column) for column in values.T], -1)
        for values in (exp, pose)
    ]
    points = HeadPoints(seen[0].astype(np.float32), seen[1].astype(np.float32), fps)
    found = track(shots(count, fps), points)
    figures = compare(builtin_head(), motion, found)
    assert abs(len(found) - COUNT) <= 1
    assert figures["lip gap"]["r"] > (0.8 if fps < 25 else 0.95)
    assert abs(figures["lag"]["seconds"]) < 0.010


def test_frames_without_a_face_are_marked_and_bridged(
    motion: tuple[np.ndarray, np.ndarray],
) -> None:
    points = HeadPoints(*motion)
    points.hidden = set(range(100, 130))
    found = track(shots(COUNT), points)
    none = (found.marks & quality.NO_FACE) > 0
    assert none[100:130].all() and none.sum() == 30
    assert np.isfinite(found.exp).all()
    assert not any(first < 130 and first + 100 > 100 for first in quality.good_windows(found.marks))
    assert "no face" in quality.shares(found.marks)


def test_the_largest_face_is_followed_and_another_can_be_chosen(
    motion: tuple[np.ndarray, np.ndarray],
) -> None:
    points = HeadPoints(*motion)
    still = HeadPoints(np.zeros_like(motion[0]), np.zeros_like(motion[1])).face(0).points
    small = Face((still * 0.5 - [0, 0, 0]).astype(np.float32))
    points.others = lambda k, face: [small]
    gap = compare(builtin_head(), motion, track(shots(COUNT), points))["lip gap"]["r"]
    assert gap > 0.95
    left = track(shots(COUNT), points, face=1)
    assert left.exp.std(0).max() < 0.01
    with pytest.raises(TrackingError, match="no face 3"):
        track(shots(COUNT), points, face=3)


def test_two_faces_of_a_size_a_turn_and_a_cut_are_marked(
    motion: tuple[np.ndarray, np.ndarray],
) -> None:
    exp, pose = motion[0].copy(), motion[1].copy()
    turn = np.clip(1.5 - np.abs(np.arange(COUNT) - 225) / 20, 0, 1)
    pose[:, 1] += np.radians(60) * turn  # away over a second, and back
    points = HeadPoints(exp, pose)
    points.shift[150:] = [90.0, 0, 0]  # the film goes on elsewhere in the picture
    twin = points.face(0).points + np.array([5, 0, 0], np.float32)
    points.others = lambda k, face: [Face(twin + 400)] if 50 <= k < 60 else []
    found = track(shots(COUNT), points)
    several = np.flatnonzero(found.marks & quality.SEVERAL)
    assert set(several) == set(range(50, 60))
    assert (found.marks[216:234] & quality.TURNED).all()
    assert not (found.marks[:195] & quality.TURNED).any()
    assert found.cuts == 1 and (found.marks[149:151] & quality.CUT).all()


def test_what_covers_the_mouth_is_marked(motion: tuple[np.ndarray, np.ndarray]) -> None:
    points = HeadPoints(*motion)

    def pictures() -> list[Shot]:
        out = []
        for k, shot in enumerate(shots(COUNT)):
            picture = shot.picture.copy()
            if 80 <= k < 110:  # something dark over the lower half of the face
                picture[180:] = 40
            out.append(Shot(picture, shot.begin, shot.end))
        return out

    found = track(pictures(), points)
    covered = (found.marks & quality.COVERED) > 0
    assert covered[82:108].all() and not covered[:75].any() and not covered[115:].any()


def test_nobody_and_too_little() -> None:
    with pytest.raises(TrackingError, match="no face"):
        track(shots(20), lambda picture, seconds: [])
    still = np.zeros((40, 50), np.float32), np.zeros((40, 6), np.float32)
    points = HeadPoints(*still)
    points.hidden = set(range(5, 40))
    with pytest.raises(TrackingError, match="too few"):
        track(shots(40), points)


def test_lag_is_measured_in_parts_of_a_frame() -> None:
    time = np.arange(200) / 25
    for late in (-0.05, 0.0, 0.013, 0.08):
        assert lag(np.sin(5 * time), np.sin(5 * (time - late))) == pytest.approx(late, abs=0.003)
