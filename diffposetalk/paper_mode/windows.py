"""One window after another in paper mode: what a clip's next window continues, and its sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffposetalk.bundle.styles import resolve
from diffposetalk.network.hubert import UNIT, clip_features, normalise_clip
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.paper_mode.inputs import DEFAULT_STEPS, Loaded, PaperClip, PaperSettings, Progress
from diffposetalk.sampling.guidance import guided_denoiser
from diffposetalk.sampling.samplers import Denoise, ancestral, dpm_solver_pp_2m
from diffposetalk.spec import FloatArray, ModelSpec
from head.errors import WrongValue


class ClipState:
    """A clip on its way: what is known of it, and the context that its next window continues."""

    def __init__(
        self,
        features: Tensor,
        frames: int,
        shape: Tensor,
        style: Tensor | None,
        start: Tensor,
        initial: FloatArray,
        step_noise: Callable[[int, int], FloatArray],
    ) -> None:
        self.features = features  # (windows * T_w, d)
        self.frames = frames
        self.shape, self.style = shape, style
        self.context = start  # (T_p, D)
        self.initial = initial
        self.step_noise = step_noise
        self.windows = 0

    @staticmethod
    def of(loaded: Loaded, clip: PaperClip, settings: PaperSettings) -> ClipState:
        model, spec = loaded.model, loaded.model.spec
        device = model.start_motion_feat.device
        samples = np.asarray(clip.samples, np.float32)
        frames, count = clip_windows(samples, spec)
        statistics = loaded.bundle.statistics
        shape = np.zeros(spec.n_shape, np.float32)
        if clip.shape is not None:
            raw = _sized("shape", clip.shape, (spec.n_shape,))
            shape = (raw - statistics.shape_mean) / statistics.shape_std
        style = None
        if spec.use_style:
            asked = clip.style
            if asked is None:
                asked = next(iter(loaded.bundle.styles))
            if isinstance(asked, str):
                asked = resolve(asked, loaded.bundle.styles)
            style = torch.from_numpy(_sized("style", asked, (spec.style.d_style,))).to(device)
        start = model.start_motion_feat[0]
        size = (spec.T_w, spec.d_motion)
        initial = clip.initial_noise
        if initial is None:
            initial = _generator(clip.seed, 0).standard_normal(size, np.float32)
        given = clip.step_noise
        if given is not None:
            if settings.sampler != "ancestral":
                raise WrongValue(f"{settings.sampler} adds no noise: leave the step noise out")
            _sized("step noise", given, (count, spec.diffusion.steps, *size))
        fresh = _generator(clip.seed, 1)

        def step_noise(window: int, call: int) -> FloatArray:
            if given is not None:
                return np.asarray(given[window, call], np.float32)
            return fresh.standard_normal(size, np.float32)

        row = ClipState(
            whole_clip_features(model, torch.from_numpy(samples).to(device)),
            frames,
            torch.from_numpy(shape).to(device),
            style,
            start,
            _sized("initial noise", initial, size),
            step_noise,
        )
        row.windows = count
        return row


def clip_windows(samples: FloatArray, spec: ModelSpec) -> tuple[int, int]:
    """Frames of a clip, and windows that it takes.

    Raises:
        ValueError: not mono, not finite, or less than a frame.
    """
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise WrongValue(f"sound is (n,) finite mono samples, got {samples.shape}")
    frames = len(samples) // spec.frame_samples
    if not frames:
        raise WrongValue(
            f"only {len(samples)} samples of sound: one frame takes {spec.frame_samples}"
        )
    return frames, max(1, math.ceil(frames / spec.T_w))


def whole_clip_features(model: DiffPoseTalk, samples: Tensor) -> Tensor:
    """Speech features (windows * T_w, d) of a clip (n,) and of the padding after it."""
    spec = model.spec
    count = math.ceil((samples.shape[0] // spec.frame_samples) / spec.T_w)
    whole = count * spec.T_w * spec.frame_samples
    normalises = spec.speech.kind == "hubert"
    pcm = normalise_clip(samples[None]) if normalises else samples[None]
    surplus = pcm.shape[1] - whole
    if surplus >= UNIT or (surplus > 0 and not normalises):
        pcm = pcm[:, :whole]
    elif surplus < 0:
        mode = "replicate" if spec.pad_mode == "replicate" else "constant"
        pcm = F.pad(pcm[:, None], (0, -surplus), mode=mode)[:, 0]
    if normalises:
        return model.audio_feature_map(clip_features(model.audio_encoder, pcm))[0]
    return model.speech_features(pcm)[0]


def sample_window(
    loaded: Loaded, rows: Sequence[ClipState], k: int, settings: PaperSettings, progress: Progress
) -> Tensor:
    """The k-th window of every row, (B, T_w, D) normalised; the rows move on."""
    model, spec = loaded.model, loaded.model.spec
    live, T_w, T_p = spec.live, spec.T_w, spec.T_p
    first = k * T_w
    features = torch.stack([row.features[first : first + T_w] for row in rows])
    if k:
        before = torch.stack([row.features[first - T_p : first] for row in rows])
    else:
        before = model.start_audio_feat.expand(len(rows), -1, -1)
    at = torch.arange(first, first + T_w, device=features.device)
    ends = torch.tensor([row.frames for row in rows], device=features.device)
    indicator = (at < ends[:, None]).float()
    styles = [row.style for row in rows if row.style is not None]
    audio, style = settings.audio_guidance, settings.style_guidance
    denoise = guided_denoiser(
        model,
        model.denoising_net.audio_terms(torch.cat([before, features], dim=1)),
        torch.stack([row.shape for row in rows]),
        torch.stack(styles) if styles else None,
        torch.stack([row.context for row in rows]),
        audio_scale=live.audio_guidance if audio is None else audio,
        style_scale=live.style_guidance if style is None else style,
        indicator=indicator,
        threshold_quantile=settings.threshold,
    )
    noise = torch.from_numpy(np.stack([row.initial for row in rows])).to(features.device)
    if settings.sampler == "ancestral":
        total = spec.diffusion.steps
        x0 = ancestral(
            _counted(denoise, total, progress),
            noise,
            _StepNoise(rows, k, total, noise.device),
            model.schedule,
        )
    else:
        total = settings.steps or DEFAULT_STEPS
        x0 = dpm_solver_pp_2m(_counted(denoise, total, progress), noise, total, model.schedule)
    for row, motion in zip(rows, x0, strict=True):
        row.context = motion[-T_p:]
    return x0


class _StepNoise(Sequence[Tensor]):
    """`ancestral`'s noise, [t - 2] for the step from t, drawn when it is asked for."""

    def __init__(
        self, rows: Sequence[ClipState], window: int, steps: int, device: torch.device
    ) -> None:
        self._rows, self._window, self._steps, self._device = rows, window, steps, device

    def __len__(self) -> int:
        return self._steps - 1

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        call = self._steps - (index + 2)
        noise = np.stack([row.step_noise(self._window, call) for row in self._rows])
        return torch.from_numpy(noise).to(self._device)


def _counted(denoise: Denoise, total: int, progress: Progress) -> Denoise:
    done = 0

    def counted(x_t: Tensor, t: int) -> Tensor:
        nonlocal done
        x0 = denoise(x_t, t)
        done += 1
        progress(done / total)
        return x0

    return counted


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([abs(seed), stream])))


def _sized(what: str, value: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(value, np.float32)
    if array.shape != shape:
        raise WrongValue(f"the {what} is {array.shape}, it must be {shape}")
    return array
