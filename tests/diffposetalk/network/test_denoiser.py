"""The denoiser against torch's own transformer, and its fast path against itself."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from diffposetalk.network.audio_terms import AudioTerms
from diffposetalk.network.denoiser import Denoiser, alignment_mask
from diffposetalk.spec import DenoiserSpec, ModelSpec, SpeechEncoderSpec, StyleEncoderSpec


def tiny(T_w: int = 12, T_p: int = 5, **denoiser: object) -> ModelSpec:
    values: dict[str, object] = {"d_model": 32, "n_heads": 4, "n_layers": 3, **denoiser}
    return ModelSpec(
        T_w=T_w,
        T_p=T_p,
        n_shape=6,
        style=StyleEncoderSpec(d_style=8),
        speech=SpeechEncoderSpec(kind="mel", d_out=24, d_hidden=16, history_frames=26),
        denoiser=DenoiserSpec(**values),  # type: ignore[arg-type]
    )


def inputs(spec: ModelSpec, n: int, batch: int = 2) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(n)
    d = spec.denoiser.d_model
    return {
        "x_t": torch.randn(batch, n, spec.d_motion, generator=g),
        "features": torch.randn(batch, n, d, generator=g),
        "person": torch.randn(batch, 1, spec.d_person, generator=g),
        "context_motion": torch.randn(batch, spec.T_p, spec.d_motion, generator=g),
        "context_features": torch.randn(batch, spec.T_p, d, generator=g),
        "t": torch.randint(1, 501, (batch,), generator=g),
        "indicator": (torch.arange(n).expand(batch, n) < n - 2).float(),
    }


def make(spec: ModelSpec) -> Denoiser:
    torch.manual_seed(0)
    net = Denoiser(spec).eval()
    for bias in (p for name, p in net.named_parameters() if "bias" in name):
        nn.init.normal_(bias)
    return net


def reference(net: Denoiser, spec: ModelSpec, given: dict[str, Tensor]) -> Tensor:
    """The network written down with torch.nn alone: real masked cross-attention everywhere."""
    d, heads = spec.denoiser.d_model, spec.denoiser.n_heads
    layer = nn.TransformerDecoderLayer(
        d, heads, d * spec.denoiser.mlp_ratio, activation="gelu", batch_first=True
    )
    decoder = nn.TransformerDecoder(layer, spec.denoiser.n_layers).eval()
    decoder.load_state_dict(net.transformer.state_dict())
    tokens = 1 + spec.T_p + given["x_t"].shape[1]
    memory = torch.cat([given["context_features"], given["features"]], 1)
    indicator = torch.cat([torch.zeros(len(memory), spec.T_p), given["indicator"]], 1)
    motion = torch.cat([given["context_motion"], given["x_t"]], 1)
    time = torch.stack(
        [
            torch.tensor(
                [
                    (math.sin if i % 2 == 0 else math.cos)(float(t) * 10_000 ** (-(i - i % 2) / d))
                    for i in range(d)
                ]
            )
            for t in given["t"]
        ]
    )
    token0 = net.person_proj(given["person"]) + net.diff_step_map(time)[:, None]
    x = torch.cat([token0, net.feature_proj(torch.cat([motion, indicator[..., None]], -1))], 1)
    assert isinstance(net.PE, nn.Parameter)
    blocked = torch.tensor(
        [
            [i > 0 and abs(i - 1 - j) >= spec.denoiser.align_mask_width for j in range(tokens - 1)]
            for i in range(tokens)
        ]
    )
    if spec.denoiser.align_mask_width < 1:
        blocked[:] = False
    y = decoder(
        x + net.PE[:, :tokens],
        memory,
        memory_mask=blocked,
        tgt_is_causal=False,
        memory_is_causal=False,
    )
    return net.motion_dec(y[:, 1:])


@pytest.mark.parametrize("n", [1, 4, 12])
@pytest.mark.parametrize("width", [1, 2, 0])
def test_forward_is_the_transformer_of_torch(n: int, width: int) -> None:
    spec = tiny(align_mask_width=width)
    net, given = make(spec), inputs(spec, n)
    with torch.no_grad():
        expected = reference(net, spec, given)
        actual = net(**given)
    assert actual.shape == (2, spec.T_p + n, spec.d_motion)
    torch.testing.assert_close(actual, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("n", [1, 4, 12])
@pytest.mark.parametrize("width", [1, 2])
def test_sampling_path_equals_forward(n: int, width: int) -> None:
    """Terms computed frame by frame, the last layer cut to the window: the same numbers."""
    spec = tiny(align_mask_width=width)
    net, given = make(spec), inputs(spec, n)
    with torch.no_grad():
        expected = net(**given)[:, spec.T_p :]
        memory = torch.cat([given["context_features"], given["features"]], 1)
        rows = [net.audio_terms(frame).rows for frame in memory.split(1, dim=1)]
        terms = AudioTerms(torch.cat(rows, 1), spec.denoiser.n_layers)
        actual = net.denoise(
            given["x_t"],
            given["t"],
            terms,
            given["person"],
            given["context_motion"],
            given["indicator"],
        )
    torch.testing.assert_close(actual, expected, rtol=0, atol=5e-6)


def test_guidance_branches_share_terms() -> None:
    """(null, null), (audio, null), (audio, style) from one set of terms and one null constant."""
    spec = tiny()
    n = 6
    net, given = make(spec), inputs(spec, n, batch=1)
    null_audio = torch.randn(1, 1, spec.denoiser.d_model)
    null_person = torch.randn(1, 1, spec.d_person)
    with torch.no_grad():
        expected = []
        for audio, style in ((False, False), (True, False), (True, True)):
            features = given["features"] if audio else null_audio.expand(1, n, -1)
            person = given["person"] if style else null_person
            call = {**given, "features": features, "person": person}
            expected.append(net(**call)[:, spec.T_p :])
        terms = net.audio_terms(torch.cat([given["context_features"], given["features"]], 1))
        null = net.audio_terms(null_audio).rows.expand(1, n, -1)
        without = torch.cat([terms.rows[:, : spec.T_p], null], 1)
        actual = net.denoise(
            given["x_t"].repeat(3, 1, 1),
            given["t"].repeat(3),
            terms._replace(rows=torch.cat([without, terms.rows, terms.rows])),
            torch.cat([null_person, null_person, given["person"]]),
            given["context_motion"].repeat(3, 1, 1),
            given["indicator"].repeat(3, 1),
        )
    torch.testing.assert_close(actual, torch.cat(expected), rtol=0, atol=5e-6)
    assert (actual[0] - actual[1]).abs().max() > 1e-3  # the null audio does something


def test_no_indicator_means_that_every_frame_counts() -> None:
    spec = tiny()
    net, given = make(spec), inputs(spec, 4)
    with torch.no_grad():
        full = net(**{**given, "indicator": torch.ones(2, 4)})
        torch.testing.assert_close(net(**{**given, "indicator": None}), full, rtol=0, atol=0)
        assert not torch.equal(net(**given), full)


def test_fixed_positions_are_one_row_for_all_tokens() -> None:
    """The released code's other option adds one sinusoid row, so order is invisible."""
    spec = tiny(learnable_pe=False)
    net, given = make(spec), inputs(spec, 4)
    given["indicator"] = torch.ones(2, 4)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = {**given, "x_t": given["x_t"][:, order], "features": given["features"][:, order]}
    with torch.no_grad():
        expected = net(**given)[:, spec.T_p :][:, order]
        torch.testing.assert_close(net(**shuffled)[:, spec.T_p :], expected, rtol=0, atol=5e-6)


def test_training_reaches_every_parameter() -> None:
    spec = tiny()
    net, given = make(spec).train(), inputs(spec, 12)
    net(**given).square().mean().backward()
    silent = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert silent == []


def test_alignment_mask() -> None:
    mask = alignment_mask(4, 1)
    assert mask.shape == (5, 4)
    assert not mask[0].any()
    assert torch.equal(~mask[1:], torch.eye(4, dtype=torch.bool))
    assert (~alignment_mask(6, 2)[3]).nonzero().flatten().tolist() == [1, 2, 3]


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="5 heads do not divide a width of 32"):
        Denoiser(tiny(n_heads=5))


@torch.no_grad()
def test_a_past_without_its_mouth_tells_everything_else() -> None:
    spec = tiny(past_mouth=False)
    net, given = make(spec), inputs(spec, 6)
    said = net(**given)
    mouth = list(spec.articulated)
    for channels, heard in ((mouth, False), ([i for i in range(54) if i not in mouth], True)):
        other = given["context_motion"].clone()
        other[..., channels] += 3.0
        assert torch.equal(net(**{**given, "context_motion": other}), said) is not heard
    assert net.state_dict().keys() == make(tiny()).state_dict().keys()
