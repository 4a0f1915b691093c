"""Train the starter on the tracks of `training.speech.tracks`: `posetalk train starter`.

Speech encoder (phones and lips), style encoder (NT-Xent), denoiser (equation 6), its distillation;
then `posetalk train pack` makes the bundle.  Each part resumes where it was.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.spec import (
    DenoiserSpec,
    LiveDefaults,
    ModelSpec,
    SpeechEncoderSpec,
    StyleEncoderSpec,
)
from head.errors import WrongValue
from head.files.json_file import write_json
from head.new_file import new_file
from head.rig import builtin_head
from training.loop.losses import FaceGeometry
from training.loop.trainer import RunSettings, averaged, train
from training.speech.track_batches import Tracks
from training.starter.adjacent_windows import Training, WindowLosses
from training.starter.distillation import DistilLosses, Student, scales_alone
from training.starter.mel_pretraining import SpeechPretraining, batch_losses
from training.starter.style_pairs import pair_losses, style_vectors
from training.starter.widen import ENCODER, widened

log = logging.getLogger(__name__)

STARTER = ModelSpec(
    T_p=12,
    speech=SpeechEncoderSpec(
        kind="mel", d_out=512, n_mels=80, d_hidden=256, history_frames=26, input_gain=True
    ),
    denoiser=DenoiserSpec(d_model=256, n_heads=4, n_layers=4, past_mouth=False),
    style=StyleEncoderSpec(d_style=64, n_heads=4, n_layers=2),
    live=LiveDefaults(
        hop=1,
        lookahead=2,
        steps=2,
        window_rule="adjacent",
        audio_guidance=1.0,
        style_guidance=1.0,
        # Certain lips; lids that blink and a head that sways: at K = 2 white noise stills both.
        lip_noise=0.3,
        face_noise=1.2,
        head_noise=1.2,
        head_noise_frames=25,
        head_inertia=0.4,
        gaze_time_constant_frames=60,
        max_blink_interval_frames=175,
    ),
)


DISTILLED = replace(
    STARTER,
    denoiser=replace(STARTER.denoiser, guidance_input=True),
    live=replace(STARTER.live, steps=1),
)
"""What ships: the starter after `training.starter.distillation`."""


@dataclass(frozen=True)
class StarterSettings:
    """Steps of each part; the same settings on the same machine give the same weights."""

    tracks: Path = Path(".training/tracks")
    """Folder that `posetalk train tracks` wrote."""
    folder: Path = Path(".training/starter")
    """Folder of checkpoints; every part goes on where it was."""
    start: Annotated[
        str | None, tyro.conf.arg(metavar="BUNDLE", help_behavior_hint="(default: nothing)")
    ] = None
    """A bundle whose weights, style encoder and units are where this run begins."""
    keep_style: bool = True
    """Take the start's style encoder as it is; labels of another kind want it trained on."""
    without: tuple[str, ...] = ()
    """Sets of voices to leave out, as named in the tracks; `kathleen` for the reverse test."""
    speech_steps: int = 6000
    """Steps of the speech encoder."""
    style_steps: int = 700
    """Steps of the style encoder."""
    denoiser_steps: int = 10500
    """Steps of the denoiser."""
    distil_steps: int = 1800
    """Steps of the distillation."""
    scales_steps: int = 150
    """Steps at the distillation's end, in which only the guidance scales' projection learns."""
    rate: float = 1.0
    """Factor of usual learning rates before the distillation: less forgets less of the start."""
    threads: int = 2
    """Threads of torch on the CPU."""
    seed: int = 0
    """Seed of weights, batches and noise."""
    bf16: bool = True
    """Compute in bfloat16 where it is safe."""
    part: str = "all"
    """Part to train now: speech, style, denoiser, distil or all."""

    def run(self, part: str, steps: int, learning_rate: float, **more: Any) -> RunSettings:
        """How a part is trained: to its steps, however long they take."""
        return RunSettings(
            self.folder / part,
            steps=steps,
            minutes=math.inf,
            learning_rate=learning_rate,
            **{"bf16": self.bf16, "seed": self.seed, **more},
        )


def train_speech(settings: StarterSettings, tracks: Tracks) -> SpeechPretraining:
    """The speech encoder with its heads."""
    torch.manual_seed(settings.seed)
    model = SpeechPretraining(STARTER, taught=tracks.teacher is not None)
    if settings.start is not None:
        weights = start_weights(settings.start).items()
        heard = {name.removeprefix(ENCODER): w for name, w in weights if name.startswith(ENCODER)}
        model.encoder.load_state_dict(heard)
    run = settings.run("speech", settings.speech_steps, 1e-3 * settings.rate)
    train(model, lambda rng, _: batch_losses(model, tracks, 32, 100, rng), run)
    return model


def train_style(settings: StarterSettings, tracks: Tracks) -> StyleEncoder:
    """The style encoder; one that is there already stays, as the denoiser knows its language.

    Without `keep_style` it learns on, and the denoiser after it has its new language to learn.
    """
    torch.manual_seed(settings.seed)
    encoder, steps = StyleEncoder(STARTER), settings.style_steps
    if settings.start is not None:
        encoder.load_state_dict(load_bundle(settings.start).style_encoder().state_dict())
        steps = 0 if settings.keep_style else steps
    run = settings.run("style", steps, 5e-4, bf16=False)
    train(encoder, lambda rng, _: pair_losses(encoder, tracks, 32, rng), run)
    return encoder


def train_denoiser(
    settings: StarterSettings, tracks: Tracks, speech: SpeechPretraining, style: StyleEncoder
) -> Training:
    """The denoiser, with the speech encoder trained on along it."""
    torch.manual_seed(settings.seed)
    training = Training(STARTER, speech)
    if settings.start is not None:
        weights = start_weights(settings.start)
        # Not what this run's first part has trained, nor what only a distilled network has.
        other = (ENCODER, "denoising_net.guidance_proj.")
        kept = {name: w for name, w in weights.items() if not name.startswith(other)}
        training.model.load_state_dict(kept, strict=False)
    vectors = style_vectors(style, tracks, 48, np.random.default_rng(settings.seed))
    losses = WindowLosses(training, tracks, geometry(tracks), vectors)
    run = settings.run(
        "denoiser",
        settings.denoiser_steps,
        6e-4 * settings.rate,
        warm_up=300,
        slow=("model.audio_encoder", "speech"),
    )
    train(training, losses, run)
    return training


def distil(
    settings: StarterSettings, tracks: Tracks, teacher: Training, style: StyleEncoder
) -> Student:
    """One network call that does what several did."""
    torch.manual_seed(settings.seed)
    student = Student(teacher.model)
    vectors = style_vectors(style, tracks, 48, np.random.default_rng(settings.seed))
    face = geometry(tracks)
    losses = DistilLosses(student, teacher, tracks, face, vectors)
    run = settings.run("distilled", settings.distil_steps, 2e-4, warm_up=100, ema=0.998)
    train(student, losses, run)
    losses = DistilLosses(scales_alone(student), teacher, tracks, face, vectors, guided=1.0)
    run = settings.run(
        "scales", settings.scales_steps, 1e-2, warm_up=20, ema=0.97, seed=settings.seed + 1
    )
    train(student, losses, run)
    return student


def start_weights(start: str) -> dict[str, Tensor]:
    """The weights of a bundle's model, its speech encoder as wide as the starter's is now."""
    bundle = load_bundle(start)
    return widened(bundle.model().state_dict(), bundle.spec, STARTER)


def geometry(tracks: Tracks) -> FaceGeometry:
    """The face whose vertices are compared: a third of the lips and a few others are enough."""
    return FaceGeometry(builtin_head(), tracks.mean, tracks.std, others=20, lips=120)


def earlier(folder: Path, *, taught: bool = False) -> Training:
    """The networks that a run has reached, on tracks with a teacher's features or without."""
    training = Training(STARTER, SpeechPretraining(STARTER, taught=taught))
    averaged(folder / "denoiser", training)
    return training


def keep_units(tracks: Path, start: str) -> None:
    """Give tracks the normalisation that a bundle's networks were trained in.

    Raises:
        ValueError: the tracks have another already.
    """
    path, units = tracks / "statistics.npz", load_bundle(start).statistics
    if not path.exists():
        with new_file(path) as part, part.open("wb") as file:
            np.savez(file, mean=units.motion_mean, std=units.motion_std)
    with np.load(path, allow_pickle=False) as found:
        pairs = ((found["mean"], units.motion_mean), (found["std"], units.motion_std))
        if not all(np.allclose(a, b, atol=1e-6) for a, b in pairs):
            raise WrongValue(f"{path} is not the normalisation of {start}: remove the file")


def note(settings: StarterSettings) -> None:
    """Leave beside the weights what they come from, for their bundle.

    A part alone changes its own steps; those of the other parts stay as they were told.
    """
    path = settings.folder / "settings.json"
    paths = ("tracks", "folder", "start", "part")
    told = {key: value for key, value in asdict(settings).items() if key not in paths}
    if settings.start is not None:
        told["start_hash"] = load_bundle(settings.start).hash
        if settings.keep_style:
            told["style_steps"] = 0
    if settings.part != "all" and path.exists():
        own = ("distil", "scales") if settings.part == "distil" else (settings.part,)
        mine = {f"{part}_steps": told[f"{part}_steps"] for part in own}
        told = json.loads(path.read_text()) | mine
    write_json(path, told)


def main(settings: StarterSettings) -> None:
    """Train what is asked for; parts before it are read from their folders."""
    # What does not fit is refused before anything is written.
    if settings.start is not None:
        start_weights(settings.start)
    torch.set_num_threads(settings.threads)
    settings.folder.mkdir(parents=True, exist_ok=True)
    if settings.start is not None:
        keep_units(settings.tracks, settings.start)
    tracks = Tracks(settings.tracks, settings.without)
    note(settings)
    taught = tracks.teacher is not None
    speech, style = SpeechPretraining(STARTER, taught=taught), StyleEncoder(STARTER)
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
        distil(settings, tracks, earlier(settings.folder, taught=taught), style)
