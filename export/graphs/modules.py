"""What is exported: the bundle's own torch modules, with the inputs and outputs that graphs have.

    speech   sound to feature rows                          `MelSpeech`, `HubertSpeech`
    start    noise to x at the first step                   `Start`
    step     x to x at the next step, and x0                `Step`

`export.graphs.assembly` unrolls steps into samplers and joins them into whole hops.  What goes in
and out is float32, the network is in the precision that its weights are in.

Shapes: B entries, G guidance branches, n frames, T_p context frames, D motion channels, F feature
channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from diffposetalk.network.audio_terms import AudioTerms
from diffposetalk.network.hubert import pad_pcm
from diffposetalk.network.mel import MelEncoder, MelState
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.sampling.guidance import Guided, branched, guidance_rows
from diffposetalk.sampling.samplers import Known, impute, solver_step, start
from diffposetalk.spec import ModelSpec
from export.graphs.front import level_in_closed_form, power_by_products


class MelSpeech(nn.Module):
    """The next n frames of streams, and the encoder's state after them."""

    def __init__(self, model: DiffPoseTalk) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        pcm: Tensor,
        columns: Tensor,
        hidden: Tensor,
        frames: Tensor,
        tail: Tensor,
        level: Tensor,
    ) -> tuple[Tensor, ...]:
        """pcm (B, 640 n) and a `MelState` -> rows (B, n, F) and the state after them."""
        encoder = self.model.audio_encoder
        assert isinstance(encoder, MelEncoder)
        before = MelState(columns, hidden, frames, tail, level)
        features, after = encoder.encode(pcm, before, power_by_products, level_in_closed_form)
        rows = self.model.denoising_net.audio_terms(self.model.audio_feature_map(features)).rows
        return rows.float(), *(part.float() for part in after)


class HubertSpeech(nn.Module):
    """Whole windows.

    HubertModel's own parts without its mask, which under a trace is there though it hides nothing.
    """

    def __init__(self, model: DiffPoseTalk) -> None:
        super().__init__()
        self.model = model

    def forward(self, pcm: Tensor) -> Tensor:
        """pcm (B, 640 n) normalised -> features (B, n, d)."""
        kind = self.model.audio_feature_map.weight.dtype
        hubert: Any = self.model.audio_encoder
        x = hubert.feature_extractor(pad_pcm(pcm.to(kind))).transpose(1, 2)
        x, encoder = hubert.feature_projection(x), hubert.encoder
        x = encoder.layer_norm(x + encoder.pos_conv_embed(x))
        for layer in encoder.layers:
            x = layer(x)
        features = x.unflatten(1, (-1, 2)).mean(dim=2)
        return self.model.audio_feature_map(features).float()


def prefix(known_motion: Tensor, known: Tensor) -> Known:
    """The first `known` (B,) of n frames are known, motion (B, n, D)."""
    frame = torch.arange(known_motion.shape[1])
    return Known(known_motion, (frame < known[:, None])[..., None])


class Start(nn.Module):
    """x at the first step."""

    def forward(
        self,
        noise: Tensor,
        noise_scale: Tensor,
        known_motion: Tensor,
        known: Tensor,
        alpha: Tensor,
        sigma: Tensor,
    ) -> Tensor:
        """noise (B, n, D), noise_scale (B, D), known frames as of `Step` -> (B, n, D)."""
        return start(noise, alpha, sigma, prefix(known_motion, known), noise_scale[:, None])


class Step(nn.Module):
    """One step of DPM-Solver++ around D under guidance."""

    def __init__(self, model: DiffPoseTalk) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x: Tensor,
        previous: Tensor,
        time: Tensor,
        a: Tensor,
        b: Tensor,
        c: Tensor,
        alpha: Tensor,
        sigma: Tensor,
        features: Tensor,
        context_features: Tensor,
        context_motion: Tensor,
        known_motion: Tensor,
        shape: Tensor,
        audio_guidance: Tensor,
        style_guidance: Tensor,
        missing: Tensor,
        valid: Tensor,
        known: Tensor,
        style: Tensor | None = None,
        branch_gives: Tensor | None = None,
        branch_weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """x and x0 of the step before (B, n, D) -> x at the next step, and x0.

        Args:
            time: (1,) int64, a, b, c, alpha, sigma: (1,), see `diffposetalk.sampling.solver`.
            features, context_features, context_motion, shape, style: see `SamplerCall`, (B, ...).
            missing, valid, known: (B,) int64: leading context slots that hold the learned start
                features, frames that are not padding, leading frames that are committed.
            known_motion: (B, n, D), of which the first `known` frames are read.
            audio_guidance, style_guidance: (B,).
            branch_gives: (G, 2), whether a branch gives audio and style; branch_weights: (G, 3),
                its weight as coefficients of 1, w_a and w_s; None where the network takes the
                scales itself.
        """
        model, net = self.model, self.model.denoising_net
        kind = model.start_motion_feat.dtype
        slot = (torch.arange(model.spec.T_p) < missing[:, None])[..., None]  # (B, T_p, 1)
        window, before = self._terms(features), self._terms(context_features)
        first = net.audio_terms(model.start_audio_feat)
        rows = torch.cat([torch.where(slot, first.rows, before.rows), window.rows], dim=1)
        taken = model.spec.denoiser.guidance_input
        guided = Guided(
            model,
            first._replace(rows=rows),
            model.person(shape.to(kind), None if style is None else style.to(kind)),
            torch.where(slot, model.start_motion_feat, context_motion.to(kind)),
            (torch.arange(x.shape[1]) < valid[:, None]).to(kind),
            guidance_rows(audio_guidance, style_guidance).to(kind) if taken else None,
            model.spec.live.threshold_quantile,
        )
        if branch_gives is not None and branch_weights is not None:
            one = torch.ones_like(audio_guidance)
            weights = branch_weights @ torch.stack([one, audio_guidance, style_guidance])
            guided = branched(guided, shape.to(kind), branch_gives > 0.5, weights)
        x0 = impute(guided.at(x, time, alpha, sigma), prefix(known_motion, known))
        return solver_step(x, x0, previous, a, b, c), x0

    def _terms(self, rows: Tensor) -> AudioTerms:
        """Feature rows as terms: they are (`mel`), or are features (`hubert`)."""
        model, kind = self.model, self.model.start_motion_feat.dtype
        if isinstance(model.audio_encoder, MelEncoder):
            return AudioTerms(rows.to(kind), model.spec.denoiser.n_layers)
        return model.denoising_net.audio_terms(rows.to(kind))


class Window(nn.Module):
    """What a hop's window takes, of what was and what is new (`stream.core.windows`).

    At a hop of H frames that ends at frame e, with frames before c = e - R - H committed, the
    window is [s, s + n):

        adjacent   n = H + R, s = c, from the first hop on
        sliding    n = T_w, s = e - T_w, from e = T_w + T_p on (before, windows end in padding)
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.hop, self.T_p = spec.live.hop, spec.T_p
        self.n = window_frames(spec)
        self.known = self.n - self.hop - spec.live.lookahead  # frames from s to c

    def forward(
        self, heard: Tensor, motion: Tensor, held_noise: Tensor, noise: Tensor, committed: Tensor
    ) -> tuple[Tensor, ...]:
        """Rows that end at e -> those of context and window, and the rest of `Step`'s inputs.

        Args:
            heard: (B, T_p + n or more, F) features; motion: (B, T_p + n - R, D) up to c.
            held_noise: (B, n, D) up to e - H; noise: (B, H, D) after it.
            committed: (B,) int64, c.

        Returns:
            features, context_features, noise, context_motion, known_motion, missing, valid, known.
        """
        rows = self.T_p + self.n
        window = torch.cat([held_noise, noise], 1)[:, -self.n :]
        # The newest rows that are committed, and zeros where nothing is.
        seen = torch.cat([motion[:, -self.T_p - self.known :], torch.zeros_like(window)], 1)
        heard = heard[:, -rows:]
        return (
            heard[:, self.T_p :],
            heard[:, : self.T_p],
            window,
            seen[:, : self.T_p],
            seen[:, self.T_p : rows],
            (self.T_p - committed).clamp(min=0),
            torch.full_like(committed, self.n),
            torch.full_like(committed, self.known),
        )


class Moved(nn.Module):
    """A hop's motion, and the state that the next hop starts from."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.hop, self.known = (
            spec.live.hop,
            window_frames(spec) - spec.live.hop - spec.live.lookahead,
        )

    def forward(self, x0: Tensor, motion: Tensor, committed: Tensor) -> tuple[Tensor, ...]:
        """Window's motion (B, n, D) -> new_motion (B, H, D), next_motion, next_committed."""
        fresh = x0[:, self.known : self.known + self.hop]
        return fresh, torch.cat([motion, fresh], 1)[:, -motion.shape[1] :], committed + self.hop


class Joined(nn.Module):
    """The newest rows: (B, m, ...) before and (B, h, ...) fresh ones -> (B, m, ...)."""

    def forward(self, before: Tensor, fresh: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([before, fresh], 1)[:, -before.shape[1] :]


def window_frames(spec: ModelSpec) -> int:
    """Frames of a hop's window, by the live window rule."""
    live = spec.live
    return spec.T_w if live.window_rule == "sliding" else live.hop + live.lookahead
