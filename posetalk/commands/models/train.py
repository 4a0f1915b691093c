"""`posetalk train`: everything that is trained, from speech to a bundle.

The options of a part are a dataclass beside the code that does it.  Its module is imported when it
is asked for, as most of them load torch.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from posetalk.commands.options import Debug

PartName = Literal[
    "labels",
    "transcripts",
    "voices",
    "tracks",
    "starter",
    "pack",
    "average",
    "faces",
    "recordings",
    "ablations",
]


class TrainPart(NamedTuple):
    """Where a part of the training is: its module, whose `main` takes its `settings`, a class."""

    module: str
    settings: str
    told: str


PARTS: dict[PartName, TrainPart] = {
    "labels": TrainPart(
        "training.faces.mouths.fit",
        "LabelSettings",
        "Fit the mouth of the motion labels to real ones, and write its numbers.",
    ),
    "transcripts": TrainPart(
        "training.corpora.transcripts",
        "TranscriptSettings",
        "Hear again what is said in recordings of doubtful texts (Whisper), and when.",
    ),
    "voices": TrainPart(
        "training.corpora.neural_voices",
        "VoiceSettings",
        "Make speech of synthetic voices that sound like people (Kokoro).",
    ),
    "tracks": TrainPart(
        "training.speech.tracks",
        "TrackSettings",
        "Make training data of speech: utterances, joined, labelled, heard in rooms and noise.",
    ),
    "starter": TrainPart(
        "training.starter.train",
        "StarterSettings",
        "Train the starter on tracks: speech encoder, style encoder, denoiser, its distillation. "
        "Every part goes on where it was.",
    ),
    "pack": TrainPart(
        "training.starter.write_bundle",
        "BundleSettings",
        "Put what the starter's training has reached into a bundle, with graphs for live.",
    ),
    "average": TrainPart(
        "training.starter.average",
        "AverageSettings",
        "Make the bundle halfway between two whose weights came from one another.",
    ),
    "faces": TrainPart(
        "training.paper.train",
        "TrainSettings",
        "Train style encoder and denoiser on a dataset of faces, and write a bundle, OUT/bundle. "
        "Run it again to go on where it was: after Ctrl-C, a kill or a crash. Several GPUs: "
        "torchrun --nproc-per-node gpu -m posetalk train faces ...",
    ),
    "recordings": TrainPart(
        "training.faces.corpus_recordings",
        "RecordingSettings",
        "Make recordings for `posetalk dataset build` of phone-timed speech, with labelled motion.",
    ),
    "ablations": TrainPart(
        "training.paper.ablation_runs",
        "AblationSettings",
        "Train everything that the table of `posetalk evaluate --table` compares, at one budget.",
    ),
}


@dataclass(frozen=True)
class Train:
    """Train networks, and make what they are trained on.

    `labels` fits what motion labels do to real mouths. `transcripts` and `voices` make more and
    better speech, where the extra `corpora` is installed. `tracks` of speech train the `starter`,
    which `pack` puts into a bundle; `average` is halfway
    between two. `faces` trains on a dataset of recorded faces, `recordings` makes one of speech.
    `ablations` trains what `posetalk evaluate` compares. `posetalk train PART --help` lists what a
    part can be told.
    """

    part: Annotated[PartName, tyro.conf.Positional]
    """What to do."""
    settings: Annotated[Any, tyro.conf.Suppress] = None
    debug: Debug = False

    def run(self) -> int:
        module = importlib.import_module(PARTS[self.part].module)
        settings = self.settings
        if settings is None:
            settings = read_settings(self.part, ())
        if not self.debug:
            log_progress()
        work: Callable[[Any], None] = module.main
        work(settings)
        return 0


def read_settings(part: PartName, arguments: Sequence[str]) -> Any:
    """The settings of a part from its options; wrong usage ends with exit code 2."""
    where = PARTS[part]
    return tyro.cli(
        getattr(importlib.import_module(where.module), where.settings),
        prog=f"posetalk train {part}",
        description=where.told,
        args=list(arguments),
        config=(tyro.conf.FlagCreatePairsOff,),
        console_outputs=True,
    )


def parse(arguments: Sequence[str]) -> Train | None:
    """The command of `posetalk train ARGUMENTS` if they begin with a part's name, else None."""
    if not arguments or arguments[0] not in PARTS:
        return None
    part: PartName = arguments[0]  # type: ignore[assignment]
    rest = [argument for argument in arguments[1:] if argument != "--debug"]
    return Train(part, read_settings(part, rest), debug="--debug" in arguments)


def log_progress() -> None:
    """Print what a training logs, each line with its time."""
    logger, handler = logging.getLogger("training"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.setLevel(logging.INFO)
    logger.handlers[:] = [handler]
    logger.propagate = False
