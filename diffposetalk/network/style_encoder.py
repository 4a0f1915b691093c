"""The speaking-style encoder (Sun et al. 2024, section 3.3.1), tensor names as released."""

from __future__ import annotations

from torch import Tensor, nn

from diffposetalk.network.attention import EncoderLayer, SinusoidTable, Stack
from diffposetalk.spec import ModelSpec
from head.errors import WrongValue

POSITION_ROWS = 600


class StyleEncoder(nn.Module):
    """A clip of motion to one style vector: the mean over time of a transformer encoder.

    Args:
        spec: of the whole model.
        dropout: while training.
    """

    def __init__(self, spec: ModelSpec, dropout: float = 0.1) -> None:
        super().__init__()
        style = spec.style
        self.motion_proj = nn.Linear(spec.d_motion, style.d_style)
        self.position = SinusoidTable(style.d_style, POSITION_ROWS, persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.transformer = Stack(
            [
                EncoderLayer(style.d_style, style.n_heads, style.mlp_ratio, dropout)
                for _ in range(style.n_layers)
            ]
        )

    def forward(self, motion: Tensor) -> Tensor:
        """Normalised motion (B, L, D), L in 1..599, -> style (B, d_style).

        Raises:
            ValueError: a clip of another length.
        """
        frames = motion.shape[1]
        if not 1 <= frames < POSITION_ROWS:
            raise WrongValue(f"a style clip has 1 to {POSITION_ROWS - 1} frames, not {frames}")
        # The released encoder adds row L to every frame, so it does not know their order; its
        # weights expect that row.
        x = self.dropout(self.motion_proj(motion) + self.position.pe[:, frames, None])
        for layer in self.transformer.layers:
            x = layer(x)
        return x.mean(dim=1)
