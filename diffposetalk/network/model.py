"""The whole model, under the tensor names of released checkpoints.

For the official configuration its state dict is exactly the released one: 381 tensors.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from diffposetalk.network.denoiser import Denoiser
from diffposetalk.network.hubert import build_hubert, hubert_features
from diffposetalk.network.mel import MelEncoder
from diffposetalk.schedule import NoiseSchedule, noise_schedule, schedule_buffers
from diffposetalk.spec import ModelSpec


class DiffPoseTalk(nn.Module):
    """Speech encoder, denoiser, learned start and null conditions.

    Args:
        spec: every shape follows from it.
        dropout: inside the denoiser's layers, while training.
        speech_dropout: inside the mel encoder, while training.
    """

    def __init__(self, spec: ModelSpec, dropout: float = 0.1, speech_dropout: float = 0.0) -> None:
        super().__init__()
        self.spec = spec
        d = spec.denoiser.d_model
        self.start_audio_feat = nn.Parameter(torch.randn(1, spec.T_p, d))
        self.start_motion_feat = nn.Parameter(torch.randn(1, spec.T_p, spec.d_motion))
        if spec.use_style:
            self.null_style_feat = nn.Parameter(torch.randn(1, 1, spec.style.d_style))
        self.null_audio_feat = nn.Parameter(torch.randn(1, 1, d))
        if spec.speech.kind == "hubert":
            self.audio_encoder = build_hubert(spec.speech.d_out, spec.speech.hubert)
        else:
            self.audio_encoder = MelEncoder(spec, speech_dropout)
        self.audio_feature_map = nn.Linear(spec.speech.d_out, d)
        self.denoising_net = Denoiser(spec, dropout)
        self.diffusion_sched = ScheduleTables(self.schedule)

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The forward process that the denoiser was trained on."""
        return noise_schedule(self.spec.diffusion)

    def speech_features(self, pcm: Tensor) -> Tensor:
        """Features of a whole clip at once: pcm (B, 640 n) -> (B, n, d_model).

        `hubert` takes normalised samples; `mel` starts from silence and needs no normalisation.
        """
        if isinstance(self.audio_encoder, MelEncoder):
            silence = self.audio_encoder.initial_state(pcm.shape[0])
            features, _ = self.audio_encoder.encode(pcm, silence)
        else:
            features = hubert_features(self.audio_encoder, pcm)
        return self.audio_feature_map(features)

    def person(self, shape: Tensor, style: Tensor | None) -> Tensor:
        """Token 0's input: normalised shape (B, n_shape) and style (B, d_style) -> (B, 1, P).

        style None stands for the learned null style.
        """
        parts = [shape]
        if self.spec.use_style:
            null = self.null_style_feat[0].expand(shape.shape[0], -1)
            parts.append(null if style is None else style)
        return torch.cat(parts, dim=-1)[:, None]

    def fill_context(self, motion: Tensor, features: Tensor, missing: int) -> tuple[Tensor, Tensor]:
        """Put the learned start features in the context slots before the stream's start.

        Args:
            motion: (B, T_p, D) context motion; its first `missing` rows are ignored.
            features: (B, T_p, d) its speech features, likewise.
            missing: 0 to T_p; slot j < missing gets start feature j.
        """
        batch = motion.shape[0]
        start_motion = self.start_motion_feat[:, :missing].expand(batch, -1, -1)
        start_features = self.start_audio_feat[:, :missing].expand(batch, -1, -1)
        return (
            torch.cat([start_motion, motion[:, missing:]], dim=1),
            torch.cat([start_features, features[:, missing:]], dim=1),
        )


class ScheduleTables(nn.Module):
    """The forward process as buffers, which released checkpoints carry; sampling reads the spec."""

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        for name, table in schedule_buffers(schedule).items():
            self.register_buffer(name, torch.from_numpy(table))
