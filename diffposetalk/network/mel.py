"""The starter's speech encoder: log-mel and causal convolutions, each feature computed once.

Feature k reads samples before 640 (k + 1) only, and only `history_frames` motion frames of them.
The streaming state is what each convolution reads again, so no hop computes anything twice.
Lookahead reaches a frame through the denoiser's self-attention alone (design: speech encoders).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffposetalk.network.mel_front import (
    COLUMNS,
    DILATIONS,
    FLOOR_DB,
    FLOOR_RISE_DB,
    GATE_DB,
    HOP_SAMPLES,
    KEPT_COLUMNS,
    KEPT_FRAMES,
    KEPT_HIDDEN,
    LOWEST,
    N_FFT,
    PRIOR_FRAMES,
    PRIOR_LEVEL_DB,
    SCALE_DB,
    SLOWEST,
    TAIL_SAMPLES,
    WINDOW_SAMPLES,
    mel_filterbank,
)
from diffposetalk.spec import ModelSpec
from head.errors import WrongValue


class MelState(NamedTuple):
    """The encoder's streaming state of B streams (all float32).

    columns: (B, 4, n_mels) normalised, hidden: (B, 8, d_hidden), frames: (B, 22, d_out): the last
    inputs of the first convolution, of the second, and of every block, one block after another;
    tail: (B, 240) samples; level: (B, 3) = speech level dB, frames of speech heard, noise floor dB.
    """

    columns: Tensor
    hidden: Tensor
    frames: Tensor
    tail: Tensor
    level: Tensor


def mel_columns(pcm: Tensor, filters: Tensor) -> Tensor:
    """Mel energies in decibels: pcm (B, 240 + 160 m) -> (B, m, n_mels).

    Column j covers the 400 samples up to 240 + 160 (j + 1).
    """
    frames = pcm.unfold(-1, WINDOW_SAMPLES, HOP_SAMPLES)  # (B, m, 400)
    window = torch.hann_window(WINDOW_SAMPLES, periodic=True, dtype=pcm.dtype, device=pcm.device)
    power = torch.fft.rfft(frames * window, N_FFT).abs().square()  # (B, m, 257)
    return 10.0 * torch.log10(power @ filters + 1e-7)


def follow_level(loudness: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Running level of speech, frame by frame, that a silent or noisy room cannot pump up.

    Args:
        loudness: (B, n) mean decibels of each frame's loud columns.
        level: (B, 3), see `MelState`.

    Returns:
        (B, n) the speech level as of each frame's end, and the advanced level.
    """
    speech, heard, floor = level.unbind(-1)
    out = []
    for frame in loudness.unbind(-1):
        floor = torch.minimum(frame, floor + FLOOR_RISE_DB)
        is_speech = (frame > floor + GATE_DB).to(frame.dtype)
        heard = heard + is_speech
        rate = torch.clamp(1.0 / (PRIOR_FRAMES + heard), min=SLOWEST) * is_speech
        speech = speech + rate * (frame - speech)
        out.append(speech)
    return torch.stack(out, -1), torch.stack([speech, heard, floor], -1)


def normalise(columns: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Columns relative to the speaker's level: (B, 4 n, n_mels) dB -> the same shape, and level.

    Each frame is normalised once, with the level as of its end.
    """
    batch, count, n_mels = columns.shape
    frames = columns.view(batch, count // COLUMNS, COLUMNS, n_mels)
    loudness = frames.amax(2).mean(-1)  # (B, n)
    speech, level = follow_level(loudness, level)
    relative = (frames - speech[:, :, None, None]) / SCALE_DB
    return relative.clamp(min=LOWEST).view(batch, count, n_mels), level


def initial_level(batch: int = 1) -> Tensor:
    """Levels before the first sample: (B, 3)."""
    return torch.tensor([PRIOR_LEVEL_DB, 0.0, FLOOR_DB]).expand(batch, 3)


def convolve(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """A convolution without padding over time-major (B, n, d), as one matrix product.

    The same numbers as `conv`, at about half the time for a hop of two frames: torch's dilated
    convolution takes a slow path there.
    """
    reach, dilation = conv.kernel_size[0], conv.dilation[0]
    count = x.shape[1] - (reach - 1) * dilation
    taps = [x[:, tap * dilation : tap * dilation + count] for tap in range(reach)]
    return F.linear(torch.cat(taps, -1), conv.weight.permute(0, 2, 1).flatten(1), conv.bias)


def dropped(x: Tensor, dropout: nn.Dropout1d) -> Tensor:
    """Whole channels of (B, n, d) fall silent while it trains: a draw a channel costs nothing."""
    if not dropout.training or not dropout.p:
        return x
    silent: Tensor = dropout(x.transpose(1, 2))
    return silent.transpose(1, 2)


class CausalBlock(nn.Module):
    """Residual causal convolution over frames, without padding: it eats 2 * dilation frames."""

    def __init__(self, width: int, dilation: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dilation = dilation
        self.dropout = nn.Dropout1d(dropout)
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, dilation=dilation)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, width) -> (B, n - 2 * dilation, width)."""
        y = convolve(self.norm(x), self.conv)
        return x[:, 2 * self.dilation :] + self.out(dropped(F.gelu(y), self.dropout))


class MelEncoder(nn.Module):
    """Normalised mel columns to speech features, strictly causal and without padding.

    Input (B, 4 (history_frames - 1 + n), n_mels), output (B, n, d_out). `dropout` is its own, while
    it trains.
    """

    FRONT_FRAMES = (KEPT_COLUMNS + KEPT_HIDDEN) // COLUMNS
    """Frames of history that the two column convolutions need."""

    def __init__(self, spec: ModelSpec, dropout: float = 0.0) -> None:
        super().__init__()
        speech = spec.speech
        needed = self.FRONT_FRAMES + sum(KEPT_FRAMES) + 1
        if speech.history_frames != needed:
            raise WrongValue(f"the mel encoder reads {needed} frames, not {speech.history_frames}")
        hidden, d = speech.d_hidden, speech.d_out
        self.filters: Tensor
        self.register_buffer(
            "filters", torch.from_numpy(mel_filterbank(speech.n_mels)), persistent=False
        )
        self.conv1 = nn.Conv1d(speech.n_mels, hidden, 5)
        self.norm1 = nn.LayerNorm(hidden)
        self.conv2 = nn.Conv1d(hidden, hidden, 5, dilation=2)
        self.norm2 = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout1d(dropout)
        self.gather = nn.Linear(COLUMNS * hidden, d)
        self.blocks = nn.ModuleList(CausalBlock(d, dilation, dropout) for dilation in DILATIONS)
        self.norm = nn.LayerNorm(d)

    def forward(self, columns: Tensor) -> Tensor:
        """(B, 4 (history_frames - 1 + n), n_mels) -> (B, n, d_out)."""
        x = self._gathered(self._second(self._first(columns)))
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed

    def advance(self, fresh: Tensor, state: MelState) -> tuple[Tensor, MelState]:
        """`forward` of new columns alone: (B, 4 n, n_mels) -> (B, n, d_out), and what to keep."""
        columns = torch.cat([state.columns, fresh], 1)
        hidden = torch.cat([state.hidden, self._first(columns)], 1)
        x, kept = self._gathered(self._second(hidden)), []
        for block, before in zip(self.blocks, state.frames.split(KEPT_FRAMES, 1), strict=True):
            x = torch.cat([before, x], 1)
            kept.append(x[:, -before.shape[1] :])
            x = block(x)
        return self.norm(x), state._replace(
            columns=columns[:, -KEPT_COLUMNS:],
            hidden=hidden[:, -KEPT_HIDDEN:],
            frames=torch.cat(kept, 1),
        )

    def encode(self, pcm: Tensor, state: MelState) -> tuple[Tensor, MelState]:
        """Features of the next n frames: pcm (B, 640 n) -> (B, n, d_out), and the new state."""
        samples = torch.cat([state.tail, pcm], -1)
        fresh, level = normalise(mel_columns(samples, self.filters), state.level)
        features, after = self.advance(fresh, state)
        return features, after._replace(tail=samples[:, -TAIL_SAMPLES:], level=level)

    def initial_state(self, batch: int = 1) -> MelState:
        """Silence for as long as anything can be heard, before the first sample."""
        n_mels, hidden = self.conv1.in_channels, self.conv1.out_channels
        zeros = self.filters.new_zeros
        empty = MelState(
            zeros(batch, KEPT_COLUMNS, n_mels),
            zeros(batch, KEPT_HIDDEN, hidden),
            zeros(batch, sum(KEPT_FRAMES), self.gather.out_features),
            zeros(batch, TAIL_SAMPLES),
            initial_level(batch).to(self.filters),
        )
        frames = self.FRONT_FRAMES + sum(KEPT_FRAMES)
        silent = self.filters.new_full((batch, COLUMNS * frames, n_mels), LOWEST)
        _, state = self.advance(silent, empty)
        return state

    def _first(self, columns: Tensor) -> Tensor:
        """(B, 4 + m, n_mels) -> (B, m, d_hidden)."""
        return F.gelu(self.norm1(convolve(columns, self.conv1)))

    def _second(self, hidden: Tensor) -> Tensor:
        """(B, 8 + m, d_hidden) -> (B, m, d_hidden)."""
        return dropped(F.gelu(self.norm2(convolve(hidden, self.conv2))), self.dropout)

    def _gathered(self, columns: Tensor) -> Tensor:
        """Whole frames: (B, 4 n, d_hidden) -> (B, n, d_out)."""
        batch, count, hidden = columns.shape
        rows: Tensor = self.gather(columns.reshape(batch, count // COLUMNS, COLUMNS * hidden))
        return rows
