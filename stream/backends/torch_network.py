"""The networks of a bundle as functions of tensors: sound to rows, windows to motion."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from diffposetalk.network.audio_terms import AudioTerms
from diffposetalk.network.hubert import hubert_features
from diffposetalk.network.mel import MelEncoder, MelState
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.sampling.guidance import Scale, guided_denoiser
from diffposetalk.sampling.samplers import SAMPLERS, Known, known_prefix
from diffposetalk.spec import ModelSpec


class TorchNetwork:
    """What a bundle's networks compute, batch by batch, as a backend calls or captures it.

    A feature row is what is final of a frame of speech: with `mel` its audio terms of every layer,
    flattened, (3 L d,); with `hubert`, whose features last for one window, the feature, (d,).

    Args:
        model: ready to run, on its device.
        spec: its sizes and live defaults.

    Attributes:
        incremental: `mel` features are causal and final; `hubert` ones belong to their window.
        silence: the encoder's state before the first sample; None where it has none.
    """

    def __init__(self, model: DiffPoseTalk, spec: ModelSpec) -> None:
        self.model, self.spec = model, spec
        encoder = model.audio_encoder
        self.incremental = isinstance(encoder, MelEncoder)
        self.silence = encoder.initial_state() if isinstance(encoder, MelEncoder) else None

    def start_rows(self) -> Tensor:
        """(T_p, F) rows of the frames before a stream's start."""
        return self._rows(self.model.start_audio_feat)[0]

    def start_motion(self) -> Tensor:
        """(T_p, D) motion of the frames before a stream's start."""
        return self.model.start_motion_feat[0]

    def hear(self, pcm: Tensor, **state: Tensor) -> tuple[Tensor, ...]:
        """The next frames of streams: their rows, and the encoder's state after them."""
        encoder = self.model.audio_encoder
        assert isinstance(encoder, MelEncoder)
        features, after = encoder.encode(pcm, MelState(**state))
        return self._rows(self.model.audio_feature_map(features)), *after

    def hear_window(self, pcm: Tensor) -> tuple[Tensor, ...]:
        """Rows of whole windows."""
        features = hubert_features(self.model.audio_encoder, pcm)
        return (self.model.audio_feature_map(features).float(),)

    def solve(
        self,
        noise: Tensor,
        noise_scale: Tensor,
        features: Tensor,
        context_motion: Tensor,
        known: Tensor | None = None,
        known_count: Tensor | None = None,
        valid: Tensor | None = None,
        *,
        audio_guidance: Scale,
        style_guidance: Scale,
        steps: int,
        threshold: float | None,
        **vectors: Any,
    ) -> tuple[Tensor, ...]:
        """Sample windows: tensors (B, ...) as in `SamplerCall`, context before window.

        Args:
            known: (B, m, D); with `known_count`, (B, 1) of them, (B, n, D), so that one captured
                call serves every m.
            vectors: those of `Conditions`.
        """
        n = noise.shape[1]
        given: Known | None = None
        if known is not None and known_count is not None:
            number = torch.arange(n, device=noise.device)
            given = Known(known, (number < known_count)[..., None])
        elif known is not None:
            given = known_prefix(known, n)
        unread = 0 if known is None or known_count is not None else known.shape[1]
        indicator = None
        if valid is not None:
            indicator = (torch.arange(n, device=noise.device) < valid).float()
        denoise = guided_denoiser(
            self.model,
            self._terms(features),
            context_motion=context_motion,
            audio_scale=audio_guidance,
            style_scale=style_guidance,
            indicator=indicator,
            threshold_quantile=threshold,
            known=unread,
            **{"style": None} | vectors,
        )
        x0 = SAMPLERS[self.spec.live.sampler](
            denoise, noise, steps, self.model.schedule, known=given, noise_scale=noise_scale
        )
        return (x0.float(),)

    def _rows(self, features: Tensor) -> Tensor:
        """Features (B, n, d) -> rows of what is kept of them (B, n, F)."""
        if not self.incremental:
            return features.float()
        return self.model.denoising_net.audio_terms(features).rows.float()

    def _terms(self, rows: Tensor) -> AudioTerms:
        """The inverse of `_rows`: (B, n, F) -> audio terms."""
        if not self.incremental:
            return self.model.denoising_net.audio_terms(rows)
        return AudioTerms(rows, self.spec.denoiser.n_layers)
