"""What a training shows of itself on people that it does not train on: losses, figures, pictures.

The same crops and the same noise every time, so that figures are comparable along a run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from diffposetalk.network.hubert import normalise_clip
from diffposetalk.network.mel import MelEncoder
from diffposetalk.sampling.guidance import guided_denoiser
from diffposetalk.sampling.samplers import dpm_solver_pp_2m
from head.rig import Head
from head.skinning import motion_to_parameters, skin
from stream.frames import FPS
from training.evaluation.motion_metrics import correlation
from training.faces.crops import Batch
from training.paper.denoiser_loss import TwoWindowLosses
from training.paper.pictures import curves, faces
from training.paper.style_loss import PairLosses

BATCHES, STEPS, STILLS = 4, 10, 5
SEED = 20_24


def style_validation(losses: PairLosses) -> Callable[[SummaryWriter, int], None]:
    """NT-Xent and retrieval on held-out people."""
    batches = [losses.draw(np.random.default_rng([SEED, k])) for k in range(BATCHES)]

    def validate(writer: SummaryWriter, step: int) -> None:
        rng = np.random.default_rng(SEED)
        terms = [losses(rng, step, batch)[1] for batch in batches]
        for name in terms[0]:
            mean = float(torch.stack([term[name] for term in terms]).mean())
            writer.add_scalar(f"validation/{name}", mean, step)

    return validate


def denoiser_validation(
    losses: TwoWindowLosses, head: Head
) -> Callable[[SummaryWriter, int], None]:
    """Losses of held-out people; and one window of each sampled, measured and drawn."""
    batches = [losses.draw(np.random.default_rng([SEED, k])) for k in range(BATCHES)]

    def validate(writer: SummaryWriter, step: int) -> None:
        sums: dict[str, list[float]] = {}
        for k, batch in enumerate(batches):
            torch.manual_seed(SEED + k)
            loss, terms = losses(np.random.default_rng([SEED, k]), step, batch)
            for name, term in {"loss": loss, **terms}.items():
                sums.setdefault(name, []).append(float(term))
        for name, values in sums.items():
            writer.add_scalar(f"validation/{name}", float(np.mean(values)), step)
        picture(losses, head, batches[0], writer, step)

    return validate


def picture(
    losses: TwoWindowLosses, head: Head, batch: Batch, writer: SummaryWriter, step: int
) -> None:
    """Sample the first window of a batch as it would run live; log figures and pictures."""
    W = losses.model.spec.T_w
    crops = losses.crops
    s = crops.statistics
    made, label = (
        x.float().cpu().numpy() * s.motion_std + s.motion_mean
        for x in (sample_window(losses, batch), batch.motion[:, :W])
    )
    ours, true = (1000 * _vertices(head, m) for m in (made, label))
    lips = np.asarray(head.regions["lips"]) if "lips" in head.regions else slice(None)
    error = np.linalg.norm(ours[:, :, lips] - true[:, :, lips], axis=-1).max(-1)
    writer.add_scalar("validation/lve_mm", float(error.mean()), step)
    writer.add_scalar(
        "validation/jaw_r", correlation(made[..., -1].ravel(), label[..., -1].ravel()), step
    )
    # Of whom speaks most: a silent crop tells little.
    one = int(label[..., -1].std(1).argmax())
    rows = {"jaw (rad)": (made[one, :, -1], label[one, :, -1])}
    if "lip_gap_upper" in head.regions:
        upper, lower = head.regions["lip_gap_upper"], head.regions["lip_gap_lower"]
        gaps = [v[one][:, upper, 1].mean(-1) - v[one][:, lower, 1].mean(-1) for v in (ours, true)]
        rows["lips apart (mm)"] = (gaps[0], gaps[1])
    if losses.model.spec.head_rotation:
        for k, name in enumerate(("pitch", "yaw", "roll"), 50):
            rows[f"{name} (rad)"] = (made[one, :, k], label[one, :, k])
    writer.add_image("validation/curves", curves(rows), step, dataformats="HWC")
    at = np.linspace(W // 10, W - 1, STILLS).astype(int)
    stills = {
        name: _vertices(head, motion[one][at], still=False)
        for name, motion in (("model", made), ("label", label))
    }
    titles = [f"{k / FPS:.1f} s" for k in at]
    writer.add_image("validation/faces", faces(head, stills, titles), step, dataformats="HWC")


@torch.no_grad()
def sample_window(losses: TwoWindowLosses, batch: Batch) -> Tensor:
    """The first window of every crop, from its speech and the style of its second: (B, T_w, D)."""
    model, spec = losses.model, losses.model.spec
    batch = batch.to(model.null_audio_feat.device)
    W, T_p, count = spec.T_w, spec.T_p, len(batch.motion)
    samples = batch.samples[:, : W * spec.frame_samples]
    if not isinstance(model.audio_encoder, MelEncoder):
        samples = normalise_clip(samples)
    features = model.speech_features(samples)
    empty = features.new_zeros(count, T_p, features.shape[-1])
    still = features.new_zeros(count, T_p, spec.d_motion)
    context, context_features = model.fill_context(still, empty, T_p)
    style = None
    if losses.style is not None and spec.use_style:
        style = losses.style(batch.motion[:, W:]).float()
    denoise = guided_denoiser(
        model,
        model.denoising_net.audio_terms(torch.cat([context_features, features], 1)),
        batch.shape,
        style,
        context,
        audio_scale=spec.live.audio_guidance,
        style_scale=spec.live.style_guidance,
        indicator=features.new_ones(count, W),
    )
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(count, W, spec.d_motion, generator=generator).to(features.device)
    return dpm_solver_pp_2m(denoise, noise, STEPS, model.schedule)


def _vertices(head: Head, motion: np.ndarray, *, still: bool = True) -> np.ndarray:
    """(..., n, D) raw motion -> (..., n, V, 3) metres, without head rotation if `still`."""
    expression, rotation, jaw = motion_to_parameters(motion.astype(np.float32))
    turned = None if still else rotation
    out: np.ndarray = skin(head, expression, jaw_pose=jaw, global_rotation=turned)
    return out
