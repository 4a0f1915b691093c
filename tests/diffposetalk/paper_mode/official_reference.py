"""The released pipeline in a straight line, from a checkpoint's tensors alone.

Written from the description of the released code, for comparison: torch's own transformer decoder
with a real attention mask, transformers' HuBERT, the full batch of three branches, every step of
the posterior.  It shares nothing with the product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

SAMPLES = 640


def animate(
    checkpoint: dict[str, Any],
    hubert_config: HubertConfig,
    statistics: dict[str, np.ndarray],
    samples: np.ndarray,
    shape: np.ndarray,
    style: np.ndarray | None,
    initial_noise: Tensor,
    step_noise: Tensor,
    *,
    audio_scale: float = 1.15,
    style_scale: float = 3.0,
    threshold: float = 0.0,
) -> Tensor:
    """(floor(n / 640), D) normalised motion by ancestral sampling.

    initial_noise (T_w, D), step_noise (windows, N, T_w, D): [w, i] for the step from t = N - i.
    """
    args, state = checkpoint["args"], checkpoint["model"]
    T_w, T_p = args.n_motions, args.n_prev_motions
    clip_len = len(samples) // SAMPLES
    n_windows = 1 if clip_len <= T_w else math.ceil(clip_len / T_w)

    audio = torch.from_numpy(samples.astype(np.float32))
    audio = (audio - audio.mean()) / (audio.std() + 1e-5)
    missing = n_windows * T_w * SAMPLES - len(audio)
    if missing > 0:
        audio = torch.cat([audio, torch.zeros(missing)])
    padded_frames = math.ceil(max(missing, 0) / SAMPLES)
    features = hear(audio, n_windows * T_w, state, hubert_config)

    shape_vector = torch.from_numpy(
        (shape - statistics["shape_mean"]) / statistics["shape_std"]
    ).float()
    person = shape_vector[None]
    null_person = person
    if style is not None:
        person = torch.cat([shape_vector, torch.from_numpy(style).float()])[None]
        null_person = torch.cat([shape_vector, state["null_style_feat"][0, 0]])[None]

    network = decoder(args, state)
    prev_motion, prev_audio = state["start_motion_feat"], state["start_audio_feat"]
    out = []
    for window in range(n_windows):
        speech = features[None, window * T_w : (window + 1) * T_w]
        indicator = torch.ones(1, T_w)
        if window == n_windows - 1 and padded_frames:
            indicator[:, -padded_frames:] = 0
        null_speech = state["null_audio_feat"].expand(1, T_w, -1)
        if style is not None:
            audios = torch.cat([null_speech, speech, speech])
            persons = torch.cat([null_person, null_person, person])
            scales = [audio_scale, style_scale]
        else:
            audios, persons = torch.cat([null_speech, speech]), person.repeat(2, 1)
            scales = [audio_scale]
        entries = len(audios)
        names = ("alphas", "alpha_bars", "betas")
        tables = {name: state[f"diffusion_sched.{name}"] for name in names}
        x = initial_noise[None]
        for i, t in enumerate(range(args.n_diff_steps, 0, -1)):
            x0s = denoise(
                x.repeat(entries, 1, 1),
                audios,
                persons,
                prev_motion.repeat(entries, 1, 1),
                prev_audio.repeat(entries, 1, 1),
                t,
                indicator.repeat(entries, 1),
                args,
                state,
                network,
            )
            if threshold:
                limit = torch.quantile(x0s.abs().reshape(entries, -1), threshold, dim=1)
                limit = limit.clamp(1.0, 4.0).view(-1, 1, 1)
                x0s = x0s.clamp(-limit, limit)
            x0 = x0s[:1]
            for entry, scale in enumerate(scales, 1):
                x0 = x0 + scale * (x0s[entry : entry + 1] - x0s[entry - 1 : entry])
            bar, bar_before = tables["alpha_bars"][t], tables["alpha_bars"][t - 1]
            c0 = (1 - bar_before) * tables["alphas"][t].sqrt() / (1 - bar)
            c1 = tables["betas"][t] * bar_before.sqrt() / (1 - bar)
            sigma = ((1 - bar_before) / (1 - bar) * tables["betas"][t]).sqrt()
            z = step_noise[window, i] if t > 1 else torch.zeros_like(x)
            x = c0 * x + c1 * x0 + sigma * z
        out.append(x[0])
        prev_motion, prev_audio = x[:, -T_p:], speech[:, -T_p:]
    motion = torch.cat(out)
    return motion[:-padded_frames] if padded_frames else motion


def hear(audio: Tensor, frames: int, state: dict[str, Tensor], config: HubertConfig) -> Tensor:
    """Speech features (frames, width) of the whole padded file."""
    hubert = HubertModel(config).eval()
    prefix = "audio_encoder."
    hubert.load_state_dict(
        {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
    )
    length = len(audio)
    side = math.ceil((320 * (length // 320) + 80 - length) / 2)
    x = audio[None]
    if side >= 0:
        x = F.pad(x, (side // 2, side // 2), "reflect")
        x = F.pad(x, (side // 2, side // 2), "reflect")
        if side % 2:
            x = torch.cat([x[:, :1], x, x[:, -1:]], dim=1)
    hidden = hubert(x).last_hidden_state
    assert hidden.shape[1] == 2 * frames
    hidden = F.interpolate(hidden.transpose(1, 2), size=frames, mode="linear", align_corners=False)
    return F.linear(hidden[0].T, state["audio_feature_map.weight"], state["audio_feature_map.bias"])


def decoder(args: Any, state: dict[str, Tensor]) -> nn.TransformerDecoder:
    """Torch's own decoder with the checkpoint's weights."""
    layer = nn.TransformerDecoderLayer(
        args.feature_dim,
        args.n_heads,
        args.mlp_ratio * args.feature_dim,
        activation="gelu",
        batch_first=True,
    )
    stack = nn.TransformerDecoder(layer, args.n_layers)
    prefix = "denoising_net.transformer."
    stack.load_state_dict(
        {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
    )
    return stack.eval()


def denoise(
    x: Tensor,
    audio: Tensor,
    person: Tensor,
    prev_motion: Tensor,
    prev_audio: Tensor,
    t: int,
    indicator: Tensor,
    args: Any,
    state: dict[str, Tensor],
    network: nn.TransformerDecoder,
) -> Tensor:
    """x0 of the window's frames, (B, T_w, D)."""

    def linear(name: str, value: Tensor) -> Tensor:
        name = f"denoising_net.{name}"
        return F.linear(value, state[f"{name}.weight"], state[f"{name}.bias"])

    time = state["denoising_net.TE.pe"][:, t]
    time = linear("diff_step_map.2", F.gelu(linear("diff_step_map.0", time)))
    first = linear("person_proj", person) + time
    motion = torch.cat([prev_motion, x], dim=1)
    if args.use_indicator:
        flags = torch.cat([torch.zeros(len(x), args.n_prev_motions), indicator], dim=1)
        motion = torch.cat([motion, flags[..., None]], dim=-1)
    tokens = torch.cat([first[:, None], linear("feature_proj", motion)], dim=1)
    tokens = tokens + state["denoising_net.PE"]
    memory = torch.cat([prev_audio, audio], dim=1)
    tokens = network(tokens, memory, memory_mask=state["denoising_net.alignment_mask"])
    frames = tokens[:, 1 + args.n_prev_motions :]
    return linear("motion_dec.2", F.gelu(linear("motion_dec.0", frames)))


def encode_style(checkpoint: dict[str, Any], motion: Tensor) -> Tensor:
    """(d_style,) of normalised motion (L, D)."""
    args, state = checkpoint["args"], checkpoint["encoder"]
    layer = nn.TransformerEncoderLayer(
        args.feature_dim,
        args.n_heads,
        args.mlp_ratio * args.feature_dim,
        activation="gelu",
        batch_first=True,
    )
    stack = nn.TransformerEncoder(layer, args.n_layers, enable_nested_tensor=False)
    prefix = "transformer."
    stack.load_state_dict(
        {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
    )
    x = F.linear(motion[None], state["motion_proj.weight"], state["motion_proj.bias"])
    angle = len(motion) * torch.exp(
        torch.arange(0, args.feature_dim, 2) * (-math.log(10000.0) / args.feature_dim)
    )
    row = torch.zeros(args.feature_dim)
    row[0::2], row[1::2] = angle.sin(), angle.cos()
    return stack.eval()(x + row).mean(dim=1)[0]
