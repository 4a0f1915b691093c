"""A model made ready for inference in a precision.

The matrix products of the decoder's layers and of HuBERT run in it (`products`), on the CPU's or
the GPU's matrix units.  Norms, softmax, the stream between the layers, the starter's small speech
encoder, the solver and all sums of motion stay in float32: bf16 has 8 bits, fp16 ends at 65,504,
and they cost little.
"""

from __future__ import annotations

import logging

import torch
from torch import nn

from diffposetalk.inference.decoder import FastLayer
from diffposetalk.inference.hubert import FastHubert
from diffposetalk.network.mel import MelEncoder
from diffposetalk.network.model import DiffPoseTalk
from head.errors import WrongValue

log = logging.getLogger(__name__)

_UNITS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "fp16")}
"""What torch calls a CPU's instructions for each."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def make_ready(model: DiffPoseTalk, precision: str = "fp32") -> DiffPoseTalk:
    """Lay a model's weights out for inference, where it is; returns the same model.

    It can no longer be trained, moved or saved.

    Raises:
        ValueError: no such precision, or a network that cannot have it (real cross-attention to
            speech, or a HuBERT of another family).
    """
    if precision not in DTYPES:
        raise WrongValue(f"no precision {precision!r}: choose {', '.join(DTYPES)}")
    dtype, net = DTYPES[precision], model.denoising_net
    half = dtype is not torch.float32
    if half:
        _warn_of_slowness(model.start_motion_feat.device, precision)
    model.eval().requires_grad_(False)
    if net.align_mask_width == 1:
        layers = list(net.transformer.layers)
        net.transformer.layers = nn.ModuleList(
            FastLayer(layer, dtype, last=layer is layers[-1]) for layer in layers
        )
    elif half:
        raise WrongValue(
            f"{precision} needs an alignment mask of width 1, this network has "
            f"{net.align_mask_width}: use fp32"
        )
    if not isinstance(model.audio_encoder, MelEncoder):
        model.audio_encoder = FastHubert(model.audio_encoder, dtype)
    return model


def has_matrix_units(device: torch.device, precision: str = "bf16") -> bool:
    """Whether products of a half precision are faster than float32 ones there."""
    if device.type != "cpu":
        return True
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    # A machine that does not tell is not accused.
    return not found or any(found.get(unit) for unit in _UNITS[precision])


def _warn_of_slowness(device: torch.device, precision: str) -> None:
    if not has_matrix_units(device, precision):
        log.warning(
            "this CPU has no %s instructions: --precision %s is slower than fp32 here",
            precision,
            precision,
        )
