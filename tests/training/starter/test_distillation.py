"""Distillation: what the student begins as, and what it is asked and answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffposetalk.network.mel_front import COLUMNS
from diffposetalk.sampling.guidance import guided_denoiser
from diffposetalk.sampling.samplers import dpm_solver_pp_2m
from diffposetalk.schedule import sampling_times
from head.rig import builtin_head
from training.loop.losses import FaceGeometry
from training.speech.track_batches import Crops, Tracks
from training.starter import adjacent_windows
from training.starter.adjacent_windows import (
    DIGITAL_SILENCE,
    FOREIGN,
    LONG,
    Training,
    WindowLosses,
    Windows,
    window_losses,
)
from training.starter.distillation import (
    AUDIO_SCALES,
    STYLE_SCALES,
    TEACHER_CALLS,
    DistilLosses,
    Student,
    draw_scales,
    start_noise,
)
from training.starter.mel_pretraining import LIPS, SpeechPretraining
from training.starter.train import STARTER

SPEC = replace(
    STARTER,
    T_w=12,
    T_p=4,
    speech=replace(STARTER.speech, d_out=16, d_hidden=8),
    denoiser=replace(STARTER.denoiser, d_model=16, n_heads=2, n_layers=2),
    style=replace(STARTER.style, d_style=8),
)


@pytest.fixture
def losses(tmp_path: Path) -> DistilLosses:
    rng = np.random.default_rng(0)
    n = 600
    np.save(tmp_path / "columns.npy", rng.normal(size=(1, 4 * n, 80)).astype(np.float16))
    np.save(tmp_path / "motion.npy", rng.normal(size=(n, 54)).astype(np.float32))
    np.save(tmp_path / "phone.npy", rng.integers(0, 40, n).astype(np.uint8))
    (tmp_path / "tracks.json").write_text(
        json.dumps(
            {
                "spans": [{"start": 0, "end": n, "style": 0, "set": "a"}],
                "styles": [{}],
                "named": ["x"],
                "settings": {},
            }
        )
    )
    torch.manual_seed(0)
    tracks = Tracks(tmp_path)
    teacher = Training(SPEC, SpeechPretraining(SPEC))
    geometry = FaceGeometry(builtin_head(), tracks.mean, tracks.std, others=8)
    return DistilLosses(Student(teacher.model), teacher, tracks, geometry, torch.randn(1, 3, 8))


@pytest.fixture
def windows() -> Windows:
    g = torch.Generator().manual_seed(2)
    batch, n, T_p = 4, 3, SPEC.T_p
    return Windows(
        torch.randn(batch, n, 16, generator=g),
        torch.randn(batch, T_p, 16, generator=g),
        torch.randn(batch, T_p, 54, generator=g),
        torch.randn(batch, 1, 54, generator=g),
        torch.randn(batch, n, 54, generator=g),
        torch.ones(batch, n, dtype=torch.bool),
        torch.randn(batch, 8, generator=g),
        torch.tensor([False, True, False, True]),
    )


@pytest.mark.parametrize("part", ["denoiser", "student"])
def test_both_networks_hear_streams_begin(
    part: str, losses: DistilLosses, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, tracks, styles = losses.source.training, losses.source.tracks, losses.source.styles
    source = losses.source
    if part == "denoiser":
        source = WindowLosses(teacher, tracks, losses.geometry, styles).source
    drawn: list[Crops] = []
    draw = tracks.crops

    def crops(*args: Any, **more: Any) -> Crops:
        drawn.append(draw(*args, **more))
        return drawn[-1]

    monkeypatch.setattr(tracks, "crops", crops)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for _ in range(6):
            source.draw(rng)
    begun = torch.cat([one.before for one in drawn]) > 0
    assert 4 <= begun.sum() <= 24, "about a fifth of 60"


@torch.no_grad()
def test_after_a_windows_end_nothing_is_heard_and_up_to_it_all(
    losses: DistilLosses, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = losses.source
    source.dropout = replace(source.dropout, truncate=1.0)
    encoder, heard = source.training.model.audio_encoder, []

    def hear(columns: torch.Tensor) -> Any:
        heard.append(columns)
        return encode(columns)

    encode = encoder.forward
    monkeypatch.setattr(encoder, "forward", hear)
    rng, seen = np.random.default_rng(0), 0
    for _ in range(20):
        windows, *_ = source.draw(rng)
        ends = SPEC.T_p + windows.valid.sum(1)
        if windows.valid.shape[1] < LONG or len(ends) != len(heard[-1]):
            continue
        silent = (heard[-1] == DIGITAL_SILENCE).all(-1)
        first = COLUMNS * (SPEC.speech.history_frames - 1 + ends)
        for row, at in zip(silent, first.tolist(), strict=True):
            assert row[at:].all() and not row[at - 1]
            seen += 1
    assert seen > 20


@torch.no_grad()
def test_lips_are_asked_for_the_label_and_the_rest_for_the_teachers_own_path(
    losses: DistilLosses, windows: Windows
) -> None:
    x_t, t, target = losses.lesson(windows, None, np.random.default_rng(0))
    assert t[:3].tolist() == [sampling_times(losses.schedule, 1)[0]] * 3
    lips = losses.lips
    assert lips.sum() == len(LIPS)
    torch.testing.assert_close(target[..., lips], windows.x0[..., lips])
    torch.testing.assert_close(target[1::2], windows.x0[1::2])  # after another's past, or later
    features = torch.cat([windows.context_features, windows.features], 1)[[0, 2]]
    denoise = guided_denoiser(
        losses.teacher,
        losses.teacher.denoising_net.audio_terms(features),
        torch.zeros(2, SPEC.n_shape),
        windows.style[[0, 2]],
        windows.context_motion[[0, 2]],
    )
    end = dpm_solver_pp_2m(denoise, x_t[[0, 2]], TEACHER_CALLS, losses.schedule)
    torch.testing.assert_close(target[[0, 2]][..., ~lips], end[..., ~lips], rtol=0, atol=1e-4)


def test_the_mouth_learns_after_foreign_pasts_alone_and_the_rest_after_its_own(
    losses: DistilLosses, windows: Windows
) -> None:
    predicted = torch.zeros(4, 3, 54, requires_grad=True)
    window_losses(predicted, windows.x0, windows, losses.geometry, losses.weights)[0].backward()
    assert predicted.grad is not None
    learns = predicted.grad.abs().amax(1) > 0
    assert torch.equal(learns, windows.foreign[:, None] == losses.lips)


@torch.no_grad()
def test_foreign_pasts_are_another_crops(
    losses: DistilLosses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adjacent_windows, "perturb", lambda past, _: past)
    monkeypatch.setattr(adjacent_windows, "add_gaze_drift", lambda motion, *_: motion)
    source, rng = losses.source, np.random.default_rng(0)
    source.dropout = replace(source.dropout, start=0.0, begin=0.0)
    foreign, went_on = [], []
    for _ in range(8):
        windows, *_ = source.draw(rng)
        last = windows.context_motion[:, -1]
        there = (last != source.training.model.start_motion_feat[0, -1]).any(-1)
        foreign.append(windows.foreign[there])
        went_on.append((last == windows.before[:, 0]).all(-1)[there])
    own = ~torch.cat(foreign)
    assert torch.cat(went_on)[own].all()
    assert torch.cat(went_on)[~own].float().mean() < 0.01, "but where two crops are the same"
    assert float(torch.cat(foreign).float().mean()) == pytest.approx(FOREIGN, abs=0.05)


@torch.no_grad()
def test_scales_move_the_answer_as_guidance_moves_the_teacher(
    losses: DistilLosses, windows: Windows
) -> None:
    for norm in (p for p in losses.teacher.denoising_net.parameters() if p.dim() > 1):
        torch.nn.init.normal_(norm, std=0.3)  # a teacher that minds its conditions
    scales = torch.tensor([[1.6, 2.5]] * 4)
    x_t, t, target = losses.lesson(windows, scales, np.random.default_rng(0))
    later = int(t[-1])
    guided = losses.teach(windows, scales, slice(3, 4))(x_t[3:], later)
    plain = losses.teach(windows, None, slice(3, 4))(x_t[3:], later)
    assert (guided - plain).abs().max() > 0.01
    torch.testing.assert_close(target[3:], windows.x0[3:] + guided - plain, rtol=0, atol=1e-4)


def test_the_student_begins_as_its_teacher_and_learns(losses: DistilLosses) -> None:
    loss, terms = losses(np.random.default_rng(0), 0)
    assert torch.isfinite(loss) and {"lips_at_once", "rest_at_once"} <= set(terms)
    loss.backward()
    student = losses.student
    grown = {name for name, p in student.named_parameters() if p.grad is not None}
    assert not any(name.startswith(("audio_encoder", "audio_feature_map")) for name in grown)
    assert "denoising_net.feature_proj.weight" in grown


def test_noise_and_scales_are_what_live_sessions_use() -> None:
    rng = np.random.default_rng(0)
    noise = start_noise((400, 40, 54), rng).numpy()
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    steps = np.abs(np.diff(noise[..., 50:53], axis=1)).mean((1, 2))
    assert 0.3 < (steps < 0.5).mean() < 0.7  # half of the rows sway
    scales = draw_scales(500, rng).numpy()
    for column, (low, high) in zip(scales.T, (AUDIO_SCALES, STYLE_SCALES), strict=True):
        assert low <= column.min() < low + 0.1 and high - 0.1 < column.max() <= high
