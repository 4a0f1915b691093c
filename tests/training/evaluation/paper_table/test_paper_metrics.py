"""The paper's figures against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from head.rig import builtin_head
from training.evaluation.face import Face, PaperMetricError
from training.evaluation.intervals import interval
from training.evaluation.paper_table import metrics as pm
from training.evaluation.paper_table.clip_figures import measure_runs, summarise

FACE = Face.of(builtin_head())


def test_lip_vertex_error_is_the_largest_distance_of_a_lip_vertex() -> None:
    label = np.zeros((2, 4, 3))
    predicted = label.copy()
    predicted[0, 1] = (0.003, 0.004, 0.0)  # 5 mm off, a lip
    predicted[0, 2] = (0.001, 0.0, 0.0)  # 1 mm off, a lip
    predicted[1, 3] = (0.9, 0.0, 0.0)  # far off, no lip
    error = pm.lip_vertex_error(predicted, label, np.array([0, 1, 2]))
    assert error == pytest.approx([0.005, 0.0])


def test_dynamics_deviation_in_both_conventions() -> None:
    """One vertex that swings between 0 and 2 mm in the label, between 0 and 1 mm in the motion."""
    label = np.zeros((4, 1, 3))
    label[1::2, 0, 2] = 0.002
    half = 0.5 * label
    assert pm.dynamics(label) == pytest.approx([0.001])  # deviation of 0, 2, 0, 2 mm
    assert pm.upper_face_dynamics_deviation(half, label) == pytest.approx(0.5e-3)
    assert pm.upper_face_dynamics_deviation(label, half) == pytest.approx(-0.5e-3)
    # Squared: deviations of {0, 4e-6} and {0, 1e-6} m^2 are 2e-6 and 0.5e-6.
    assert pm.upper_face_dynamics_deviation(half, label, power=2) == pytest.approx(1.5e-6)


def test_mouth_opening_difference_takes_sizes_frame_by_frame() -> None:
    assert pm.mouth_opening_difference(np.array([1.0, 3.0]), np.array([2.0, 2.0])) == 1.0


def test_opening_is_the_gap_of_the_lips_and_grows_with_the_jaw() -> None:
    motion = np.zeros((3, 54), np.float32)
    motion[:, 53] = (0.0, 0.1, 0.2)
    opening = FACE.opening(FACE.vertices(motion))
    assert opening[0] < 0.001 and 0.003 < opening[1] < opening[2] < 0.03


def nodding(period: int, frames: int = 100, shift: float = 0.0) -> np.ndarray:
    """A head that turns to and fro: it stops twice a period."""
    out = np.zeros((frames, 3))
    out[:, 0] = 0.1 * np.cos(2 * np.pi * (np.arange(frames) - shift) / period)
    return out


def test_beats_are_where_the_head_stops() -> None:
    beats = pm.head_beats(nodding(40))
    # Stops at 20, 40, 60, 80; speed k is that between frames k and k + 1.
    assert len(beats) == 4 and np.abs(beats - np.array([20, 40, 60, 80])).max() <= 1
    assert not len(pm.head_beats(np.zeros((50, 3))))


def test_beat_alignment_by_hand() -> None:
    some = np.array([10, 30])
    assert pm.beat_alignment(some, some) == 1.0
    off = math.exp(-0.5 * (2 / pm.BEAT_WIDTH) ** 2)
    assert pm.beat_alignment(np.array([12]), np.array([10])) == pytest.approx(off)
    # Two reference beats, one hit: half; the other way round the one beat there is hits.
    assert pm.beat_alignment(np.array([10]), some) == pytest.approx(0.5, abs=1e-6)
    assert pm.beat_alignment(some, np.array([10])) == 1.0
    assert pm.beat_alignment(np.zeros(0, int), some) == 0.0
    assert math.isnan(pm.beat_alignment(some, np.zeros(0, int)))


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    runs = np.zeros((3, 2, 1, 3))
    runs[1, :, 0, 0], runs[2, :, 0, 0] = 1.0, 3.0  # distances 1, 2 and 3
    assert pm.diversity(runs) == pytest.approx(2.0)
    assert pm.diversity(runs[:1].repeat(4, 0)) == 0.0
    assert math.isnan(pm.diversity(runs[:1]))


def test_interval_is_students() -> None:
    mean, half = interval([1.0, 2.0, 3.0])  # s = 1, t(2) = 4.303
    assert mean == 2.0 and half == pytest.approx(4.303 / math.sqrt(3))
    assert interval([2.0] * 10) == (2.0, 0.0)
    assert math.isnan(interval([2.0])[1])


def clip(seed: int, frames: int = 60) -> np.ndarray:
    """Some motion: a jaw that opens, a brow that rises, a head that turns."""
    rng = np.random.default_rng(seed)
    motion = np.zeros((frames, 54), np.float32)
    motion[:, 53] = 0.1 + 0.1 * np.sin(np.arange(frames) / 3 + seed)
    motion[:, :50] = 0.05 * rng.random((1, 50)) * np.sin(np.arange(frames) / 5)[:, None]
    motion[:, 50:53] = nodding(25, frames, shift=seed)
    return motion


def test_the_label_itself_is_perfect_and_conventions_agree() -> None:
    label, other = clip(0), clip(3)
    perfect = summarise([measure_runs(FACE, np.stack([label, label]), label)])
    for name in ("lve", "fdd", "mod", "lve_squared", "fdd_squared", "diversity"):
        assert perfect[name][0] == pytest.approx(0.0, abs=1e-9), name
    assert perfect["ba"] == (1.0, 0.0) and perfect["ba_own"] == (1.0, 0.0)
    found = measure_runs(FACE, np.stack([other, label]), label)
    assert found.lve[0] > 1.0 and found.lve[1] == 0.0
    # The squared convention is at least the square of the mean: about a thousand times smaller.
    assert (1e-3 * found.lve[0]) ** 2 <= found.lve_squared[0] < 1e-3 * found.lve[0]
    assert found.fdd[0] == abs(found.fdd_signed[0])
    assert found.diversity > 0.0 and found.head_diversity > 0.0


def test_still_motion_has_less_dynamics_than_the_label() -> None:
    label = clip(0)
    found = measure_runs(FACE, np.zeros((1, 60, 54), np.float32), label)
    assert found.fdd_signed[0] > 0.0 and found.ba[0] == 0.0


def test_a_model_without_head_rotation_has_no_beats() -> None:
    label = np.delete(clip(0), slice(50, 53), axis=1)
    found = summarise([measure_runs(FACE, label[None].repeat(2, 0), label)])
    assert math.isnan(found["ba"][0]) and math.isnan(found["head_diversity"][0])
    assert found["lve"] == (0.0, 0.0)


def test_bad_motion_is_one_line() -> None:
    label = clip(0)
    broken = label[None].copy()
    broken[0, 3, 3] = np.nan
    with pytest.raises(PaperMetricError, match="not finite"):
        measure_runs(FACE, broken, label)
    with pytest.raises(PaperMetricError, match="does not fit"):
        measure_runs(FACE, label[None, :50], label)
    with pytest.raises(PaperMetricError, match="at least 4 frames"):
        measure_runs(FACE, label[None, :, :30], label[:, :30])
    with pytest.raises(PaperMetricError, match="no clips"):
        summarise([])


def test_a_head_without_masks_is_one_line() -> None:
    few = builtin_head().subset(np.arange(20))
    with pytest.raises(PaperMetricError, match="no region 'lips'"):
        Face.of(few)
