"""The denoiser's loss on a dataset: two windows of one crop, crossed styles (section 3.3.2).

    crop     | a: T_w frames | b: T_w frames |
    first    window from a, no past (learned start features), style of b
    second   window from b, past = the last T_p frames before it, true, style of a

With `live` windows are shorter and the second begins anywhere, as in a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffposetalk.network.hubert import hubert_features, normalise_clip
from diffposetalk.network.mel import MelEncoder
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.sampling.samplers import add_noise
from diffposetalk.schedule import noise_schedule
from head.channels import ROTATION
from head.errors import WrongValue
from training.faces.crops import Batch, CropSource
from training.loop.losses import FaceGeometry, motion_losses, transition_loss
from training.paper.presets import DenoiserTraining
from training.starter.adjacent_windows import LENGTHS, draw_times, perturb

Terms = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Window:
    """One window of the crop.

    start, n: its frames; missing: leading context slots before the stream's start; ends (B,): how
    many of its frames are speech, None if it is whole; style (B, d_style) or None.
    """

    start: int
    n: int
    missing: int
    ends: Tensor | None
    style: Tensor | None


class TwoWindowLosses:
    """Draws crops of two windows, and returns equation 6 on them.

    Args:
        model: learns.
        style: the trained style encoder, which stays as it is; None for a model without styles.
        geometry: motion to vertices.
        crops: where crops come from.
        settings: of the training.
    """

    def __init__(
        self,
        model: DiffPoseTalk,
        style: StyleEncoder | None,
        geometry: FaceGeometry,
        crops: CropSource,
        settings: DenoiserTraining,
    ) -> None:
        if model.spec.use_style and style is None:
            raise WrongValue("a model with styles needs its style encoder")
        if model.spec.diffusion.target != "sample":
            raise WrongValue("the losses are those of a model that predicts the sample")
        self.model, self.style, self.geometry = model, style, geometry
        self.crops, self.settings = crops, settings
        self.schedule = noise_schedule(model.spec.diffusion)

    def draw(self, rng: np.random.Generator) -> Batch:
        """A batch of crops of two windows."""
        return self.crops.draw(rng, self.settings.run.batch, 2 * self.model.spec.T_w)

    def __call__(self, rng: np.random.Generator, step: int, batch: Batch) -> tuple[Tensor, Terms]:
        """The mean loss of both windows, and its terms."""
        device = self.model.null_audio_feat.device
        batch = batch.to(device)
        samples = batch.samples
        if not isinstance(self.model.audio_encoder, MelEncoder):
            samples = normalise_clip(samples)
        whole = self._encode(samples) if self.settings.together else None
        totals: list[Tensor] = []
        sums: dict[str, Tensor] = {}
        for window in self._windows(batch, rng):
            loss, terms = self._window(window, batch, samples, whole, rng)
            totals.append(loss)
            for name, term in terms.items():
                sums[name] = sums[name] + term if name in sums else term
        means = {name: value / len(totals) for name, value in sums.items()}
        return torch.stack(totals).mean(), means

    def _windows(self, batch: Batch, rng: np.random.Generator) -> tuple[_Window, _Window]:
        spec, settings = self.model.spec, self.settings
        W, count = spec.T_w, len(batch.motion)
        a = b = None
        if self.style is not None and spec.use_style:
            with torch.no_grad():
                a, b = (self.style(half).float() for half in batch.motion.split(W, 1))
        n, start = W, W
        if settings.live:
            n = int(rng.choice(list(LENGTHS), p=list(LENGTHS.values())))
            start = int(rng.integers(1, 2 * W - n + 1))
        ends = [self._ends(share, count, n, rng) for share in settings.truncated]
        # The style comes from the other half of the crop: from another window of the same person.
        other = a if start + n // 2 >= W else b
        return (
            _Window(0, n, spec.T_p, ends[0], b),
            _Window(start, n, max(0, spec.T_p - start), ends[1], other),
        )

    def _ends(self, share: float, count: int, n: int, rng: np.random.Generator) -> Tensor | None:
        """Where the samples of a truncated batch end, 1..n-1; None for whole windows."""
        truncated = rng.random() < share
        ends = rng.integers(1, max(n, 2), count)
        if not truncated or n < 2:
            return None
        return torch.from_numpy(ends).to(self.model.null_audio_feat.device)

    def _window(
        self,
        window: _Window,
        batch: Batch,
        samples: Tensor,
        whole: Tensor | None,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Terms]:
        """Equation 6 on one window."""
        spec, model, settings = self.model.spec, self.model, self.settings
        T_p, n, start = spec.T_p, window.n, window.start
        count, device = len(samples), samples.device
        past, x0 = _span(batch.motion, start - T_p, start), batch.motion[:, start : start + n]
        valid = torch.ones(count, n, dtype=torch.bool, device=device)
        if window.ends is not None:
            valid = torch.arange(n, device=device)[None] < window.ends[:, None]
            x0 = x0 * valid[..., None]
        past_features, features = self._features(window, samples, whole)
        given = past
        if settings.live and spec.head_rotation:
            given = perturb(past.cpu(), rng).to(device)
        given, past_features = model.fill_context(given, past_features, window.missing)

        person, features = self._conditions(batch.shape, window.style, features, rng)
        if settings.live:
            times = draw_times(count, self.schedule, rng).to(device)
        else:
            times = torch.from_numpy(rng.integers(1, self.schedule.steps + 1, count)).to(device)
        x_t = add_noise(x0, torch.randn_like(x0), times, self.schedule)
        out = model.denoising_net(
            x_t, features, person, given, past_features, times, valid.float()
        ).float()  # (B, T_p + n, D)
        first = T_p
        target, counts = x0, valid
        if not window.missing and not settings.live:
            # The context is to be given back, too; start features have no truth.
            first, target = 0, torch.cat([past, x0], 1)
            counts = torch.cat([valid.new_ones(count, T_p), valid], 1)
        loss, terms = motion_losses(
            out[:, first:],
            target,
            self.geometry,
            settings.weights,
            valid=counts,
            shape=batch.raw_shape,
        )
        weight = settings.weights.transition
        if weight and spec.head_rotation and not window.missing and n >= 3 and T_p >= 3:
            seam = transition_loss(
                past[:, -3:, ROTATION], out[:, T_p : T_p + 3, ROTATION], valid[:, :3]
            )
            # Not halved with the windows' mean, as only one of them has it.
            loss, terms = loss + 2 * weight * seam, {**terms, "transition": 2 * seam}
        return loss, terms

    def _conditions(
        self, shape: Tensor, style: Tensor | None, features: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Token 0's input and the window's speech, with conditions dropped at random."""
        model, settings = self.model, self.settings
        coin = torch.from_numpy(rng.random(len(shape))).to(shape.device)
        no_audio = coin < settings.both_null
        no_style = coin < settings.both_null + settings.style_null
        features = torch.where(no_audio[:, None, None], model.null_audio_feat, features)
        if style is not None:
            style = torch.where(no_style[:, None], model.null_style_feat[:, 0], style)
        return model.person(shape, style), features

    def _features(
        self, window: _Window, samples: Tensor, whole: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Speech features of the context, (B, T_p, d), and of the window, (B, n, d)."""
        spec, start, n = self.model.spec, window.start, window.n
        frame, T_p, W = spec.frame_samples, spec.T_p, spec.T_w
        if window.ends is None:
            if whole is not None:
                return _span(whole, start - T_p, start), whole[:, start : start + n]
            heard = samples
        else:
            # Silence from the end on, and the speech before it as if nothing more had come.
            sample = torch.arange(samples.shape[1], device=samples.device)
            heard = samples * (sample[None] < ((start + window.ends) * frame)[:, None])
        if whole is not None:
            features = self._encode(heard[:, : (start + n) * frame])
            return _span(features, start - T_p, start), features[:, start : start + n]
        now = self._encode(heard[:, start * frame : (start + n) * frame])
        if start == 0:
            return now.new_zeros(len(now), T_p, now.shape[-1]), now
        with torch.no_grad():  # as the released code has it: of the whole clip, without a gradient
            past = self._encode(samples[:, (start - W) * frame : start * frame])
        return past[:, -T_p:], now

    def _encode(self, samples: Tensor) -> Tensor:
        """Features (B, n, d_model) of samples (B, 640 n), which are normalised already."""
        if isinstance(self.model.audio_encoder, MelEncoder):
            return self.model.speech_features(samples)
        return self.model.audio_feature_map(hubert_features(self.model.audio_encoder, samples))


def _span(rows: Tensor, start: int, stop: int) -> Tensor:
    """Frames [start, stop) of (B, n, d); those before the first are zero."""
    missing = max(0, -start)
    inside = rows[:, max(start, 0) : max(stop, 0)]
    zeros = rows.new_zeros(len(rows), missing, rows.shape[-1])
    return torch.cat([zeros, inside], 1)[:, : stop - start]
