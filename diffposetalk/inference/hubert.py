"""HuBERT for inference: transformers' HubertModel, taken apart and laid out for speed.

The same numbers (to rounding in float32).  What is saved, beside what `products` saves:

- The first convolution is followed by a group norm with a group for each channel, over the whole
  window.  Mean and variance of a channel follow from its ten weights and the mean and covariance
  of the sound's ten-sample stretches, so the norm is folded into the convolution: its output, the
  largest array there is, is written once and never read for statistics.
- Channels lie together throughout (time-major), so convolutions are matrix products in place.
- Queries, keys and values are one product; the positional convolution's weight norm is taken once.

The group norm over the window is also why nothing can be kept from one window to the next: one new
sample changes every channel's scale, and with it every value after it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffposetalk.inference.packed_linear import Convolution, PackedLinear, attend
from head.errors import WrongValue


class Encoded(NamedTuple):
    """What HubertModel returns, as far as it is read: (B, m, d) at 50 Hz."""

    last_hidden_state: Tensor


class FastHubert(nn.Module):
    """A HubertModel of the base family in a precision: products in it, all else in float32.

    Raises:
        ValueError: the model is of another family (layer norms in front, or before the layers).
    """

    def __init__(self, hubert: Any, dtype: torch.dtype) -> None:
        super().__init__()
        first, *rest = hubert.feature_extractor.conv_layers
        norm = getattr(first, "layer_norm", None)
        config = hubert.config
        if (
            not isinstance(norm, nn.GroupNorm)
            or norm.num_groups != norm.num_channels
            or config.do_stable_layer_norm
            or config.conv_bias
            or not config.feat_proj_layer_norm
            or config.conv_pos_batch_norm
        ):
            raise WrongValue("only HuBERT models of the base family can be made ready")
        self.dtype = dtype
        self.front = _Front(first.conv, norm, dtype)
        self.convolutions = nn.ModuleList(
            Convolution(layer.conv.weight, None, dtype, stride=layer.conv.stride[0])
            for layer in rest
        )
        self.projection_norm = hubert.feature_projection.layer_norm
        self.projection = PackedLinear.of(hubert.feature_projection.projection, dtype)
        position = hubert.encoder.pos_conv_embed.conv
        self.positions = Convolution(
            position.weight,
            position.bias,
            dtype,
            padding=position.padding[0],
            groups=position.groups,
        )
        self.norm = hubert.encoder.layer_norm
        self.layers = nn.ModuleList(_Layer(layer, dtype) for layer in hubert.encoder.layers)

    def forward(self, pcm: Tensor) -> Encoded:
        """Padded sound (B, samples) -> (B, m, d)."""
        x = self.front(pcm)
        for convolution in self.convolutions:
            x = convolution(x)
        x = self.projection(self.projection_norm(x.float())).float()
        # An even reach gives one row more than there are frames.
        x = self.norm(x + self.positions(x)[:, : x.shape[1]])
        for layer in self.layers:
            x = layer(x)
        return Encoded(x)


class _Front(nn.Module):
    """The first convolution, its group norm folded in, and GELU: sound to 3.2 kHz."""

    def __init__(self, conv: nn.Conv1d, norm: nn.GroupNorm, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.reach, self.stride = conv.kernel_size[0], conv.stride[0]
        self.eps = norm.eps
        self._kernel = conv.weight.detach()[:, 0].double()  # (channels, reach)
        self._scale = norm.weight.detach().double()
        self._shift = norm.bias.detach().double()

    def forward(self, pcm: Tensor) -> Tensor:
        """(B, samples) -> (B, n, channels)."""
        heard = pcm.unfold(-1, self.reach, self.stride)  # (B, n, reach)
        kernels, shifts = self._folded(heard)
        if self.dtype is torch.float32:
            rows = [
                F.gelu(F.linear(sound, kernel, shift))
                for sound, kernel, shift in zip(heard, kernels.float(), shifts.float(), strict=True)
            ]
            return torch.stack(rows)
        # Sound has more than the 8 bits of bf16: in two parts, as the weights, but for the product
        # of the small ones, it keeps 16.  (Ten inputs: this costs nothing.)
        large = heard.to(self.dtype)
        small = (heard - large.float()).to(self.dtype)
        sound = torch.cat([large, small, large], -1)
        kernel_large = kernels.to(self.dtype)
        kernel_small = (kernels - kernel_large.double()).to(self.dtype)
        kernel = torch.cat([kernel_large, kernel_large, kernel_small], -1)
        rows = [
            F.gelu(F.linear(*parts))
            for parts in zip(sound, kernel, shifts.to(self.dtype), strict=True)
        ]
        return torch.stack(rows)

    def _folded(self, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Each window's own kernels (B, channels, reach) and shifts (B, channels)."""
        wide = heard.double()
        mean = wide.mean(1)  # (B, reach)
        away = wide - mean[:, None]
        covariance = away.transpose(1, 2) @ away / heard.shape[1]  # (B, reach, reach)
        variance = ((self._kernel @ covariance) * self._kernel).sum(-1)  # (B, channels)
        gain = self._scale / (variance + self.eps).sqrt()
        return self._kernel * gain[..., None], self._shift - gain * (mean @ self._kernel.T)


class _Layer(nn.Module):
    """A post-norm encoder layer."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        super().__init__()
        own = layer.attention
        parts = (own.q_proj, own.k_proj, own.v_proj)
        self.heads = own.num_heads
        self.inputs = PackedLinear(
            torch.cat([part.weight for part in parts]),
            torch.cat([part.bias for part in parts]),
            dtype,
        )
        self.out = PackedLinear.of(own.out_proj, dtype)
        self.norm1, self.norm2 = layer.layer_norm, layer.final_layer_norm
        self.widen = PackedLinear.of(layer.feed_forward.intermediate_dense, dtype, gelu=True)
        self.narrow = PackedLinear.of(layer.feed_forward.output_dense, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, m, d) -> the same."""
        query, key, value = self.inputs(x).chunk(3, -1)
        x = self.norm1(x + self.out(attend(query, key, value, self.heads)))
        return self.norm2(x + self.narrow(self.widen(x)))
