"""The denoiser's and the style encoder's objectives, recomputed from what the network was given.

A network that only writes down its inputs stands for the denoiser: what it was asked, against what
section 3.3 and the released code say it is asked; and the loss of any answer, by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_training_set import SMALL, TINY, two_windows, write_small_set
from torch import Tensor

from training.faces.crops import Batch, CropSource
from training.faces.lmdb_dataset import LmdbSet
from training.loop.losses import PAPER, motion_losses, transition_loss
from training.paper.denoiser_loss import TwoWindowLosses
from training.paper.presets import PRESETS, Preset
from training.paper.style_loss import PairLosses

W, T_P = 20, 10


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def crops(data: Path) -> Iterator[CropSource]:
    with LmdbSet(data) as found:
        yield CropSource(found, "train")


class Recorder(torch.nn.Module):
    """Answers with numbers of its own, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, Tensor]] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        names = ("x_t", "speech", "person", "past", "past_speech", "times", "indicator")
        call = dict(zip(names, inputs, strict=True))
        generator = torch.Generator().manual_seed(len(self.calls))
        b, n, d = call["x_t"].shape
        call["out"] = torch.randn(b, T_P + n, d, generator=generator)
        self.calls.append(call)
        return call["out"]


def asked(
    crops: CropSource, preset: Preset, seed: int = 0
) -> tuple[TwoWindowLosses, Batch, Recorder, Tensor, Any]:
    losses = two_windows(crops, preset)
    recorder = Recorder()
    losses.model.denoising_net = recorder  # type: ignore[assignment]
    rng = np.random.default_rng(seed)
    batch = losses.draw(rng)
    torch.manual_seed(seed)
    total, terms = losses(rng, 0, batch)
    return losses, batch, recorder, total, terms


def preset(**settings: Any) -> Preset:
    whole = {"weights": PAPER, "vertices": None, "truncated": (0.0, 0.0)} | settings
    return replace(SMALL, denoiser=replace(SMALL.denoiser, **whole))


def test_the_loss_is_the_mean_of_both_windows_and_the_seams_whole(crops: CropSource) -> None:
    losses, batch, recorder, total, terms = asked(crops, preset())
    first, second = recorder.calls
    count = len(batch.motion)
    everything = torch.ones(count, W, dtype=torch.bool)
    a, _ = motion_losses(
        first["out"][:, T_P:],
        batch.motion[:, :W],
        losses.geometry,
        PAPER,
        valid=everything,
        shape=batch.raw_shape,
    )
    # The second window gives back its true context as well.
    b, _ = motion_losses(
        second["out"],
        batch.motion[:, W - T_P :],
        losses.geometry,
        PAPER,
        valid=torch.ones(count, T_P + W, dtype=torch.bool),
        shape=batch.raw_shape,
    )
    seam = transition_loss(
        batch.motion[:, W - 3 : W, 50:53], second["out"][:, T_P : T_P + 3, 50:53]
    )
    wanted = (a + b) / 2 + 0.5 * seam
    assert float(total) == pytest.approx(float(wanted), rel=1e-5)
    assert float(terms["transition"]) == pytest.approx(float(seam), rel=1e-5)


def test_what_the_network_is_asked(crops: CropSource) -> None:
    losses, batch, recorder, _, _ = asked(crops, preset(style_null=0.0, both_null=0.0))
    first, second = recorder.calls
    model, spec = losses.model, losses.model.spec
    count = len(batch.motion)
    torch.testing.assert_close(first["past"], model.start_motion_feat.expand(count, -1, -1))
    torch.testing.assert_close(first["past_speech"], model.start_audio_feat.expand(count, -1, -1))
    torch.testing.assert_close(second["past"], batch.motion[:, W - T_P : W])
    with torch.no_grad():
        speech = losses._encode(batch.samples)
        assert losses.style is not None
        styles = losses.style(batch.motion[:, W:]), losses.style(batch.motion[:, :W])
    torch.testing.assert_close(first["speech"], speech[:, :W])
    torch.testing.assert_close(second["speech"], speech[:, W:])
    torch.testing.assert_close(second["past_speech"], speech[:, W - T_P : W])
    for call, style in zip(recorder.calls, styles, strict=True):
        person = call["person"].reshape(count, -1)
        torch.testing.assert_close(person[:, : spec.n_shape], batch.shape)
        torch.testing.assert_close(person[:, spec.n_shape :], style)
        assert call["indicator"].min() == 1.0


def test_noise_is_that_of_the_forward_process_at_uniform_times(crops: CropSource) -> None:
    losses = two_windows(crops, preset())
    recorder = Recorder()
    losses.model.denoising_net = recorder  # type: ignore[assignment]
    rng = np.random.default_rng(3)
    batch = losses.draw(rng)
    torch.manual_seed(3)
    for step in range(12):
        losses(rng, step, batch)
    steps = SMALL.spec.diffusion.steps
    bars = np.cumprod(1 - _cosine_betas(steps))
    noise, times = [], []
    for number, call in enumerate(recorder.calls):
        x0 = batch.motion[:, W:] if number % 2 else batch.motion[:, :W]
        bar = torch.tensor([bars[int(t) - 1] for t in call["times"]]).float()[:, None, None]
        noise.append((call["x_t"] - bar.sqrt() * x0) / (1 - bar).sqrt())
        times += call["times"].tolist()
    drawn = torch.cat([part.flatten() for part in noise])
    assert abs(float(drawn.mean())) < 0.02 and abs(float(drawn.std()) - 1) < 0.02
    assert min(times) >= 1 and max(times) <= steps
    assert min(times) < 0.1 * steps and max(times) > 0.9 * steps
    assert 0.4 * steps < np.mean(times) < 0.6 * steps


def test_every_time_is_drawn_from_the_first_to_the_last(crops: CropSource) -> None:
    short = replace(SMALL.spec, diffusion=replace(SMALL.spec.diffusion, steps=6))
    losses = two_windows(crops, replace(preset(), spec=short))
    recorder = Recorder()
    losses.model.denoising_net = recorder  # type: ignore[assignment]
    rng = np.random.default_rng(0)
    batch = losses.draw(rng)
    for step in range(8):
        losses(rng, step, batch)
    assert {int(t) for call in recorder.calls for t in call["times"]} == {1, 2, 3, 4, 5, 6}


def test_windows_encoded_one_by_one_hear_their_own_past(crops: CropSource) -> None:
    """As the released code has it: each window's speech by itself, the past's own at its end."""
    wide = replace(SMALL.spec, T_w=24)
    whole = preset(together=False, style_null=0.0, both_null=0.0)
    losses, batch, recorder, _, _ = asked(crops, replace(whole, spec=wide))
    first, second = recorder.calls
    with torch.no_grad():
        halves = [losses._encode(part) for part in batch.samples.split(24 * 640, 1)]
    torch.testing.assert_close(first["speech"], halves[0])
    torch.testing.assert_close(second["speech"], halves[1])
    torch.testing.assert_close(second["past_speech"], halves[0][:, -T_P:])
    assert second["speech"].requires_grad


def _cosine_betas(steps: int) -> np.ndarray:
    """Nichol and Dhariwal 2021, equation 17, clipped as the released code has it."""
    f = [math.cos((k / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(steps + 1)]
    return np.array([min(max(1 - f[k + 1] / f[k], 1e-4), 0.999) for k in range(steps)])


def test_shares_of_null_conditions(crops: CropSource) -> None:
    """Style and speech together in a tenth, style alone in 0.35 more; never speech alone."""
    losses = two_windows(crops, preset(style_null=0.35, both_null=0.10))
    count, spec = 20_000, losses.model.spec
    shape, style = torch.ones(count, spec.n_shape), torch.full((count, spec.style.d_style), 7.0)
    features = torch.full((count, 1, spec.denoiser.d_model), 9.0)
    with torch.no_grad():
        person, heard = losses._conditions(shape, style, features, np.random.default_rng(0))
        null = losses.model.null_style_feat[0, 0]
    person = person.reshape(count, -1)
    no_style = (person[:, spec.n_shape :] == null).all(1)
    no_speech = (heard[:, 0] == losses.model.null_audio_feat[0, 0]).all(1)
    assert abs(float(no_style.float().mean()) - 0.45) < 0.015
    assert abs(float(no_speech.float().mean()) - 0.10) < 0.01
    assert bool(no_style[no_speech].all()), "without speech there is no style either"
    assert (person[:, : spec.n_shape] == 1).all(), "the shape is never left out"
    assert (person[~no_style][:, spec.n_shape :] == 7).all() and (heard[~no_speech] == 9).all()


def test_windows_that_end_early_are_zero_and_do_not_count(crops: CropSource) -> None:
    losses, batch, recorder, total, _ = asked(crops, preset(truncated=(1.0, 1.0)), seed=4)
    parts = []
    for number, call in enumerate(recorder.calls):
        start = number * W
        ends = call["indicator"].sum(1).long()
        assert bool(((ends >= 1) & (ends < W)).all()) and len(set(ends.tolist())) > 1
        valid = torch.arange(W)[None] < ends[:, None]
        assert torch.equal(call["indicator"], valid.float())
        x0 = batch.motion[:, start : start + W] * valid[..., None]
        context = torch.ones(len(valid), T_P, dtype=torch.bool)
        out, truth, counts = call["out"][:, T_P:], x0, valid
        if number:
            out, counts = call["out"], torch.cat([context, valid], 1)
            truth = torch.cat([batch.motion[:, W - T_P : W], x0], 1)
        loss, _ = motion_losses(
            out, truth, losses.geometry, PAPER, valid=counts, shape=batch.raw_shape
        )
        parts.append(loss)
    turns = slice(50, 53)
    seam = transition_loss(
        batch.motion[:, W - 3 : W, turns],
        recorder.calls[1]["out"][:, T_P : T_P + 3, turns],
        recorder.calls[1]["indicator"][:, :3].bool(),
    )
    wanted = (parts[0] + parts[1]) / 2 + 0.5 * seam
    assert float(total) == pytest.approx(float(wanted), rel=1e-5)


def test_whole_batches_end_early_as_often_as_is_said(crops: CropSource) -> None:
    losses = two_windows(crops, preset(truncated=(0.3, 0.4)))
    rng = np.random.default_rng(0)
    cut = [
        [losses._ends(share, 4, W, rng) is not None for _ in range(4000)] for share in (0.3, 0.4)
    ]
    assert np.mean(cut, axis=1) == pytest.approx([0.3, 0.4], abs=0.03)
    ends = torch.cat([e for _ in range(300) if (e := losses._ends(1.0, 8, W, rng)) is not None])
    assert int(ends.min()) == 1 and int(ends.max()) == W - 1


def test_the_style_encoders_pair_is_a_crops_first_and_last_window(crops: CropSource) -> None:
    from diffposetalk.network.style_encoder import StyleEncoder
    from training.loop.losses import nt_xent

    torch.manual_seed(0)
    encoder = StyleEncoder(TINY.spec).eval()
    losses = PairLosses(encoder, crops, replace(TINY.style, temperature=0.2))
    batch = losses.draw(np.random.default_rng(0))
    loss, terms = losses(np.random.default_rng(0), 0, batch)
    with torch.no_grad():
        a, b = encoder(batch.motion[:, :100]), encoder(batch.motion[:, 110:210])
    assert loss.item() == pytest.approx(nt_xent(a, b, 0.2).item(), rel=1e-5)
    near = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=-1)
    share = (near.argmax(1) == torch.arange(len(a))).float().mean()
    assert float(terms["retrieved"]) == float(share)


def test_the_numbers_of_the_presets() -> None:
    """Sections 3 and 4.2, the released code, and the starter's own."""
    paper, code, starter, tiny = (PRESETS[k] for k in ("paper", "code", "starter", "tiny"))
    plain = {"decay": False, "ema": 0.0, "clip": 0.0, "weight_decay": 0.0}
    assert asdict(paper.style.run) == {
        "steps": 26_000,
        "batch": 32,
        "rate": 1e-4,
        "warm_up": 1,
        **plain,
    }
    assert asdict(paper.denoiser.run) == {
        "steps": 90_000,
        "batch": 16,
        "rate": 1e-4,
        "warm_up": 5_000,
        **plain,
    }
    assert code.style == replace(paper.style, gap=10)
    assert (paper.style.gap, paper.style.temperature) == (0, 0.1)
    assert code.denoiser.run == replace(paper.denoiser.run, steps=110_000)
    whole = replace(paper.denoiser, run=code.denoiser.run, together=False, frozen_layers=2)
    assert code.denoiser == whole
    d = paper.denoiser
    assert (d.weights, d.vertices, d.dropout, d.together, d.frozen_layers) == (
        PAPER,
        None,
        0.1,
        True,
        0,
    )
    assert (d.style_null, d.both_null, d.truncated, d.live) == (0.35, 0.10, (0.3, 0.4), False)
    s = paper.spec
    assert (s.T_w, s.T_p, s.d_motion, s.d_person, s.style.d_style) == (100, 10, 54, 228, 128)
    assert (s.denoiser.d_model, s.denoiser.n_heads, s.denoiser.n_layers) == (512, 8, 8)
    assert (s.diffusion.steps, s.diffusion.schedule, s.diffusion.target) == (
        500,
        "cosine",
        "sample",
    )
    assert asdict(starter.style.run) == {
        "steps": 4_000,
        "batch": 32,
        "rate": 5e-4,
        "warm_up": 1,
        "decay": True,
        "ema": 0.0,
        "clip": 1.0,
        "weight_decay": 0.0,
    }
    assert asdict(starter.denoiser.run) == {
        "steps": 20_000,
        "batch": 16,
        "rate": 6e-4,
        "warm_up": 300,
        "decay": True,
        "ema": 0.999,
        "clip": 1.0,
        "weight_decay": 0.01,
    }
    live = starter.denoiser
    assert (live.vertices, live.dropout, live.live) == (60, 0.0, True)
    assert live.weights.transition == 0.0 and not tiny.denoiser.live
    assert asdict(tiny.denoiser.run) == asdict(live.run) | {
        "steps": 600,
        "batch": 8,
        "rate": 1e-3,
        "warm_up": 20,
        "ema": 0.99,
    }
    assert asdict(tiny.style.run) == {
        "steps": 300,
        "batch": 8,
        "rate": 1e-3,
        "warm_up": 20,
        "decay": True,
        "ema": 0.0,
        "clip": 0.0,
        "weight_decay": 0.0,
    }
