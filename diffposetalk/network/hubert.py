"""The `hubert` speech encoder of released weights: transformers' HubertModel at 50 Hz, halved.

Built from its configuration, never from the hub.  Its features look at the whole clip they are
given (bidirectional attention, group norm over time), so a stream recomputes them per call.
transformers is imported here only, and only when a model with this encoder is built.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffposetalk.spec import HubertSpec
from head.errors import NotInstalled, WrongValue

DEFAULT_SIZES = HubertSpec()
UNIT = 320
"""Samples per HuBERT frame (50 Hz); a motion frame is two."""
EXTRA = 80
"""Samples beyond 320 n that the convolutions need to give n frames (their reach is 400)."""


def build_hubert(d_out: int = 768, sizes: HubertSpec = DEFAULT_SIZES, **changes: Any) -> nn.Module:
    """HuBERT with random weights, the base model by default; `changes` are HubertConfig values.

    Raises:
        RuntimeError: transformers is not installed.
    """
    try:
        from transformers import HubertConfig, HubertModel
    except ImportError:
        raise NotInstalled(
            "this model hears with HuBERT: run `pip install 'posetalk[torch]'` first"
        ) from None
    of_sizes: dict[str, Any] = {
        "num_hidden_layers": sizes.n_layers,
        "num_attention_heads": sizes.n_heads,
        "intermediate_size": sizes.d_hidden,
        "conv_dim": (sizes.d_conv,) * 7,
        "num_conv_pos_embeddings": sizes.position_kernel,
        "num_conv_pos_embedding_groups": sizes.position_groups,
    }
    return HubertModel(HubertConfig(hidden_size=d_out, **(of_sizes | changes)))


def hubert_features(hubert: nn.Module, pcm: Tensor) -> Tensor:
    """Features at the motion's rate: normalised pcm (B, 640 n) -> (B, n, d_out).

    The released code interpolates 50 Hz to 25 Hz linearly without aligned corners, which is the
    mean of frames 2 i and 2 i + 1.

    Raises:
        ValueError: not a whole number of motion frames, or none.
    """
    if pcm.shape[-1] == 0 or pcm.shape[-1] % (2 * UNIT):
        raise WrongValue(f"{pcm.shape[-1]} samples are not whole frames of {2 * UNIT}")
    return clip_features(hubert, pcm)


def clip_features(hubert: nn.Module, pcm: Tensor) -> Tensor:
    """`hubert_features` of a clip whose last samples, up to 319, need not fill a frame.

    They shorten the padding, as in the released code.
    """
    hidden: Tensor = hubert(pad_pcm(pcm)).last_hidden_state  # (B, 2 n, d_out)
    return hidden.unflatten(1, (-1, 2)).mean(dim=2)


def pad_pcm(pcm: Tensor) -> Tensor:
    """Pad (B, 320 n + m), m < 320, to what gives n features, as the released models were trained.

    Their padding reflects twice by a quarter of what is missing (20 samples where m is 0), which is
    not one reflection by a half: the second one mirrors what the first one added.
    """
    length = pcm.shape[-1]
    side = math.ceil((length // UNIT * UNIT + EXTRA - length) / 2)
    if side < 0:
        return pcm
    padded = pcm[:, None]
    for _ in range(2):
        padded = F.pad(padded, (side // 2, side // 2), mode="reflect")
    return F.pad(padded, (side % 2, side % 2), mode="replicate")[:, 0]


def normalise_clip(pcm: Tensor) -> Tensor:
    """Zero mean and unit (unbiased) deviation over a whole clip, (B, samples): paper mode."""
    mean = pcm.mean(dim=-1, keepdim=True)
    deviation = torch.std(pcm, dim=-1, keepdim=True)
    return (pcm - mean) / (deviation + 1e-5)
