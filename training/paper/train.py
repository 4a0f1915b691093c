"""Train both networks on a dataset: `posetalk train faces --preset P --data SET --out DIR`.

First the style encoder, then the denoiser, then a bundle in DIR/bundle.  Run it again to go on
where it was: after Ctrl-C, a kill or a crash.  Several GPUs:

    torchrun --nproc-per-node gpu -m posetalk train faces --preset paper --data SET --out DIR
"""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.network.style_encoder import StyleEncoder
from head.errors import WrongValue
from head.files.json_file import write_json
from head.rig import load_head
from training.faces.clip_arrays import SetError
from training.faces.crops import CropSource
from training.faces.lmdb_dataset import LmdbSet
from training.loop.device import Engine, choose
from training.loop.losses import FaceGeometry, Weights
from training.loop.pretrained import freeze_hubert, load_hubert
from training.loop.trainer import RunSettings, averaged, train
from training.paper import validation
from training.paper.denoiser_loss import TwoWindowLosses
from training.paper.presets import PRESETS, Part, Preset, PresetName, Run
from training.paper.style_loss import PairLosses
from training.paper.write_bundle import write_bundle

log = logging.getLogger(__name__)
SETTINGS = "settings.json"
NO_LIMIT = 1e9


def _left_out(metavar: str, otherwise: str = "torch's choice") -> Any:
    """How an option that may be left out is shown: not by the language's `None`."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {otherwise})")


def _or_presets(metavar: str) -> Any:
    return _left_out(metavar, "the preset's")


@dataclass(frozen=True)
class TrainSettings:
    """What to train, on what, and how."""

    data: Path
    """Dataset, as `posetalk dataset build` makes."""
    out: Path
    """Folder of the training: checkpoints, logs for TensorBoard, the bundle."""
    preset: PresetName = "paper"
    """`paper`: as the paper says; `code`: as the released code has it; `starter`: the starter's
    sizes, windows as in a live stream; `tiny`: minutes on two cores, to try it out."""
    part: Literal["all", "style", "denoiser", "bundle"] = "all"
    """What to do now; what comes before is read from --out."""
    head: Annotated[str, tyro.conf.arg(metavar="ID|FILE")] = ""
    """Head that the motion belongs to, if the dataset does not say; else `flame`, as released."""
    hubert: Annotated[str, tyro.conf.arg(metavar="FILE|random")] = ""
    """Pretrained HuBERT, for `paper` and `code`."""
    without: tuple[Part, ...] = ()
    """Ablations: geometric losses, alignment mask, style encoder, dropped conditions; or a model
    without head rotation."""
    style_steps: Annotated[int | None, _or_presets("INT")] = None
    """Steps of the style encoder instead of the preset's."""
    steps: Annotated[int | None, _or_presets("INT")] = None
    """Steps of the denoiser instead of the preset's."""
    batch: Annotated[int | None, _or_presets("INT")] = None
    """Samples per batch of the denoiser instead of the preset's."""
    accumulate: int = 1
    """Batches per step, one after another: for batches that do not fit."""
    rate: Annotated[float | None, _or_presets("FLOAT")] = None
    """Learning rate of the denoiser instead of the preset's."""
    ema: Annotated[float | None, _or_presets("FLOAT")] = None
    """Averaging of the denoiser's weights instead of the preset's; 0 is none."""
    bf16: bool = False
    """Compute in bfloat16 where it is safe."""
    minutes: float = NO_LIMIT
    """Wall time of each part, at most."""
    save_minutes: float = 10.0
    """Time between checkpoints."""
    validate_every: int = 2000
    """Steps between validations; 0 for none."""
    device: Annotated[str | None, _left_out("NAME", "the GPU, else cpu")] = None
    """cpu, cuda, cuda:1, ...; the GPU if there is one."""
    threads: Annotated[int | None, _left_out("INT")] = None
    """Threads of torch on the CPU."""
    seed: int = 0
    """Seed of weights, batches and noise."""

    def chosen(self) -> Preset:
        """The preset with these changes."""
        preset = PRESETS[self.preset].without(self.without)
        run = preset.denoiser.run
        run = replace(
            run,
            steps=run.steps if self.steps is None else self.steps,
            batch=run.batch if self.batch is None else self.batch,
            rate=run.rate if self.rate is None else self.rate,
            ema=run.ema if self.ema is None else self.ema,
        )
        style = preset.style
        if self.style_steps is not None:
            style = replace(style, run=replace(style.run, steps=self.style_steps))
        return replace(preset, style=style, denoiser=replace(preset.denoiser, run=run))


class Trainer:
    """One training: its settings, data and processes.

    Raises:
        SetError: the dataset, or what it says about its head.
        ValueError: --out holds a training with other settings.
    """

    def __init__(self, settings: TrainSettings, engine: Engine, data: LmdbSet) -> None:
        self.settings, self.engine, self.data = settings, engine, data
        self.preset = settings.chosen()
        spec = self.preset.spec
        self.crops = CropSource(self.data, "train", head_rotation=spec.head_rotation)
        self.held_out = None
        if self.data.videos("val"):
            self.held_out = CropSource(self.data, "val", head_rotation=spec.head_rotation)
        head_id = settings.head or self.data.about.get("head") or "flame"
        try:
            self.head = load_head(head_id)
        except (ValueError, OSError) as error:
            raise SetError(
                f"{settings.data}: its motion moves the head {head_id!r}: {error}"
            ) from None
        self._same_as_before()

    def style_encoder(self) -> StyleEncoder:
        """Train the style encoder, or go on."""
        settings, training = self.settings, self.preset.style
        torch.manual_seed(settings.seed)
        encoder = StyleEncoder(self.preset.spec).to(self.engine.device)
        losses = PairLosses(encoder, self.crops, training)
        validate = None
        if self.held_out is not None and settings.validate_every:
            validate = validation.style_validation(PairLosses(encoder, self.held_out, training))
        run = self._run("style", training.run)
        train(encoder, losses, run, draw=losses.draw, validate=validate, engine=self.engine)
        return encoder

    def denoiser(self, style: StyleEncoder | None) -> DiffPoseTalk:
        """Train the denoiser, or go on."""
        settings, training = self.settings, self.preset.denoiser
        device = self.engine.device
        torch.manual_seed(settings.seed)
        model = DiffPoseTalk(self.preset.spec, training.dropout)
        if self.preset.spec.speech.kind == "hubert":
            if not (settings.out / "denoiser" / "checkpoint.pt").exists():
                load_hubert(model.audio_encoder, settings.hubert)
            freeze_hubert(model.audio_encoder, training.frozen_layers)
        model.to(device)
        if style is not None:
            style = style.to(device).eval().requires_grad_(False)
        s = self.crops.statistics
        geometry = FaceGeometry(
            self.head, s.motion_mean, s.motion_std, training.vertices, jaw_yz=self.crops.jaw_yz
        )
        geometry.to(device)
        losses = TwoWindowLosses(model, style, geometry, self.crops, training)
        validate = None
        if self.held_out is not None and settings.validate_every:
            held_out = TwoWindowLosses(model, style, geometry, self.held_out, training)
            validate = validation.denoiser_validation(held_out, self.head)
        run = self._run("denoiser", training.run)
        train(model, losses, run, draw=losses.draw, validate=validate, engine=self.engine)
        return model

    def bundle(self) -> Path:
        """Write DIR/bundle from what both networks have reached."""
        spec, out = self.preset.spec, self.settings.out
        style = StyleEncoder(spec) if spec.use_style else None
        if style is not None:
            averaged(out / "style", style)
        model = DiffPoseTalk(spec)
        averaged(out / "denoiser", model)
        steps = {
            part: int(torch.load(out / part / "checkpoint.pt", weights_only=True)["step"])
            for part in (["style"] if spec.use_style else []) + ["denoiser"]
        }
        made = write_bundle(
            out / "bundle",
            model,
            style,
            self.crops,
            preset=self.settings.preset,
            head_id=self.head.id,
            provenance={"made_by": "posetalk train faces", "steps": steps, **self._record()},
        )
        return made.folder

    def trained_style(self) -> StyleEncoder:
        """The style encoder that a part before has trained."""
        encoder = StyleEncoder(self.preset.spec)
        averaged(self.settings.out / "style", encoder)
        return encoder

    def _run(self, part: str, run: Run) -> RunSettings:
        s = self.settings
        return RunSettings(
            s.out / part,
            steps=run.steps,
            minutes=s.minutes,
            learning_rate=run.rate,
            warm_up=run.warm_up,
            decay=run.decay,
            weight_decay=run.weight_decay,
            ema=run.ema,
            clip=run.clip,
            accumulate=s.accumulate if part == "denoiser" else 1,
            seed=s.seed,
            save_minutes=s.save_minutes,
            validate_every=s.validate_every,
            bf16=s.bf16,
        )

    def _record(self) -> dict[str, object]:
        """What must stay the same when a training goes on: all but how long it takes."""
        s = self.settings
        style, denoiser = (
            dataclasses.asdict(part) for part in (self.preset.style, self.preset.denoiser)
        )
        for part in (style, denoiser):
            del part["run"]["steps"]
        return {
            "preset": s.preset,
            "without": sorted(s.without),
            "seed": s.seed,
            "accumulate": s.accumulate,
            "data": s.data.resolve().name,
            "style": style,
            "denoiser": denoiser,
        }

    def _same_as_before(self) -> None:
        path = self.settings.out / SETTINGS
        record = json.loads(json.dumps(self._record()))
        if path.exists():
            before = as_today(json.loads(path.read_text("utf-8")))
            other = [key for key in record if before.get(key) != record[key]]
            if other:
                raise WrongValue(
                    f"{self.settings.out} holds a training with other settings "
                    f"({', '.join(other)}): choose another --out, or the same settings to go on"
                )
        elif self.engine.rank == 0:
            self.settings.out.mkdir(parents=True, exist_ok=True)
            write_json(path, record)


def as_today(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a training, of an earlier version perhaps: later losses weigh nothing."""
    match record:
        case {"denoiser": {"weights": dict() as weights}}:
            none = dict.fromkeys((each.name for each in dataclasses.fields(Weights)), 0.0)
            return {**record, "denoiser": {**record["denoiser"], "weights": none | weights}}
    return record


def main(settings: TrainSettings) -> None:
    """Do what is asked for.

    Raises:
        ValueError, OSError: one line on what is wrong.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    engine = choose(settings.device)
    with LmdbSet(settings.data) as data:
        _work(Trainer(settings, engine, data))


def _work(trainer: Trainer) -> None:
    part, style = trainer.settings.part, None
    styled = trainer.preset.spec.use_style
    if styled and part in ("all", "style"):
        style = trainer.style_encoder()
    if part in ("all", "denoiser"):
        if styled and style is None:
            style = trainer.trained_style()
        trainer.denoiser(style)
    if part in ("all", "bundle") and trainer.engine.rank == 0:
        folder = trainer.bundle()
        log.info("try it: posetalk animate demo --bundle %s", folder)
