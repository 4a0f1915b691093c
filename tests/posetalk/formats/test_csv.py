"""CSV as Live Link Face writes it."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from posed_motion import HEAD, about, with_correctives

from head.arkit.weights import arkit_weights
from head.channels import ARKIT_52
from head.model import HeadError
from head.skinning import rotation_matrices
from posetalk.app.outputs import ClipOutput
from posetalk.formats import FORMATS, Clip, csv_table


def test_a_csv_reads_as_live_link_face_s(clip: Clip) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table.write(clip, fps=25).decode())))
    header = list(rows[0])
    assert header[:4] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    # In the app's table right comes before left for jaw and mouth.
    assert header.index("JawRight") == header.index("JawForward") + 1 == header.index("JawLeft") - 1
    assert header[-9:] == [p + a for p in ("Head", "LeftEye", "RightEye") for a in ("Yaw", "Pitch", "Roll")]  # noqa: E501 # fmt: skip
    assert len(header) == 63 and {row["BlendShapeCount"] for row in rows} == {"61"}
    weights = arkit_weights(HEAD, clip.expression, clip.jaw)
    for row, expected in zip(rows, weights, strict=True):
        found = [float(row[name[0].upper() + name[1:]]) for name in ARKIT_52]
        np.testing.assert_allclose(found, expected, atol=1e-7)
    for row, turn in zip(rows, clip.rotation, strict=True):
        angles = [float(row[f"Head{angle}"]) for angle in ("Yaw", "Pitch", "Roll")]
        rebuilt = about(1, angles[0]) @ about(0, angles[1]) @ about(2, angles[2])
        np.testing.assert_allclose(rebuilt, rotation_matrices(turn.astype(float)), atol=1e-6)
    assert [row["Timecode"] for row in rows[:2]] == ["00:00:00:00.000", "00:00:00:01.000"]


@pytest.mark.parametrize("fps", [25, 30, 60, 120])
def test_a_csv_has_the_app_s_rate_whatever_the_motion_s(clip: Clip, fps: int) -> None:
    """Readers take 60 rows for a second: what is between two frames is interpolated."""
    data = csv_table.write(clip) if fps == 60 else csv_table.write(clip, fps)
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert len(rows) == math.ceil(len(clip) * fps / 25)
    assert rows[-1]["Timecode"] == csv_table.timecode(len(rows) - 1, fps)
    weights = arkit_weights(HEAD, clip.expression, clip.jaw)[:, ARKIT_52.index("jawOpen")]
    found = [float(row["JawOpen"]) for row in rows]
    expected = np.interp(np.arange(len(rows)) / fps, np.arange(len(clip)) / 25, weights)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for frame in range(0, len(clip), 5):  # every fifth of a second is a row of every rate
        assert found[frame * fps // 25] == pytest.approx(weights[frame], abs=1e-6)


def test_rates_that_are_none_are_refused(clip: Clip) -> None:
    for fps in (0, -60, 241):
        with pytest.raises(ValueError, match="choose 1 to 240"):
            csv_table.write(clip, fps)


def test_timecodes() -> None:
    assert csv_table.timecode(24, 25) == "00:00:00:24.000"
    assert csv_table.timecode(25, 25) == "00:00:01:00.000"
    assert csv_table.timecode(25 * 3661 + 7, 25) == "01:01:01:07.000"


def test_a_head_without_arkit_makes_no_csv(tmp_path: Path) -> None:
    from dataclasses import replace

    bare = replace(with_correctives(), landmarks={}, regions={})  # nothing to find ARKit by
    with pytest.raises(HeadError, match="flame-like"):
        ClipOutput(tmp_path / "a.csv", None, bare, FORMATS[".csv"])
