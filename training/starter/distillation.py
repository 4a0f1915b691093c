"""Distil the denoiser to one network call, with both guidance scales as inputs.

The student is the teacher with a zero-initialised projection of the scales into token 0.  What it
learns to answer:

- from pure noise (the call of K = 1, and the first of more): for lips and jaw the label itself,
  whose mean is what one call can know; for head, brows, lids and gaze the end of the teacher's
  own path from that noise in `TEACHER_CALLS` calls of DPM-Solver++ (Luhman and Luhman 2021).  So
  certainty stays in the lips, and the variety of sampling in the rest.
- from anywhere later on the path: the label, as in training, so that more steps still work.
- with other scales than 1: the same, moved by what guidance moves the teacher's estimate,
  x0 + [guided D - D] (guidance distillation, Meng et al. 2023, around the label).

Wherever it is unsure whether the lips are shut, weights decide: what a vowel through shut lips
costs (`SHUT`), and what a P, B or M through open ones (`HELD`, `PRESSED`).  The speech encoder
stays as it is and is shared.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from diffposetalk.network.audio_terms import AudioTerms
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.sampling.guidance import guided_denoiser
from diffposetalk.sampling.samplers import Denoise, add_noise, dpm_solver_pp_2m
from diffposetalk.schedule import noise_schedule, sampling_times
from head.channels import ROTATION
from training.loop.losses import FaceGeometry, Weights
from training.speech.track_batches import Tracks
from training.starter.adjacent_windows import (
    Dropout,
    Training,
    Windows,
    WindowSource,
    draw_times,
    window_losses,
)
from training.starter.mel_pretraining import lip_mask

TEACHER_CALLS = 5
AUDIO_SCALES, STYLE_SCALES = (0.5, 2.0), (0.0, 3.0)
"""Ranges of the guidance scales that the student learns."""
AT_ONCE = 0.85
"""Share of rows that start from noise, as the one call of live use does."""
GUIDED = 0.3
"""Share of batches with scales other than 1."""
SHUT = 0.16
"""Weight per mm² of lips that are too near, on top of that of lips that are wrong either way."""
HELD = 0.4
"""Weight per mm² of lips that part where they should be shut, on top of the same. One call answers
with the mean of what may be said: at a P that it half believes in, half open lips. A mouth that is
shut where speech shuts it is what people look for, so there the mean leans to shut lips, while the
vowel's frames, which are not shut in the label, keep `SHUT`."""
PRESSED = 12.0
"""Weight per millimetre, not squared, of lips that part where the label presses them, in the middle
of a P, B or M.  Against what others cost squared, a cost that grows with the way alone shuts the
lips where a closure has a chance of about one in six, and hardly moves them where it has none,
where a larger `HELD` would draw every vowel a little nearer."""
SWAY_FRAMES = 25
"""Half of the starts have the smooth head noise of live use (`stream.core.noise`)."""


class Student(nn.Module):
    """The network that learns; its speech encoder is the teacher's and does not."""

    def __init__(self, teacher: DiffPoseTalk) -> None:
        super().__init__()
        spec = teacher.spec
        net = replace(spec.denoiser, guidance_input=True)
        self.model = DiffPoseTalk(replace(spec, denoiser=net), dropout=0.0)
        missing = self.model.load_state_dict(teacher.state_dict(), strict=False)
        assert missing.missing_keys == ["denoising_net.guidance_proj.weight"]
        for part in (self.model.audio_encoder, self.model.audio_feature_map):
            part.requires_grad_(False)


def scales_alone(student: Student) -> Student:
    """Let nothing learn but how the guidance scales enter.

    They begin at zero and need far longer steps than the rest; alone they can have them, and at
    scales of 1 the network stays what it is, to the bit.
    """
    student.requires_grad_(False)
    student.model.denoising_net.guidance_proj.requires_grad_(True)
    return student


class DistilLosses:
    """Draws windows, asks the teacher, returns equation 6 of the student's answers."""

    def __init__(
        self,
        student: Student,
        teacher: Training,
        tracks: Tracks,
        geometry: FaceGeometry,
        styles: Tensor,
        weights: Weights | None = None,
        guided: float = GUIDED,
    ) -> None:
        self.student, self.geometry, self.guided = student.model, geometry, guided
        self.teacher = copy.deepcopy(teacher.model).eval().requires_grad_(False)
        self.source = WindowSource(teacher, tracks, styles, Dropout())
        self.schedule = noise_schedule(self.teacher.spec.diffusion)
        self.weights = weights or Weights(shut=SHUT, held=HELD, pressed=PRESSED)
        self.lips = lip_mask(self.teacher.spec.d_motion)

    def __call__(self, rng: np.random.Generator, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch, and its terms."""
        with torch.no_grad():
            windows, _, _ = self.source.draw(rng)
            scales = draw_scales(len(windows.x0), rng) if rng.random() < self.guided else None
            x_t, t, target = self.lesson(windows, scales, rng)
        net, batch = self.student.denoising_net, len(x_t)
        guidance = x_t.new_zeros(batch, 2) if scales is None else scales - 1.0
        terms = net.audio_terms(torch.cat([windows.context_features, windows.features], 1))
        person = self.student.person(x_t.new_zeros(batch, self.student.spec.n_shape), windows.style)
        predicted = net.denoise(
            x_t, t, terms, person, windows.context_motion, windows.valid, guidance
        )
        loss, parts = window_losses(predicted, target, windows, self.geometry, self.weights)
        first = t == sampling_times(self.schedule, 1)[0]
        error = (predicted.float() - target).square()[first]
        lips = error[..., self.lips].mean()
        return loss, {**parts, "lips_at_once": lips, "rest_at_once": error[..., ~self.lips].mean()}

    def lesson(
        self, windows: Windows, scales: Tensor | None, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the student is asked, and the answer: x_t (B, n, D), t (B,), x0 (B, n, D).

        `AT_ONCE` of the rows start from noise, the others lie anywhere on the path.
        """
        x0, first = windows.x0, round(AT_ONCE * len(windows.x0))
        noise = start_noise(x0.shape, rng)
        last = sampling_times(self.schedule, 1)[0]
        later = int(draw_times(1, self.schedule, rng)[0])
        t = torch.full((len(x0),), later)
        t[:first] = last
        x_t = torch.cat([noise[:first], add_noise(x0, noise, t, self.schedule)[first:]])
        target = x0.clone()
        if scales is not None:
            target += self.moved(windows, scales, x_t, later, first)
        own = torch.nonzero(~windows.foreign[:first])[:, 0]  # where the rest of the face learns
        if len(own):
            teach = self.teach(windows, scales, own)
            end = dpm_solver_pp_2m(teach, noise[own], TEACHER_CALLS, self.schedule)
            target[own] = torch.where(self.lips, target[own], end.float())
        return x_t, t, target * windows.valid[..., None]

    def moved(
        self, windows: Windows, scales: Tensor | None, x_t: Tensor, later: int, first: int
    ) -> Tensor:
        """What guidance moves the teacher's estimate by: (B, n, D)."""
        out = []
        last = sampling_times(self.schedule, 1)[0]
        for rows, t in ((slice(0, first), last), (slice(first, None), later)):
            x = x_t[rows]
            out.append(
                self.teach(windows, scales, rows)(x, t) - self.teach(windows, None, rows)(x, t)
            )
        return torch.cat(out).float()

    def teach(self, windows: Windows, scales: Tensor | None, rows: slice | Tensor) -> Denoise:
        """The teacher's D for some rows, guided where there are scales."""
        features = torch.cat([windows.context_features, windows.features], 1)[rows]
        terms: AudioTerms = self.teacher.denoising_net.audio_terms(features)
        wanted = (
            {}
            if scales is None
            else {"audio_scale": scales[rows, 0], "style_scale": scales[rows, 1]}
        )
        return guided_denoiser(
            self.teacher,
            terms,
            features.new_zeros(len(features), self.teacher.spec.n_shape),
            windows.style[rows],
            windows.context_motion[rows],
            indicator=windows.valid[rows].float(),
            **wanted,
        )


def draw_scales(batch: int, rng: np.random.Generator) -> Tensor:
    """(B, 2) audio and style scales."""
    low, high = np.array([AUDIO_SCALES, STYLE_SCALES]).T
    return torch.from_numpy(rng.uniform(low, high, (batch, 2)).astype(np.float32))


def start_noise(shape: tuple[int, ...] | torch.Size, rng: np.random.Generator) -> Tensor:
    """(B, n, D) standard normal; in half of the rows the head's is smooth over `SWAY_FRAMES`."""
    batch, n, d = shape
    noise = rng.standard_normal((batch, n, d)).astype(np.float32)
    kernel = np.hanning(SWAY_FRAMES + 2)[1:-1]
    kernel /= np.linalg.norm(kernel)
    wide = rng.standard_normal((batch, n + SWAY_FRAMES - 1, 3))
    sway = np.lib.stride_tricks.sliding_window_view(wide, SWAY_FRAMES, 1) @ kernel
    sways = rng.random(batch) < 0.5
    noise[sways, :, ROTATION] = sway[sways]
    return torch.from_numpy(noise)
