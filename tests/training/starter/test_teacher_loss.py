"""Tracks that have a teacher's features: crops carry them by frame, and the encoder learns them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from training.speech.track_batches import Tracks
from training.starter.mel_pretraining import LAG, TAUGHT, TEACHER_WIDTH, SpeechPretraining
from training.starter.train import STARTER


def write_tracks(folder: Path, frames: int = 300) -> Tracks:
    """One track, of which the teacher tells the frame's number."""
    rng = np.random.default_rng(0)
    np.save(folder / "columns.npy", rng.standard_normal((1, 4 * frames, 80)).astype(np.float16))
    motion = rng.standard_normal((frames, STARTER.d_motion)).astype(np.float32)
    motion[:, 0] = np.arange(frames)
    np.save(folder / "motion.npy", motion)
    np.save(folder / "phone.npy", rng.integers(0, 40, frames).astype(np.uint8))
    told = np.repeat(np.arange(frames)[:, None], TEACHER_WIDTH, 1).astype(np.float16)
    np.save(folder / "teacher.npy", told)
    span = {"start": 0, "end": frames, "style": 0, "set": "a"}
    about = {"spans": [span], "styles": [{}], "named": []}
    (folder / "tracks.json").write_text(json.dumps(about))
    return Tracks(folder)


def test_crops_carry_what_the_teacher_says_of_their_frames(tmp_path: Path) -> None:
    tracks = write_tracks(tmp_path)
    crops = tracks.crops(4, 50, 26, np.random.default_rng(1))
    assert crops.teacher is not None and crops.teacher.shape == (4, 50, TEACHER_WIDTH)
    number = crops.motion[..., 0] * float(tracks.std[0]) + float(tracks.mean[0])
    normal = (number - 149.5) / np.arange(300).std()
    assert torch.allclose(crops.teacher[..., 7], normal, atol=1e-2)


def test_the_encoder_is_asked_what_the_teacher_said_before(tmp_path: Path) -> None:
    crops = write_tracks(tmp_path).crops(2, 40, 26, np.random.default_rng(1))
    assert crops.teacher is not None
    taught, alone = (SpeechPretraining(STARTER, taught=t).eval() for t in (True, False))
    alone.load_state_dict(taught.state_dict(), strict=False)
    loss, terms = taught.losses(crops.columns, crops)
    assert taught.teacher is not None
    said = taught.teacher(taught.encoder(crops.columns)[:, LAG:])
    expected = (said - crops.teacher[:, :-LAG]).square().mean()
    assert torch.isclose(terms["teacher"], expected, rtol=1e-4)
    without, others = alone.losses(crops.columns, crops)
    assert "teacher" not in others
    assert torch.isclose(loss, without + TAUGHT * expected, rtol=1e-4)


def test_only_training_drops_anything_of_the_speech_encoder() -> None:
    encoder = SpeechPretraining(STARTER).encoder
    columns = torch.randn(1, 4 * 30, 80)
    first, again = encoder(columns), encoder(columns)
    assert not torch.equal(first, again)
    encoder.eval()
    assert torch.equal(encoder(columns), encoder(columns))
