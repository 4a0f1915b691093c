"""Train everything that the table compares: `posetalk train ablations --steps 1500`.

One after another, at one budget in steps: speech encoder, style encoder, the full model, its
ablations, a deterministic regression, and two fits without a network.  Every part continues where
it was; `posetalk evaluate --table FOLDER` measures what is there.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from diffposetalk.bundle.saving import save_bundle
from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.spec import Statistics
from head.errors import PosetalkError
from head.files.json_file import write_json
from head.rig import builtin_head
from stream.frames import FPS
from training.evaluation.paper_table.baselines import fit_baselines, save_baselines
from training.loop.losses import FaceGeometry
from training.loop.trainer import RunSettings, averaged, train
from training.paper.ablations import SMALL, VARIANTS, Variant, VariantLosses
from training.speech.track_batches import Tracks
from training.starter.adjacent_windows import Training
from training.starter.mel_pretraining import SpeechPretraining, batch_losses
from training.starter.style_pairs import pair_losses, style_vectors

log = logging.getLogger(__name__)

BUDGET = "budget.json"
BASELINES = "baselines.npz"
BUNDLES = "bundles"
FOREVER = 1e9
"""Minutes: steps are the budget, so that a busy machine changes nothing."""


@dataclass(frozen=True)
class AblationSettings:
    """What is trained, on what, and for how long: every network for the same number of steps."""

    tracks: Path = Path(".training/tracks")
    """Made by `posetalk train tracks`."""
    folder: Path = Path(".training/table")
    """Checkpoints, bundles and baselines; a run that was cut off goes on from them."""
    steps: int = 1500
    """Steps of each denoiser."""
    speech_steps: int = 1200
    """Steps of the speech encoder."""
    style_steps: int = 600
    """Steps of the style encoder."""
    only: tuple[str, ...] = ()
    """Names of networks; all of them if none."""
    threads: int = 1
    """Threads of torch on the CPU."""
    seed: int = 0
    """Seed of weights, batches and noise."""
    bf16: bool = False
    """Compute in bfloat16 where it is safe."""


class AblationError(PosetalkError, ValueError):
    """AblationSettings or tracks that no table can be made of; one line."""


def check(settings: AblationSettings) -> None:
    """Judge the settings before any work is done.

    Raises:
        AblationError: no tracks, an unknown network, no steps, or a folder of another budget.
    """
    if not (settings.tracks / "tracks.json").is_file():
        raise AblationError(f"no tracks in {settings.tracks}: run posetalk train tracks")
    names = [variant.name for variant in VARIANTS]
    for name in settings.only:
        if name not in names:
            raise AblationError(f"no network {name!r} in the table: there are {', '.join(names)}")
    if min(settings.steps, settings.speech_steps, settings.style_steps) < 1:
        raise AblationError("every budget is at least one step")
    known = settings.folder / BUDGET
    if known.is_file() and json.loads(known.read_text("utf-8")) != budget(settings):
        raise AblationError(
            f"{settings.folder} holds networks of another budget: take another folder"
        )


def budget(settings: AblationSettings) -> dict[str, object]:
    """What every network of the table had, for its head."""
    about = json.loads((settings.tracks / "tracks.json").read_text("utf-8"))
    frames = sum(span["end"] - span["start"] for span in about["spans"])
    return {
        "steps": settings.steps,
        "speech_steps": settings.speech_steps,
        "style_steps": settings.style_steps,
        "seed": settings.seed,
        "bf16": settings.bf16,
        "tracks": len(about["spans"]),
        "track_minutes": round(frames / FPS / 60, 1),
        "d_model": SMALL.denoiser.d_model,
        "n_layers": SMALL.denoiser.n_layers,
    }


def train_encoders(
    settings: AblationSettings, tracks: Tracks
) -> tuple[SpeechPretraining, StyleEncoder]:
    """The speech encoder with its heads and the style encoder, which all networks begin with."""
    torch.manual_seed(settings.seed)
    speech = SpeechPretraining(SMALL)
    run = RunSettings(
        settings.folder / "speech",
        steps=settings.speech_steps,
        minutes=FOREVER,
        learning_rate=1e-3,
        bf16=settings.bf16,
        seed=settings.seed,
    )
    train(speech, lambda rng, _: batch_losses(speech, tracks, 32, 100, rng), run)
    torch.manual_seed(settings.seed)
    style = StyleEncoder(SMALL)
    run = RunSettings(
        settings.folder / "style",
        steps=settings.style_steps,
        minutes=FOREVER,
        learning_rate=5e-4,
        seed=settings.seed,
    )
    train(style, lambda rng, _: pair_losses(style, tracks, 32, rng), run)
    return speech, style


def train_variant(
    settings: AblationSettings, variant: Variant, tracks: Tracks, style: StyleEncoder
) -> None:
    """One network of the table, and its bundle."""
    spec = variant.spec()
    torch.manual_seed(settings.seed)
    speech = SpeechPretraining(spec)
    averaged(settings.folder / "speech", speech)
    training = Training(spec, speech)
    vectors = style_vectors(style, tracks, 24, np.random.default_rng(settings.seed))
    geometry = FaceGeometry(builtin_head(), tracks.mean, tracks.std, others=20)
    losses = VariantLosses(variant, training, tracks, geometry, vectors)
    run = RunSettings(
        settings.folder / variant.name,
        steps=settings.steps,
        minutes=FOREVER,
        learning_rate=1e-3,
        warm_up=100,
        ema=0.995,
        bf16=settings.bf16,
        seed=settings.seed,
        slow=("model.audio_encoder", "speech"),
    )
    train(training, losses, run)
    size = spec.style.d_style if spec.use_style else 0
    named = {name: vectors[i].mean(0).numpy()[:size] for i, name in enumerate(tracks.named)}
    shape = np.zeros(spec.n_shape, np.float32)
    save_bundle(
        settings.folder / BUNDLES / variant.name,
        training.model,
        spec,
        Statistics(tracks.mean, tracks.std, shape, np.ones_like(shape)),
        named,
        builtin_head().id,
        f"A network of the results table ({variant.told}), trained for {settings.steps} steps "
        "on label-made motion by `posetalk train ablations`. Not for use.\n",
        {
            "made_by": "posetalk train ablations",
            "variant": asdict(variant),
            "budget": budget(settings),
        },
        style_encoder=style if spec.use_style else None,
    )


def main(settings: AblationSettings) -> None:
    """Train what is missing.

    Raises:
        AblationError: see `check`.
    """
    check(settings)
    torch.set_num_threads(settings.threads)
    settings.folder.mkdir(parents=True, exist_ok=True)
    write_json(settings.folder / BUDGET, budget(settings))
    tracks = Tracks(settings.tracks)
    save_baselines(settings.folder / BASELINES, fit_baselines(tracks))
    _, style = train_encoders(settings, tracks)
    style.eval()
    for variant in VARIANTS:
        if settings.only and variant.name not in settings.only:
            continue
        if (settings.folder / BUNDLES / variant.name / "config.json").is_file():
            log.info("%s is there", variant.name)
            continue
        log.info("training: %s", variant.told)
        train_variant(settings, variant, tracks, style)
