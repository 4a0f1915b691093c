"""The whole model: released tensor names, shapes and counts, and the start of a stream."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import DenoiserSpec, ModelSpec, SpeechEncoderSpec, StyleEncoderSpec

OFFICIAL = ModelSpec()
STARTER = ModelSpec(
    T_p=25,
    style=StyleEncoderSpec(d_style=64),
    speech=SpeechEncoderSpec(kind="mel", d_out=256, history_frames=26),
    denoiser=DenoiserSpec(d_model=256, n_heads=4, n_layers=4),
)
TINY = ModelSpec(
    T_w=8,
    T_p=4,
    n_shape=3,
    style=StyleEncoderSpec(d_style=8),
    speech=SpeechEncoderSpec(kind="mel", d_out=16, d_hidden=8, history_frames=26),
    denoiser=DenoiserSpec(d_model=16, n_heads=2, n_layers=1),
)


def on_meta(spec: ModelSpec) -> DiffPoseTalk:
    with torch.device("meta"):
        return DiffPoseTalk(spec)


def expected_tensors(d_motion: int) -> dict[str, tuple[int, ...]]:
    """The released checkpoint without its `audio_encoder.` (see test_hubert)."""
    net = "denoising_net."
    tensors: dict[str, tuple[int, ...]] = {
        "start_audio_feat": (1, 10, 512),
        "start_motion_feat": (1, 10, d_motion),
        "null_style_feat": (1, 1, 128),
        "null_audio_feat": (1, 1, 512),
        "audio_feature_map.weight": (512, 768),
        "audio_feature_map.bias": (512,),
        net + "PE": (1, 111, 512),
        net + "TE.pe": (1, 501, 512),
        net + "alignment_mask": (111, 110),
        net + "person_proj.weight": (512, 228),
        net + "person_proj.bias": (512,),
        net + "feature_proj.weight": (512, d_motion + 1),
        net + "feature_proj.bias": (512,),
        net + "motion_dec.0.weight": (256, 512),
        net + "motion_dec.0.bias": (256,),
        net + "motion_dec.2.weight": (d_motion, 256),
        net + "motion_dec.2.bias": (d_motion,),
    }
    for i in (0, 2):
        tensors[f"{net}diff_step_map.{i}.weight"] = (512, 512)
        tensors[f"{net}diff_step_map.{i}.bias"] = (512,)
    for i in range(8):
        layer = f"{net}transformer.layers.{i}."
        for attention in ("self_attn", "multihead_attn"):
            tensors[f"{layer}{attention}.in_proj_weight"] = (1536, 512)
            tensors[f"{layer}{attention}.in_proj_bias"] = (1536,)
            tensors[f"{layer}{attention}.out_proj.weight"] = (512, 512)
            tensors[f"{layer}{attention}.out_proj.bias"] = (512,)
        tensors[layer + "linear1.weight"] = (2048, 512)
        tensors[layer + "linear1.bias"] = (2048,)
        tensors[layer + "linear2.weight"] = (512, 2048)
        tensors[layer + "linear2.bias"] = (512,)
        for norm in (1, 2, 3):
            tensors[f"{layer}norm{norm}.weight"] = (512,)
            tensors[f"{layer}norm{norm}.bias"] = (512,)
    for table in ("betas", "alphas", "alpha_bars", "sigmas_flex", "sigmas_inflex"):
        tensors[f"diffusion_sched.{table}"] = (501,)
    return tensors


@pytest.mark.parametrize(
    "head_rotation,total,denoiser",
    [(True, 129_277_266, 34_505_526), (False, 129_274_929, 34_503_219)],
)
def test_released_checkpoint(head_rotation: bool, total: int, denoiser: int) -> None:
    model = on_meta(dataclasses.replace(OFFICIAL, head_rotation=head_rotation))
    state = model.state_dict()
    assert len(state) == 381
    assert len(list(model.parameters())) == 374
    own = {n: tuple(t.shape) for n, t in state.items() if not n.startswith("audio_encoder.")}
    assert own == expected_tensors(54 if head_rotation else 51)
    assert state["denoising_net.alignment_mask"].dtype == torch.bool
    assert sum(p.numel() for p in model.parameters()) == total
    assert sum(p.numel() for p in model.denoising_net.parameters()) == denoiser
    assert sum(p.numel() for p in model.audio_encoder.parameters()) == 94_371_712
    assert sum(p.numel() for p in model.audio_feature_map.parameters()) == 393_728


def test_starter_has_the_same_names_without_hubert() -> None:
    """Layers fewer, shapes smaller, encoder another; nothing renamed."""
    state = on_meta(STARTER).state_dict()
    own = {name for name in state if not name.startswith("audio_encoder.")}
    official = {
        name
        for name in expected_tensors(54)
        if not name.startswith(tuple(f"denoising_net.transformer.layers.{i}." for i in range(4, 8)))
    }
    assert own == official
    assert tuple(state["denoising_net.PE"].shape) == (1, 126, 256)
    assert any(name.startswith("audio_encoder.") for name in state)


@torch.no_grad()
def test_start_features_fill_the_slots_before_the_stream() -> None:
    model = DiffPoseTalk(TINY)
    motion, features = torch.randn(2, 4, 54), torch.randn(2, 4, 16)
    for missing in range(5):
        filled = model.fill_context(motion, features, missing)
        starts = (model.start_motion_feat, model.start_audio_feat)
        for part, start, given in zip(filled, starts, (motion, features), strict=True):
            assert torch.equal(part[:, :missing], start[:, :missing].expand(2, -1, -1))
            assert torch.equal(part[:, missing:], given[:, missing:])


@torch.no_grad()
def test_person_is_shape_then_style() -> None:
    model = DiffPoseTalk(TINY)
    shape, style = torch.randn(2, 3), torch.randn(2, 8)
    assert torch.equal(model.person(shape, style)[:, 0], torch.cat([shape, style], 1))
    without = model.person(shape, None)
    assert torch.equal(without[:, 0, 3:], model.null_style_feat[0].expand(2, -1))


@torch.no_grad()
def test_speech_features_of_a_clip() -> None:
    model = DiffPoseTalk(TINY).eval()
    pcm = torch.randn(2, 640 * 6) * 0.1
    features = model.speech_features(pcm)
    assert features.shape == (2, 6, 16)
    pcm[:, 640 * 4 :] = 0.0
    assert torch.equal(model.speech_features(pcm)[:, :4], features[:, :4])  # mel is causal


def test_the_schedule_follows_the_specification() -> None:
    model = DiffPoseTalk(TINY)
    table = model.diffusion_sched.alpha_bars
    torch.testing.assert_close(table, torch.from_numpy(model.schedule.alpha_bar).float())
    assert not any("diffusion_sched" in name for name, _ in model.named_parameters())
