"""The denoising network D of DiffPoseTalk (Sun et al. 2024, section 3.2), names as released.

Tokens of one call, N = 1 + T_p + n:

    | 0: person, style and time | T_p clean context frames | n noisy frames |

Speech reaches a motion token only through its own frame's term (`audio_terms`), so a step of the
sampler costs self-attention and the feed-forward blocks, nothing else.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffposetalk.network.attention import SinusoidTable, Stack
from diffposetalk.network.audio_terms import AudioTerms, DecoderLayer
from diffposetalk.spec import ModelSpec

POSITION_ROWS = 600


class Denoiser(nn.Module):
    """Transformer decoder over the context and the noisy frames of one window.

    Args:
        spec: of the whole model.
        dropout: inside the layers, while training.
    """

    alignment_mask: Tensor
    told: Tensor | None

    def __init__(self, spec: ModelSpec, dropout: float = 0.1) -> None:
        super().__init__()
        d, net = spec.denoiser.d_model, spec.denoiser
        frames = spec.T_p + spec.T_w
        self.T_p = spec.T_p
        self.use_indicator = net.use_indicator
        self.PE: nn.Parameter | SinusoidTable
        if net.learnable_pe:
            self.PE = nn.Parameter(torch.randn(1, 1 + frames, d))
        else:
            self.PE = SinusoidTable(d, POSITION_ROWS, persistent=True)
        self.TE = SinusoidTable(d, spec.diffusion.steps + 1, persistent=True)
        self.align_mask_width = net.align_mask_width
        if net.align_mask_width > 0:
            mask = alignment_mask(frames, net.align_mask_width)
            self.register_buffer("alignment_mask", mask)
        self.diff_step_map = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
        self.person_proj = nn.Linear(spec.d_person, d)
        if net.guidance_input:
            self.guidance_proj = nn.Linear(2, d, bias=False)
            nn.init.zeros_(self.guidance_proj.weight)  # begins as the network that ignores it
        told = None if net.past_mouth else torch.ones(spec.d_motion)
        if told is not None:
            told[list(spec.articulated)] = 0.0
        self.register_buffer("told", told, persistent=False)  # what the context tells
        self.feature_proj = nn.Linear(spec.d_motion + int(net.use_indicator), d)
        self.transformer = Stack(
            [DecoderLayer(d, net.n_heads, net.mlp_ratio, dropout) for _ in range(net.n_layers)]
        )
        self.motion_dec = nn.Sequential(
            nn.Linear(d, d // 2), nn.GELU(), nn.Linear(d // 2, spec.d_motion)
        )

    def forward(
        self,
        x_t: Tensor,
        features: Tensor,
        person: Tensor,
        context_motion: Tensor,
        context_features: Tensor,
        t: Tensor,
        indicator: Tensor | None = None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        """Denoise a window, context rows included (training supervises them too).

        Args:
            x_t: (B, n, D) noisy motion, any n in 1..T_w.
            features: (B, n, d) speech features of the window.
            person: (B, 1, P) normalised shape, then style.
            context_motion: (B, T_p, D) clean motion before the window.
            context_features: (B, T_p, d) its speech features.
            t: (B,) integer diffusion step, or (1,), one for all.
            indicator: (B, n), 1 for frames and 0 for padding after the end; None = all frames.
            guidance: (B, 2) audio and style scale, each minus 1, for a network that takes them;
                None = both scales 1.

        Returns:
            (B, T_p + n, D).
        """
        terms = self.audio_terms(torch.cat([context_features, features], dim=1))
        return self._decode(x_t, t, terms, person, context_motion, indicator, guidance, 1)

    def audio_terms(self, features: Tensor) -> AudioTerms:
        """Everything the decoder needs of these features: (B, n, d) -> rows (B, n, 3 L d).

        Every frame stands alone, so a stream computes it once, when the feature is final.
        """
        per_layer = [layer.multihead_attn.terms(features) for layer in self.transformer.layers]
        parts = [part for same in zip(*per_layer, strict=True) for part in same]
        return AudioTerms(torch.cat(parts, dim=-1), len(per_layer))

    def denoise(
        self,
        x_t: Tensor,
        t: Tensor,
        terms: AudioTerms,
        person: Tensor,
        context_motion: Tensor,
        indicator: Tensor | None = None,
        guidance: Tensor | None = None,
        first_frame: int = 0,
    ) -> Tensor:
        """`forward` for sampling: the same numbers, for the window's frames only.

        Args:
            terms: of the context and the window, T_p + n frames, from `audio_terms`.
            first_frame: first frame of the window whose motion is wanted.

        Returns:
            (B, n - first_frame, D).
        """
        first_row = 1 + self.T_p + first_frame
        return self._decode(x_t, t, terms, person, context_motion, indicator, guidance, first_row)

    def _decode(
        self,
        x_t: Tensor,
        t: Tensor,
        terms: AudioTerms,
        person: Tensor,
        context_motion: Tensor,
        indicator: Tensor | None,
        guidance: Tensor | None,
        first_row: int,
    ) -> Tensor:
        """Rows [first_row, N) of the decoder's output, as motion."""
        x = self._tokens(x_t, t, person, context_motion, indicator, guidance)
        allowed = None if self.align_mask_width == 1 else self._allowed(x.shape[1])
        last = len(self.transformer.layers) - 1
        for i, layer in enumerate(self.transformer.layers):
            # Nobody reads the other rows of the last layer.
            x = layer(x, terms, i, first_row if i == last else 0, allowed)
        return self.motion_dec(x)

    def _tokens(
        self,
        x_t: Tensor,
        t: Tensor,
        person: Tensor,
        context_motion: Tensor,
        indicator: Tensor | None,
        guidance: Tensor | None,
    ) -> Tensor:
        """Embed one call: (B, 1 + T_p + n, d)."""
        time = self.diff_step_map(self.TE.pe[0, t])[:, None]  # (B or 1, 1, d)
        if guidance is not None:
            time = time + self.guidance_proj(guidance)[:, None]
        if self.told is not None:
            context_motion = context_motion * self.told
        # Context and window apart: between the steps of a sampler only x_t and t change.
        first, context, window = self._positions(x_t.shape[1])
        matrix, bias = self.feature_proj.weight, self.feature_proj.bias
        motion, once = matrix[:, : x_t.shape[-1]], window + bias
        if self.use_indicator:
            # Context frames carry 0, as padding does: they are not to be predicted.
            own = matrix[:, -1]
            once = once + (own if indicator is None else indicator[..., None].to(own) * own)
        return torch.cat(
            [
                self.person_proj(person) + first + time,
                F.linear(context_motion, motion, bias) + context,
                F.linear(x_t, motion) + once,
            ],
            dim=1,
        )

    def _positions(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Position rows of token 0, the context and n frames, (1, 1 or as many, d)."""
        start = 1 + self.T_p
        if isinstance(self.PE, SinusoidTable):
            # The released code adds row N to every token; weights trained so expect it.
            row = self.PE.pe[:, start + n : start + n + 1]
            return row, row, row
        return self.PE[:, :1], self.PE[:, 1:start], self.PE[:, start : start + n]

    def _allowed(self, tokens: int) -> Tensor:
        """Mask of real cross-attention for widths other than 1: (N, N - 1), True = may look."""
        if self.align_mask_width < 1:
            return self.TE.pe.new_ones(tokens, tokens - 1, dtype=torch.bool)
        return ~self.alignment_mask[:tokens, : tokens - 1]


def alignment_mask(frames: int, width: int) -> Tensor:
    """(1 + frames, frames) bool, True = blocked.

    Token 0 sees every speech frame, token i frame j if |i - 1 - j| < width.
    """
    distance = torch.arange(frames)[:, None] - torch.arange(frames)
    return F.pad(distance.abs() >= width, (0, 0, 1, 0))
