"""Train the starter on the tracks of `training.tracks`: `python -m training.starter`.

Speech encoder (phones and lips), style encoder (NT-Xent), denoiser (equation 6), its distillation;
then `training.package` makes the bundle.  Each part resumes where it was.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro

from diffposetalk.spec import (
    DenoiserSpec,
    LiveDefaults,
    ModelSpec,
    SpeechEncoderSpec,
    StyleEncoderSpec,
)
from diffposetalk.style_encoder import StyleEncoder
from head.rig import builtin_head
from training.dataset import Tracks
from training.denoiser import Training, WindowLosses
from training.distil import DistilLosses, Student, scales_alone
from training.loop import RunSettings, averaged, train
from training.losses import FaceGeometry
from training.speech import SpeechPretraining, batch_losses
from training.style import pair_losses, style_vectors

log = logging.getLogger(__name__)

STARTER = ModelSpec(
    T_p=12,
    speech=SpeechEncoderSpec(kind="mel", d_out=256, n_mels=80, d_hidden=128, history_frames=26),
    denoiser=DenoiserSpec(d_model=256, n_heads=4, n_layers=4),
    style=StyleEncoderSpec(d_style=64, n_heads=4, n_layers=2),
    live=LiveDefaults(
        hop=2, lookahead=2, steps=2, window_rule="adjacent", audio_guidance=1.0, style_guidance=1.0,
        # Certain lips; lids that blink and a head that sways: at K = 2 white noise stills both.
        lip_noise=0.3, face_noise=1.3, head_noise=1.2, head_noise_frames=25,
        head_inertia=0.3,
    ),
)


DISTILLED = replace(
    STARTER,
    denoiser=replace(STARTER.denoiser, guidance_input=True),
    live=replace(STARTER.live, steps=1),
)
"""What ships: the starter after `training.distil`."""


@dataclass(frozen=True)
class Settings:
    """Budget of each part in minutes of wall time, and threads of the machine."""

    tracks: Path = Path(".training/tracks")
    folder: Path = Path(".training/starter")
    start: Path | None = None
    """Folder of an earlier run, whose weights are where this one begins."""
    without: tuple[str, ...] = ()
    """Sets of voices to leave out, as named in the tracks; `kathleen` for the reverse test."""
    speech_minutes: float = 22.0
    style_minutes: float = 3.0
    denoiser_minutes: float = 60.0
    distil_minutes: float = 20.0
    scales_minutes: float = 6.0
    """Of the distillation's end, when only the guidance scales' projection learns."""
    threads: int = 1
    seed: int = 0
    bf16: bool = True
    part: str = "all"
    """speech, style, denoiser, distil or all."""


def train_speech(settings: Settings, tracks: Tracks) -> SpeechPretraining:
    """The speech encoder with its heads."""
    torch.manual_seed(settings.seed)
    model = SpeechPretraining(STARTER)
    if settings.start is not None:
        model.load_state_dict(earlier(settings.start).speech.state_dict())
    run = RunSettings(
        settings.folder / "speech", steps=6000, minutes=settings.speech_minutes,
        learning_rate=1e-3, bf16=settings.bf16, seed=settings.seed,
    )
    train(model, lambda rng, _: batch_losses(model, tracks, 32, 100, rng), run)
    return model


def train_style(settings: Settings, tracks: Tracks) -> StyleEncoder:
    """The style encoder."""
    torch.manual_seed(settings.seed)
    encoder = StyleEncoder(STARTER)
    run = RunSettings(
        settings.folder / "style", steps=4000, minutes=settings.style_minutes,
        learning_rate=5e-4, seed=settings.seed,
    )
    train(encoder, lambda rng, _: pair_losses(encoder, tracks, 32, rng), run)
    return encoder


def train_denoiser(
    settings: Settings, tracks: Tracks, speech: SpeechPretraining, style: StyleEncoder
) -> Training:
    """The denoiser, with the speech encoder trained on along it."""
    torch.manual_seed(settings.seed)
    training = Training(STARTER, speech)
    if settings.start is not None:
        weights = earlier(settings.start).state_dict()
        heard = ("model.audio_encoder.", "speech.")  # what the new run's first part has trained
        fresh = {name: w for name, w in weights.items() if not name.startswith(heard)}
        training.load_state_dict(fresh, strict=False)
    vectors = style_vectors(style, tracks, 48, np.random.default_rng(settings.seed))
    geometry = FaceGeometry(builtin_head(), tracks.mean, tracks.std)
    losses = WindowLosses(training, tracks, geometry, vectors)
    run = RunSettings(
        settings.folder / "denoiser", steps=100_000, minutes=settings.denoiser_minutes,
        learning_rate=6e-4, warm_up=300, bf16=settings.bf16, seed=settings.seed,
        slow=("model.audio_encoder", "speech"),
    )
    train(training, losses, run)
    return training


def distil(settings: Settings, tracks: Tracks, teacher: Training, style: StyleEncoder) -> Student:
    """One network call that does what several did."""
    torch.manual_seed(settings.seed)
    student = Student(teacher.model)
    vectors = style_vectors(style, tracks, 48, np.random.default_rng(settings.seed))
    geometry = FaceGeometry(builtin_head(), tracks.mean, tracks.std)
    losses = DistilLosses(student, teacher, tracks, geometry, vectors)
    run = RunSettings(
        settings.folder / "distilled", steps=100_000, minutes=settings.distil_minutes,
        learning_rate=2e-4, warm_up=100, ema=0.998, bf16=settings.bf16, seed=settings.seed,
    )
    train(student, losses, run)
    losses = DistilLosses(
        scales_alone(student), teacher, tracks, geometry, vectors, guided=1.0
    )
    run = RunSettings(
        settings.folder / "scales", steps=100_000, minutes=settings.scales_minutes,
        learning_rate=1e-2, warm_up=20, ema=0.97, bf16=settings.bf16, seed=settings.seed + 1,
    )
    train(student, losses, run)
    return student


def earlier(folder: Path) -> Training:
    """The networks that an earlier run has reached."""
    training = Training(STARTER, SpeechPretraining(STARTER))
    averaged(folder / "denoiser", training)
    return training


def main(settings: Settings) -> None:
    """Train what is asked for; parts before it are read from their folders."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(settings.threads)
    tracks = Tracks(settings.tracks, settings.without)
    os.makedirs(settings.folder, exist_ok=True)
    speech, style = SpeechPretraining(STARTER), StyleEncoder(STARTER)
    if settings.part in ("all", "speech"):
        speech = train_speech(settings, tracks)
    elif settings.part != "style":
        averaged(settings.folder / "speech", speech)
    if settings.part in ("all", "style"):
        style = train_style(settings, tracks)
    elif settings.part != "speech":
        averaged(settings.folder / "style", style)
    if settings.part in ("all", "denoiser"):
        train_denoiser(settings, tracks, speech, style)
    if settings.part in ("all", "distil"):
        distil(settings, tracks, earlier(settings.folder), style)


if __name__ == "__main__":
    main(tyro.cli(Settings))
