"""Random checkpoints in the format of the released ones: names, shapes, arguments.

Written from the description of the files alone; the product's networks have no part in it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import HubertConfig, HubertModel

TABLE_ROWS = 600


@dataclass(frozen=True)
class Sizes:
    """Of a checkpoint; the defaults are the released ones."""

    width: int = 512
    heads: int = 8
    layers: int = 8
    ratio: int = 4
    style: int = 128
    style_heads: int = 4
    style_layers: int = 4
    window: int = 100
    context: int = 10
    steps: int = 500
    hidden: int = 768
    hubert: tuple[tuple[str, Any], ...] = ()

    def hubert_config(self) -> HubertConfig:
        return HubertConfig(hidden_size=self.hidden, **dict(self.hubert))


SMALL = Sizes(
    width=32,
    heads=4,
    layers=2,
    ratio=2,
    style=16,
    style_heads=2,
    style_layers=1,
    window=12,
    context=3,
    steps=25,
    hidden=32,
    hubert=(
        ("num_hidden_layers", 2),
        ("num_attention_heads", 2),
        ("intermediate_size", 48),
        ("conv_dim", (16,) * 7),
        ("num_conv_pos_embeddings", 128),
        ("num_conv_pos_embedding_groups", 4),
    ),
)


def cosine_tables(steps: int) -> dict[str, Tensor]:
    """The five tables of the forward process, in single precision as training made them."""
    at = torch.arange(0, steps + 1, dtype=torch.float32) / steps
    level = torch.cos((at + 0.008) / 1.008 * torch.pi / 2) ** 2
    level = level / level[0]
    betas = torch.cat([torch.zeros(1), (1 - level[1:] / level[:-1]).clip(1e-4, 0.999)])
    alphas = 1 - betas
    alpha_bars = torch.log(alphas).cumsum(0).exp()
    inflex = torch.zeros_like(betas)
    inflex[1:] = ((1 - alpha_bars[:-1]) / (1 - alpha_bars[1:]) * betas[1:]).sqrt()
    return {
        "betas": betas,
        "alphas": alphas,
        "alpha_bars": alpha_bars,
        "sigmas_flex": betas.sqrt(),
        "sigmas_inflex": inflex,
    }


def sinusoids(width: int, rows: int) -> Tensor:
    """(1, rows, width): even channels sine, odd channels cosine."""
    row = torch.arange(rows).unsqueeze(1)
    scale = torch.exp(torch.arange(0, width, 2) * (-np.log(10000.0) / width))
    table = torch.zeros(1, rows, width)
    table[0, :, 0::2] = torch.sin(row * scale)
    table[0, :, 1::2] = torch.cos(row * scale)
    return table


def blocked(frames: int, width: int = 1) -> Tensor:
    """(1 + frames, frames), True where motion may not look at speech."""
    mask = torch.zeros(1 + frames, frames, dtype=torch.bool)
    for token in range(1, 1 + frames):
        for frame in range(frames):
            mask[token, frame] = abs(token - 1 - frame) > width - 1
    return mask


def make_denoiser(
    sizes: Sizes = SMALL,
    *,
    head: bool = True,
    indicator: bool = True,
    seed: int = 0,
    style_checkpoint: str | None = "experiments/SE/head-L4H4/checkpoints/iter_0026000.pt",
) -> dict[str, Any]:
    """A denoiser's checkpoint as `torch.save` gets it."""
    torch.manual_seed(seed)
    hubert = HubertModel(sizes.hubert_config())
    motion = 54 if head else 51
    width, frames = sizes.width, sizes.context + sizes.window
    styled = style_checkpoint is not None
    person = 100 + (sizes.style if styled else 0)

    def linear(name: str, to: int, of: int) -> dict[str, Tensor]:
        weight, bias = torch.randn(to, of) / of**0.5, 0.1 * torch.randn(to)
        return {f"{name}weight": weight, f"{name}bias": bias}

    state: dict[str, Tensor] = {
        "start_audio_feat": torch.randn(1, sizes.context, width),
        "start_motion_feat": torch.randn(1, sizes.context, motion),
        "null_audio_feat": torch.randn(1, 1, width),
        **linear("audio_feature_map.", width, sizes.hidden),
        "denoising_net.PE": torch.randn(1, 1 + frames, width),
        "denoising_net.TE.pe": sinusoids(width, sizes.steps + 1),
        "denoising_net.alignment_mask": blocked(frames),
        **linear("denoising_net.diff_step_map.0.", width, width),
        **linear("denoising_net.diff_step_map.2.", width, width),
        **linear("denoising_net.person_proj.", width, person),
        **linear("denoising_net.feature_proj.", width, motion + int(indicator)),
        **linear("denoising_net.motion_dec.0.", width // 2, width),
        **linear("denoising_net.motion_dec.2.", motion, width // 2),
    }
    if styled:
        state["null_style_feat"] = torch.randn(1, 1, sizes.style)
    for layer in range(sizes.layers):
        name = f"denoising_net.transformer.layers.{layer}."
        state |= transformer_layer(name, width, sizes.ratio, ("self_attn.", "multihead_attn."))
    state |= {f"diffusion_sched.{n}": table for n, table in cosine_tables(sizes.steps).items()}
    state |= {f"audio_encoder.{n}": t.detach() for n, t in hubert.state_dict().items()}
    args = argparse.Namespace(
        target="sample",
        guiding_conditions="audio,style" if styled else "audio",
        cfg_mode="incremental",
        n_diff_steps=sizes.steps,
        diff_schedule="cosine",
        rot_repr="aa",
        no_head_pose=not head,
        d_style=sizes.style,
        audio_model="hubert",
        architecture="decoder",
        style_enc_ckpt=PosixPath(style_checkpoint) if styled else None,
        align_mask_width=1,
        no_use_learnable_pe=False,
        use_indicator=indicator,
        feature_dim=width,
        n_heads=sizes.heads,
        n_layers=sizes.layers,
        mlp_ratio=sizes.ratio,
        n_motions=sizes.window,
        n_prev_motions=sizes.context,
        fps=25,
        pad_mode="zero",
        data_root=PosixPath("datasets/HDTF_TFHP/lmdb"),
        stats_file=PosixPath("stats_train.npz"),
        exp_name="head-SA-hubert-WM",
        lr=1e-4,
        l_smooth=100000.0,
        scheduler=None,
    )
    return {"args": args, "model": state, "iter": 110000}


def make_style_encoder(sizes: Sizes = SMALL, *, head: bool = True, seed: int = 5) -> dict[str, Any]:
    """A style encoder's checkpoint."""
    torch.manual_seed(seed)
    motion = 54 if head else 51
    state = {
        "motion_proj.weight": torch.randn(sizes.style, motion) / motion**0.5,
        "motion_proj.bias": torch.randn(sizes.style),
    }
    for layer in range(sizes.style_layers):
        state |= transformer_layer(f"transformer.layers.{layer}.", sizes.style, 4, ("self_attn.",))
    args = argparse.Namespace(
        rot_repr="aa",
        no_head_pose=not head,
        feature_dim=sizes.style,
        n_heads=sizes.style_heads,
        n_layers=sizes.style_layers,
        mlp_ratio=4,
        n_motions=100,
        fps=25,
        data_root=PosixPath("datasets/HDTF_THHQ/lmdb"),
    )
    return {"args": args, "encoder": state, "iter": 26000}


def transformer_layer(
    name: str, width: int, ratio: int, attentions: tuple[str, ...]
) -> dict[str, Tensor]:
    """A post-norm layer under torch's names."""
    state = {}
    for part in attentions:
        state |= {
            f"{name}{part}in_proj_weight": torch.randn(3 * width, width) / width**0.5,
            f"{name}{part}in_proj_bias": 0.1 * torch.randn(3 * width),
            f"{name}{part}out_proj.weight": torch.randn(width, width) / width**0.5,
            f"{name}{part}out_proj.bias": 0.1 * torch.randn(width),
        }
    state |= {
        f"{name}linear1.weight": torch.randn(ratio * width, width) / width**0.5,
        f"{name}linear1.bias": 0.1 * torch.randn(ratio * width),
        f"{name}linear2.weight": torch.randn(width, ratio * width) / (ratio * width) ** 0.5,
        f"{name}linear2.bias": 0.1 * torch.randn(width),
    }
    for norm in range(1, 2 + len(attentions)):
        state[f"{name}norm{norm}.weight"] = 1 + 0.1 * torch.randn(width)
        state[f"{name}norm{norm}.bias"] = 0.1 * torch.randn(width)
    return state


def make_statistics(seed: int = 3) -> dict[str, np.ndarray]:
    """What `stats_train.npz` holds."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, size in (("shape", 100), ("exp", 50), ("pose", 6)):
        arrays[f"{name}_mean"] = rng.normal(0, 0.3, size).astype(np.float32)
        arrays[f"{name}_std"] = rng.uniform(0.2, 1.5, size).astype(np.float32)
        arrays[f"{name}_max"] = arrays[f"{name}_mean"] + 4
        arrays[f"{name}_min"] = arrays[f"{name}_mean"] - 4
    arrays["pose_std"][4:] = 0.0  # the jaw's y and z never move
    return arrays


def write(folder: Path, sizes: Sizes = SMALL, *, head: bool = True, styles: int = 2) -> Path:
    """A folder with denoiser.pt, se.pt, stats_train.npz and styles/*.npy, as one would have it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(make_denoiser(sizes, head=head), folder / "denoiser.pt")
    torch.save(make_style_encoder(sizes, head=head), folder / "se.pt")
    np.savez(folder / "stats_train.npz", **make_statistics())
    (folder / "styles").mkdir(exist_ok=True)
    rng = np.random.default_rng(9)
    for name in ("normal", "happy", "TH_00100")[:styles]:
        np.save(folder / "styles" / f"{name}.npy", rng.normal(size=sizes.style).astype(np.float32))
    return folder
