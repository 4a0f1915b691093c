"""Smoothing of recorded motion, against Savitzky and Golay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli import call

from training.faces.build import build
from training.faces.lmdb_dataset import LmdbSet
from training.faces.recordings import read_motion, savitzky_golay


def test_smoothing_is_that_of_savitzky_and_golay() -> None:
    """Their published numbers, least squares in each window, and SciPy where it is installed."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 3)).cumsum(0).astype(np.float32)
    five = savitzky_golay(values, 5)
    published = np.array([-3, 12, 17, 12, -3]) / 35  # of a parabola over five points
    np.testing.assert_allclose(five[10], published @ values[8:13].astype(float), rtol=1e-5)
    published = np.array([-2, 3, 6, 7, 6, 3, -2]) / 21
    seven = savitzky_golay(values, 7)
    np.testing.assert_allclose(seven[20], published @ values[17:24].astype(float), rtol=1e-5)
    for n, window, made in ((0, 5, five), (1, 5, five), (2, 7, seven)):
        fitted = np.polynomial.polynomial.polyfit(
            np.arange(window), values[:window].astype(float), 2
        )
        wanted = np.polynomial.polynomial.polyval(n, fitted)
        np.testing.assert_allclose(made[n], wanted, rtol=1e-4, atol=1e-5)
    scipy = pytest.importorskip("scipy.signal", reason="not run: scipy is not installed")
    for window, made in ((5, five), (7, seven)):
        wanted = scipy.savgol_filter(values.astype(float), window, 2, axis=0, mode="interp")
        np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)


def test_parabolas_pass_and_jitter_goes() -> None:
    t = np.arange(30.0)[:, None]
    parabola = (0.3 * t**2 - 2 * t + 1).astype(np.float32)
    np.testing.assert_allclose(savitzky_golay(parabola, 7), parabola, rtol=1e-4, atol=1e-3)
    jitter = np.where(t % 2, 1.0, -1.0).astype(np.float32)
    assert np.abs(savitzky_golay(jitter, 5)[2:-2]).max() < 0.4
    np.testing.assert_array_equal(savitzky_golay(jitter[:4], 5), jitter[:4])


def test_a_build_smooths_each_part_over_its_own_frames(recordings: Path, tmp_path: Path) -> None:
    build(recordings, tmp_path / "smooth")
    whole = read_motion(recordings / "ada" / "first.npz")
    with LmdbSet(tmp_path / "smooth") as data:
        assert data.about["smoothed"] is True
        found = data.read("ada/000", 0, 230)
    np.testing.assert_allclose(found.exp, savitzky_golay(whole.exp, 5)[:230], atol=1e-6)
    np.testing.assert_allclose(
        found.pose[:, :3], savitzky_golay(whole.pose, 7)[:230, :3], atol=1e-6
    )
    np.testing.assert_allclose(
        found.pose[:, 3:], savitzky_golay(whole.pose, 5)[:230, 3:], atol=1e-6
    )
    np.testing.assert_array_equal(found.shape, whole.shape[:230])


@pytest.mark.parametrize("raw", [False, True])
def test_the_command_smooths_unless_it_is_told_not_to(
    raw: bool, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    command = ["dataset", "build", str(recordings), "-o", str(out), *["--raw"] * raw]
    code, _, said = call(command, capsys)
    assert code == 0, said
    with LmdbSet(out) as data:
        assert data.about["smoothed"] is not raw
        found = data.read("ada/000", 0, 230)
    exp = read_motion(recordings / "ada" / "first.npz").exp
    wanted = exp if raw else savitzky_golay(exp, 5)
    np.testing.assert_allclose(found.exp, wanted[:230], atol=1e-6)
