"""Guidance against equation 10 of the paper, written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.sampling.guidance import dynamic_threshold, guidance_branches, guided_denoiser
from diffposetalk.sampling.samplers import dpm_solver_pp_2m, known_prefix
from diffposetalk.spec import (
    DenoiserSpec,
    DiffusionSpec,
    ModelSpec,
    SpeechEncoderSpec,
    StyleEncoderSpec,
)

N = 6


def make(target: str = "sample", use_style: bool = True) -> DiffPoseTalk:
    torch.manual_seed(0)
    spec = ModelSpec(
        T_w=8,
        T_p=4,
        n_shape=5,
        style=StyleEncoderSpec(d_style=8),
        use_style=use_style,
        speech=SpeechEncoderSpec(kind="mel", d_out=16, d_hidden=8, history_frames=26),
        denoiser=DenoiserSpec(d_model=16, n_heads=2, n_layers=2),
        diffusion=DiffusionSpec(target=target),  # type: ignore[arg-type]
    )
    return DiffPoseTalk(spec).eval()


@pytest.fixture
def given() -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    return {
        "x": torch.randn(2, N, 54, generator=g),
        "features": torch.randn(2, N, 16, generator=g),
        "context_features": torch.randn(2, 4, 16, generator=g),
        "context_motion": torch.randn(2, 4, 54, generator=g),
        "shape": torch.randn(2, 5, generator=g),
        "style": torch.randn(2, 8, generator=g),
        "indicator": (torch.arange(N).expand(2, N) < 5).float(),
    }


def one(model: DiffPoseTalk, g: dict[str, Tensor], t: int, audio: bool, style: bool) -> Tensor:
    """D with or without each condition, through the plain `forward`."""
    features = g["features"] if audio else model.null_audio_feat.expand(2, N, -1)
    person = model.person(g["shape"], g["style"] if style else None)
    return model.denoising_net(
        g["x"],
        features,
        person,
        g["context_motion"],
        g["context_features"],
        torch.full((2,), t),
        g["indicator"],
    )[:, 4:]


def guided(model: DiffPoseTalk, g: dict[str, Tensor], t: int, **options: float | None) -> Tensor:
    memory = torch.cat([g["context_features"], g["features"]], 1)
    denoise = guided_denoiser(
        model,
        model.denoising_net.audio_terms(memory),
        g["shape"],
        g["style"],
        g["context_motion"],
        indicator=g["indicator"],
        **options,  # type: ignore[arg-type]
    )
    return denoise(g["x"], t)


@torch.no_grad()
def test_incremental_guidance_is_equation_10(given: dict[str, Tensor]) -> None:
    model = make()
    w_a, w_s = 1.15, 3.0
    d00, da0, das = (one(model, given, 300, a, s) for a, s in ((0, 0), (1, 0), (1, 1)))
    expected = d00 + w_a * (da0 - d00) + w_s * (das - da0)
    actual = guided(model, given, 300, audio_scale=w_a, style_scale=w_s)
    torch.testing.assert_close(actual, expected, rtol=0, atol=2e-5)
    assert (expected - das).abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 2.5), (1.7, 1.0)])
def test_a_scale_of_one_gives_the_condition_in_every_branch(
    given: dict[str, Tensor], scales: tuple[float, float]
) -> None:
    model = make()
    w_a, w_s = scales
    full = one(model, given, 40, True, True)
    expected = full
    if w_s != 1.0:
        without = one(model, given, 40, True, False)
        expected = without + w_s * (full - without)
    if w_a != 1.0:
        without = one(model, given, 40, False, True)
        expected = without + w_a * (full - without)
    actual = guided(model, given, 40, audio_scale=w_a, style_scale=w_s)
    torch.testing.assert_close(actual, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "scales,styled,count",
    [
        ((1, 1), True, 1),
        ((1, 3), True, 2),
        ((2, 1), True, 2),
        ((1.15, 3), True, 3),
        ((2, 2), True, 2),
        ((1, 3), False, 1),
        ((2, 3), False, 2),
        ((0, 0), True, 1),
    ],
)
def test_number_of_branches(scales: tuple[float, float], styled: bool, count: int) -> None:
    branches = guidance_branches(*scales, styled=styled)
    assert len(branches) == count
    assert sum(branch.weight for branch in branches) == pytest.approx(1.0)
    assert styled or not any(branch.style for branch in branches)


@torch.no_grad()
def test_models_that_predict_noise_are_converted(given: dict[str, Tensor]) -> None:
    model = make("noise")
    eps = one(model, given, 200, True, True)
    alpha, sigma = float(model.schedule.alpha[200]), float(model.schedule.sigma[200])
    expected = (given["x"] - sigma * eps) / alpha
    torch.testing.assert_close(guided(model, given, 200), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_without_style_the_person_is_the_shape(given: dict[str, Tensor]) -> None:
    model = make(use_style=False)
    assert model.person(given["shape"], None).shape == (2, 1, 5)
    assert not hasattr(model, "null_style_feat")
    x0 = guided(model, given, 300, audio_scale=1.2, style_scale=3.0)
    d0, da = one(model, given, 300, False, False), one(model, given, 300, True, False)
    torch.testing.assert_close(x0, d0 + 1.2 * (da - d0), rtol=0, atol=2e-5)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99, 0.999, 1.0])
def test_dynamic_threshold_is_the_clamped_quantile(quantile: float) -> None:
    x0 = torch.randn(3, 20, 7, generator=torch.Generator().manual_seed(2))
    x0 = x0 * torch.tensor([0.1, 1.5, 9.0])[:, None, None]
    limit = torch.quantile(x0.abs().flatten(1), quantile, dim=1).clamp(1.0, 4.0)
    expected = torch.stack([x.clamp(-s, s) for x, s in zip(x0, limit, strict=True)])
    torch.testing.assert_close(dynamic_threshold(x0, quantile), expected)
    assert torch.equal(dynamic_threshold(x0, quantile)[0], x0[0])  # never below 1


@torch.no_grad()
def test_thresholding_comes_before_mixing(given: dict[str, Tensor]) -> None:
    model = make()
    model.denoising_net.motion_dec[2].weight.mul_(40.0)
    clipped = [
        dynamic_threshold(one(model, given, 300, a, s), 0.9) for a, s in ((0, 0), (1, 0), (1, 1))
    ]
    expected = clipped[0] + 2.0 * (clipped[1] - clipped[0]) + 3.0 * (clipped[2] - clipped[1])
    actual = guided(model, given, 300, audio_scale=2.0, style_scale=3.0, threshold_quantile=0.9)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-3)
    assert actual.abs().max() > 4.0  # the guided value may exceed every threshold


class Sampler(torch.nn.Module):
    """All that an exported graph has to hold: terms, guidance, thresholding, the solver's steps."""

    def __init__(self, model: DiffPoseTalk) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        noise: Tensor,
        memory: Tensor,
        shape: Tensor,
        style: Tensor,
        context: Tensor,
        known: Tensor,
    ) -> Tensor:
        denoise = guided_denoiser(
            self.model,
            self.model.denoising_net.audio_terms(memory),
            shape,
            style,
            context,
            audio_scale=1.15,
            style_scale=3.0,
            threshold_quantile=0.99,
        )
        return dpm_solver_pp_2m(
            denoise,
            noise,
            3,
            self.model.schedule,
            known_prefix(known, noise.shape[1]),
            noise_scale=torch.linspace(0.5, 1.0, 54),
        )


@torch.no_grad()
def test_the_whole_call_exports_with_its_steps_unrolled(given: dict[str, Tensor]) -> None:
    sampler = Sampler(make()).eval()
    memory = torch.cat([given["context_features"], given["features"]], 1)
    arguments = (
        given["x"],
        memory,
        given["shape"],
        given["style"],
        given["context_motion"],
        torch.zeros(2, 2, 54),
    )
    exported = torch.export.export(sampler, arguments).module()
    other = tuple(argument.flip(0) for argument in arguments)
    torch.testing.assert_close(exported(*other), sampler(*other), rtol=0, atol=1e-4)


@torch.no_grad()
def test_scales_a_row_equal_each_row_by_itself(given: dict[str, Tensor]) -> None:
    model = make()
    audio, style = torch.tensor([1.3, 1.6]), torch.tensor([3.0, 2.0])
    both = guided(model, given, 300, audio_scale=audio, style_scale=style)  # type: ignore[arg-type]
    for row in range(2):
        alone = guided(
            model, given, 300, audio_scale=float(audio[row]), style_scale=float(style[row])
        )
        torch.testing.assert_close(both[row], alone[row], rtol=0, atol=2e-5)


@torch.no_grad()
def test_a_network_that_takes_the_scales_needs_one_branch(given: dict[str, Tensor]) -> None:
    plain = make()
    spec = replace(plain.spec, denoiser=replace(plain.spec.denoiser, guidance_input=True))
    model = DiffPoseTalk(spec).eval()
    missing = model.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys == ["denoising_net.guidance_proj.weight"]
    unguided = guided(plain, given, 300)
    same = guided(model, given, 300, audio_scale=1.6, style_scale=3.0)
    torch.testing.assert_close(same, unguided, rtol=0, atol=0)  # it begins by ignoring them
    torch.nn.init.normal_(model.denoising_net.guidance_proj.weight)
    torch.testing.assert_close(guided(model, given, 300), unguided, rtol=0, atol=2e-5)
    changed = guided(model, given, 300, audio_scale=1.6, style_scale=3.0)
    assert (changed - unguided).abs().max() > 0.01
