"""Training: losses that know the truth, a run that learns and survives a kill, honest metrics."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from diffposetalk.network.mel import LOWEST
from head.rig import builtin_head
from training.evaluation.motion_metrics import correlation, measure, summary, total
from training.labels.phones import Phone
from training.loop.losses import FaceGeometry, Weights, motion_losses, nt_xent
from training.speech import augment
from training.speech.track import frame_phones
from training.speech.track_batches import Crops, Tracks
from training.starter.mel_pretraining import SpeechPretraining, batch_losses
from training.starter.train import STARTER


def test_every_loss_is_zero_at_the_truth_and_grows_away_from_it() -> None:
    mean, std = np.zeros(54, np.float32), np.full(54, 0.1, np.float32)
    geometry = FaceGeometry(builtin_head(), mean, std)
    x = torch.randn(2, 9, 54, generator=torch.Generator().manual_seed(0)).cumsum(1) * 0.1
    _, exact = motion_losses(x, x, geometry, Weights())
    _, off = motion_losses(x + 0.3 * torch.randn_like(x), x, geometry, Weights())
    for name, term in exact.items():
        if "smooth" not in name:
            assert float(term) == pytest.approx(0.0, abs=1e-9), name
        assert float(off[name]) > float(term), name


def test_lips_that_are_too_near_can_cost_more() -> None:
    geometry = FaceGeometry(builtin_head(), np.zeros(54, np.float32), np.ones(54, np.float32))
    wide, near = torch.zeros(1, 2, 54), torch.zeros(1, 2, 54)
    wide[..., 53], near[..., 53] = 0.2, 0.1
    _, shut = motion_losses(near, wide, geometry, Weights(shut=1.0))
    _, loose = motion_losses(wide, near, geometry, Weights(shut=1.0))
    assert float(shut["shut"]) == pytest.approx(float(shut["gap"]))
    assert float(shut["gap"]) > 1.0
    assert float(loose["shut"]) == 0.0 < float(loose["gap"])


def test_geometry_opens_the_lips_with_the_jaw_in_millimetres() -> None:
    geometry = FaceGeometry(builtin_head(), np.zeros(54, np.float32), np.ones(54, np.float32))
    x = torch.zeros(1, 2, 54)
    x[0, 1, 53] = 0.2
    gap = geometry.gap(geometry(x))[0]
    assert abs(float(gap[0])) < 1.0 and 8.0 < float(gap[1]) < 25.0


def test_nt_xent_prefers_matching_pairs() -> None:
    a = torch.eye(4)
    assert float(nt_xent(a, a)) < 0.01 < float(nt_xent(a, a.roll(1, 0)))


def clip(closed_at: slice) -> np.ndarray:
    """Three seconds of an open mouth that closes once."""
    motion = np.zeros((75, 54), np.float32)
    motion[:, 53] = 0.1 + 0.02 * np.sin(np.arange(75))
    motion[closed_at, 53] = 0.0
    motion[:, 51] = 0.05 * np.sin(np.arange(75) / 5)
    return motion


PHONES = [
    Phone("AA", 0.0, 1.0),
    Phone("B", 1.0, 0.12),
    Phone("AA", 1.12, 0.88),
    Phone("SIL", 2.0, 1.0),
]


def test_metrics_tell_a_closure_from_none() -> None:
    label = clip(slice(25, 28))
    label[52:, 53] = 0.0
    right = summary(measure(builtin_head(), label, label, PHONES, 2))
    assert right["closures"] == 100.0 and right["vowels_closed"] == 0.0
    assert right["jaw_r"] == pytest.approx(1.0) and right["lve_mm"] == 0.0
    assert right["silent_open"] == 0.0 and right["head_life"] == pytest.approx(1.0)
    open_all_along = clip(slice(0, 0))
    wrong = summary(measure(builtin_head(), open_all_along, label, PHONES, 2))
    assert wrong["closures"] == 0.0 and wrong["silent_open"] == 100.0 and wrong["lve_mm"] > 1.0
    shut = summary(measure(builtin_head(), np.zeros_like(label), label, PHONES, 2))
    assert shut["closures"] == 100.0 and shut["vowels_closed"] == 100.0 and shut["jaw_r"] == 0.0
    both = total([measure(builtin_head(), m, label, PHONES, 2) for m in (label, open_all_along)])
    assert summary(both)["closures"] == 50.0


def test_correlation_is_pearsons() -> None:
    a = np.arange(9, dtype=np.float32)
    assert correlation(a, 3 - 2 * a) == pytest.approx(-1.0)
    assert correlation(a, np.ones(9, np.float32)) == 0.0


def test_frame_phones_are_read_at_frame_middles() -> None:
    found = frame_phones([("AA", 0.0, 0.1), ("B", 0.1, 0.04)], 5)
    assert list(found) == [1, 1, 7, 0, 0]


@pytest.mark.parametrize("change", [augment.room, augment.line, augment.suppress, augment.level])
def test_augmentation_keeps_length_and_timing(change) -> None:
    rng = np.random.default_rng(0)
    speech = np.zeros(32_000, np.float32)
    speech[8000:12_000] = 0.1 * rng.standard_normal(4000)
    heard = change(speech, np.random.default_rng(1))
    assert heard.shape == speech.shape and heard.dtype == np.float32
    assert np.abs(heard[:7990]).max() < 1e-6
    assert np.abs(heard[8000:12_000]).mean() > 10 * np.abs(heard[20_000:]).mean()


def test_noise_is_mixed_at_the_ratio_asked_for() -> None:
    rng = np.random.default_rng(0)
    speech = rng.standard_normal(64_000).astype(np.float32)
    noise = augment.coloured_noise(64_000, rng)
    added = augment.mix(speech, noise, 10.0) - speech
    assert 20 * np.log10(speech.std() / added.std()) == pytest.approx(10.0, abs=0.7)


@pytest.fixture
def tracks(tmp_path) -> Tracks:
    rng = np.random.default_rng(0)
    n = 400
    np.save(tmp_path / "columns.npy", rng.normal(size=(2, 4 * n, 80)).astype(np.float16))
    np.save(tmp_path / "motion.npy", rng.normal(size=(n, 54)).astype(np.float32))
    np.save(tmp_path / "phone.npy", rng.integers(0, 40, n).astype(np.uint8))
    spans = [
        {"start": 0, "end": 180, "style": 0, "set": "a"},
        {"start": 180, "end": 400, "style": 1, "set": "a"},
    ]
    (tmp_path / "tracks.json").write_text(
        json.dumps({"spans": spans, "styles": [{}, {}], "named": ["x", "y"], "settings": {}})
    )
    return Tracks(tmp_path)


def test_crops_stay_inside_their_track_and_carry_their_history(tracks) -> None:
    crops = tracks.crops(16, 30, 26, np.random.default_rng(0))
    assert crops.columns.shape == (16, 4 * 55, 80) and crops.motion.shape == (16, 30, 54)
    whole = tracks.normalised(0, 400)
    for motion, style, columns in zip(crops.motion, crops.style, crops.columns, strict=True):
        first = int(np.flatnonzero((whole == motion[0].numpy()).all(1))[0])
        span = tracks.spans[int(style)]
        assert span[0] + 25 <= first and first + 30 <= span[1]
        expected = tracks.columns[:, 4 * (first - 25) : 4 * (first + 30)].astype(np.float32)
        assert any(np.array_equal(columns.numpy(), heard) for heard in expected)


def test_crops_that_begin_a_stream_have_silence_before_it(tracks) -> None:
    crops = tracks.crops(16, 30, 26, np.random.default_rng(0), starts=1.0, lead=12)
    assert crops.before.tolist() == [12] * 16
    whole, begun = tracks.normalised(0, 400), []
    for motion, style, columns, phone in zip(
        crops.motion, crops.style, crops.columns, crops.phone, strict=True
    ):
        start, end, _ = tracks.spans[int(style)]
        first = int(np.flatnonzero((whole == motion[12].numpy()).all(1))[0])
        assert start <= first <= end - 18
        begun.append(first == start)
        assert (columns[: 4 * 37] == LOWEST).all() and (phone[:12] == 0).all()
        heard = tracks.columns[:, 4 * first : 4 * (first + 18)].astype(np.float32)
        assert any(np.array_equal(columns[4 * 37 :].numpy(), one) for one in heard)
        np.testing.assert_array_equal(motion[12:], whole[first : first + 18])
        np.testing.assert_array_equal(motion[:12], np.repeat(whole[first : first + 1], 12, 0))
    assert 4 <= sum(begun) <= 12  # some in a pause, some while somebody speaks
    assert not tracks.crops(8, 30, 26, np.random.default_rng(0)).before.any()


def test_the_speech_encoder_hears_streams_begin(tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = tracks.crops

    def crops(*args: object, **more: object) -> Crops:
        drawn.append(draw(*args, **more))
        return drawn[-1]

    monkeypatch.setattr(tracks, "crops", crops)
    model = SpeechPretraining(STARTER)
    batch_losses(model, tracks, 32, 30, np.random.default_rng(0))
    silent = (drawn[0].columns[:, : 4 * 25] == LOWEST).all(-1).all(-1)
    assert 2 <= silent.sum() <= 12


LOOP = """
    import sys, torch
    from pathlib import Path
    from training.loop.trainer import RunSettings, train
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    truth = torch.arange(8.0)[:, None]
    def losses(rng, step):
        if step == int(sys.argv[2]):
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        x = torch.from_numpy(rng.normal(size=(32, 8))).float()
        loss = (model(x) - x @ truth).square().mean()
        return loss, {}
    train(model, losses, RunSettings(Path(sys.argv[1]), steps=100, learning_rate=0.4, ema=0.9,
                                     warm_up=10, save_minutes=0.0))
    print(float((model.weight[0] - truth[:, 0]).abs().max()), model.weight.sum().item())
"""


def test_a_killed_run_goes_on_and_ends_where_an_unbroken_one_does(tmp_path) -> None:
    def run(folder: str, kill_at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(LOOP), str(tmp_path / folder), str(kill_at)],
            capture_output=True,
            text=True,
            timeout=120,
        )

    whole = run("whole", -1)
    assert whole.returncode == 0, whole.stderr
    assert float(whole.stdout.split()[0]) < 0.3, "it has learned"
    assert run("broken", 40).returncode == -9
    assert run("broken", -1).stdout == whole.stdout
