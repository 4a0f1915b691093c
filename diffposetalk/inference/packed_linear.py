"""Matrix products and convolutions with their weights laid out once, in one precision.

Nearly all the work of the networks is here.  On a CPU, oneDNN likes weights in blocks of its own;
made once they save a tenth (fp32) and more of every call, and in bf16 they also save turning
float32 weights into bf16 ones at every call, as autocast does.  Elsewhere these are torch's own.

Inputs of any precision are taken; the answer is in the weights' one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 256
"""Rows of a usual product: a window in one branch, or a hop in several; any number will do."""

LAYOUTS = 4
"""Numbers of frames that a convolution is ready for at once: a stream has two, hops and its end."""


class PackedLinear(nn.Module):
    """x -> x W^T + b, and exact GELU on top if wanted; for inference only.

    Args:
        weight: (outputs, inputs), bias: (outputs,) or None; float32, on the device to run on.
        dtype: of the arithmetic; sums are float32 inside.
        gelu: whether the answer goes through it.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, gelu: bool = False
    ) -> None:
        super().__init__()
        self.dtype, self.gelu = dtype, gelu
        weight = weight.detach().to(dtype).contiguous()
        self._bias = None if bias is None else bias.detach().to(dtype).contiguous()
        self._packs = packs(weight)
        if self._packs:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
        self._weight = weight

    @classmethod
    def of(cls, linear: nn.Module, dtype: torch.dtype, *, gelu: bool = False) -> PackedLinear:
        """The packed form of an `nn.Linear`."""
        return cls(linear.weight, linear.bias, dtype, gelu=gelu)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        x = x.to(self.dtype)
        if self._packs:
            name = "gelu" if self.gelu else "none"
            return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, name, [], "none")
        y = F.linear(x, self._weight, self._bias)
        return F.gelu(y) if self.gelu else y


class Convolution(nn.Module):
    """A convolution over time, (B, n, inputs) -> (B, m, outputs), and exact GELU on top.

    Time-major in and out: channels lie together, as matrix units want them.  Which layout of the
    weights is best depends on n, and turning one into another is slow: they are laid out anew for
    each of the last few n.

    Args:
        weight: (outputs, inputs / groups, reach), bias: (outputs,) or None, as of `nn.Conv1d`.
        dtype: of the arithmetic.
        stride, padding, groups: as of `nn.Conv1d`.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        dtype: torch.dtype,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self._how = ((0, padding), (1, stride), (1, 1), groups)
        # As pictures of one row, as oneDNN has no time axis.
        self._kernel = weight.detach().to(dtype)[:, :, None].contiguous()
        self._bias = None if bias is None else bias.detach().to(dtype).contiguous()
        self._packs = packs(self._kernel)
        self._packed: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, inputs) -> (B, m, outputs)."""
        rows = x.to(self.dtype).transpose(1, 2)[:, :, None]  # (B, inputs, 1, n), channels last
        pad, step, dilation, groups = self._how
        if self._packs:
            y = torch.ops.mkldnn._convolution_pointwise(
                rows,
                self._kernel_for(x.shape[1]),
                self._bias,
                pad,
                step,
                dilation,
                groups,
                "gelu",
                [],
                "none",
            )
        else:
            y = F.gelu(F.conv2d(rows, self._kernel, self._bias, step, pad, dilation, groups))
        return y[:, :, 0].transpose(1, 2)

    def _kernel_for(self, frames: int) -> Tensor:
        packed = self._packed.get(frames)
        if packed is None:
            pad, step, dilation, groups = self._how
            size = (1, self._kernel.shape[1] * groups, 1, frames)
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                self._kernel, pad, step, dilation, groups, size
            )
            recent = list(self._packed.items())[1 - LAYOUTS :]
            self._packed = dict([*recent, (frames, packed)])
        return packed


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax attention of projected rows: (B, N, d) over (B, M, d) -> (B, N, d).

    The softmax is in float32 whatever the rows are in.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    if q.dtype is torch.float32 or q.device.type != "cpu" or q.shape[2] == 1:
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    # torch's own bf16 attention takes half as long again on a CPU, to no more exact an end.
    scores = torch.matmul(q.float() * q.shape[-1] ** -0.5, k.float().transpose(2, 3))
    return torch.matmul(scores.softmax(-1).to(v.dtype), v).transpose(1, 2).flatten(2)


def packs(weight: Tensor) -> bool:
    """Whether oneDNN is here to run this weight."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype is torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return weight.dtype is torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
