"""The sheet of mouths has every phone once a person, at its middle, and draws who says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality import mouth_sheet
from head.channels import JAW, ROTATION
from stream.frames import FRAME_SAMPLES
from training.evaluation.heldout import HeldoutClip
from training.labels.phones import Phone


def clip(phones: list[Phone], jaw: float = 0.0) -> HeldoutClip:
    """25 frames of silence with these phones, its label's jaw held."""
    label = np.zeros((25, 54), np.float32)
    label[:, JAW] = jaw
    return HeldoutClip(np.zeros(25 * FRAME_SAMPLES, np.float32), label, phones)


def test_a_phone_is_seen_at_its_middle_once_a_clip_the_longest_first() -> None:
    said = [Phone("P", 0.1, 0.08), Phone("P", 0.4, 0.16), Phone("AA", 0.56, 0.2)]
    places = mouth_sheet.phone_frames([clip(said), clip([Phone("P", 0.0, 0.1)])])
    assert places["P"] == [(0, 12), (1, 1)]
    assert places["AA"] == [(0, 16)]
    assert places["B"] == []


def test_what_is_too_short_to_see_or_past_the_label_is_left_out() -> None:
    said = [Phone("P", 0.1, 0.05), Phone("B", 0.98, 0.2)]
    places = mouth_sheet.phone_frames([clip(said)])
    assert places["P"] == places["B"] == []


def test_stills_show_the_label_over_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mouth_sheet, "PHONES", ("P", "AA"))
    monkeypatch.setattr(mouth_sheet, "PEOPLE", 1)
    heard = clip([Phone("P", 0.1, 0.1), Phone("AA", 0.4, 0.2)])
    live = heard.label.copy()
    live[:, JAW] = 0.2
    live[:, ROTATION] = 0.5  # turned heads are drawn ahead
    output = tmp_path / "stills.png"
    mouth_sheet.draw_stills([heard], [live], output)
    picture = np.asarray(Image.open(output).convert("L"), float)
    shut, opened = np.array_split(picture[25:], 2)
    dark = [float((half < 60).mean()) for half in (shut, opened)]
    assert dark[1] > dark[0] + 0.01, "an open mouth is darker"
