"""A released DiffPoseTalk checkpoint to a bundle (`posetalk import`)."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from diffposetalk.bundle.bundle import Bundle
from diffposetalk.bundle.reading import sha256_of
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.bundle.styles import StyleError, check_name, read_style
from diffposetalk.importing.archive import CheckpointError
from diffposetalk.importing.arguments import Arguments, model_spec, style_spec
from diffposetalk.importing.checkpoint import Checkpoint, read_checkpoint
from diffposetalk.importing.statistics import missing_statistics, read_statistics
from diffposetalk.importing.tensors import filled
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.spec import FloatArray, ModelSpec, SpeechEncoderSpec, StyleEncoderSpec
from head.errors import FileError

DEFAULT_HEAD = "flame"
NO_STYLE = "none"
"""Name of the style that every imported bundle has: the learned null style."""
SPARE_BYTES = 16 << 20


@dataclass(frozen=True)
class Files:
    """What a bundle is made of.

    Attributes:
        denoiser: the checkpoint.
        stats: `stats_train.npz` of its training data.
        style_encoder: the checkpoint of the encoder that it was trained with.
        styles: a folder of style vectors (.npy), each named by its file.
        given: arguments that the denoiser's file does not say.
        head: id of the head that its motion belongs to.
        speech: its HuBERT, if that is not the base model.
    """

    denoiser: Path
    stats: Path | None = None
    style_encoder: Path | None = None
    styles: Path | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    head: str = DEFAULT_HEAD
    speech: SpeechEncoderSpec | None = None


def import_released(files: Files, folder: str | Path) -> Bundle:
    """Write a bundle: all of it, or nothing.

    Raises:
        CheckpointError: a file that is not what it should be; one line.
        BundleError: the folder holds something else.
        OSError: a file that cannot be opened, or a full disk.
    """
    folder = Path(folder)
    checkpoint = read_checkpoint(files.denoiser)
    state = _part(checkpoint, "model", "encoder", "a style encoder", "--style-encoder")
    arguments = Arguments(checkpoint.content.get("args"), str(files.denoiser), files.given)
    spec = model_spec(arguments, files.speech)
    encoder_file = None
    if files.style_encoder is not None:
        style, encoder_file = _open_style_encoder(files.style_encoder, arguments, spec)
        spec = dataclasses.replace(spec, style=style)
    if files.stats is None:
        raise missing_statistics(arguments)
    statistics, jaw = read_statistics(files.stats, spec)
    named = _read_styles(files.styles, spec)
    _check_room(folder, files)

    model = filled(files.denoiser, state, lambda: DiffPoseTalk(spec))
    encoder = None
    if encoder_file is not None:
        state = encoder_file.content["encoder"]
        encoder = filled(encoder_file.path, state, lambda: StyleEncoder(spec))
    null = np.zeros(0, np.float32)
    if spec.use_style:
        null = model.null_style_feat.detach().numpy().reshape(-1)
    provenance = {
        "made_by": "posetalk import",
        "denoiser": _origin(files.denoiser, checkpoint),
        "statistics": {"file": files.stats.name, "sha256": sha256_of(files.stats)},
        "arguments": arguments.described(),
        "jaw_yz": [float(value) for value in jaw],
    }
    if encoder_file is not None:
        provenance["style_encoder"] = _origin(encoder_file.path, encoder_file)
    try:
        return save_bundle(
            folder,
            model,
            spec,
            statistics,
            named | {NO_STYLE: null},
            files.head,
            _card(files),
            provenance,
            style_encoder=encoder,
        )
    except SafetensorError as error:  # which hides the system's own error
        raise FileError(f"{folder}: cannot be written ({' '.join(str(error).split())})") from None


def _part(
    checkpoint: Checkpoint, wanted: str, other: str, what: str, option: str
) -> Mapping[str, Any]:
    """The state dict under `wanted`."""
    state = checkpoint.content.get(wanted)
    if isinstance(state, dict) and state:
        return state
    if other in checkpoint.content:
        raise CheckpointError(f"{checkpoint.path} is {what}'s checkpoint: give it as {option}")
    raise CheckpointError(
        f"{checkpoint.path} holds no `{wanted}`: it is no checkpoint of DiffPoseTalk"
    )


def _open_style_encoder(
    path: Path, denoiser: Arguments, spec: ModelSpec
) -> tuple[StyleEncoderSpec, Checkpoint]:
    """The style encoder's sizes and checkpoint, if the denoiser was trained with it."""
    checkpoint = read_checkpoint(path)
    _part(checkpoint, "encoder", "model", "a denoiser", "the first file")
    if not spec.use_style:
        raise CheckpointError(f"{denoiser.source} takes no style: leave --style-encoder out")
    arguments = Arguments(checkpoint.content.get("args"), str(path), {})
    style = style_spec(arguments)
    if style.d_style != spec.style.d_style:
        raise CheckpointError(
            f"{path} makes styles of {style.d_style} numbers, {denoiser.source} takes "
            f"{spec.style.d_style}: give the style encoder that it was trained with"
        )
    if arguments.flag("no_head_pose") == spec.head_rotation:
        only = "without" if spec.head_rotation else "with"
        raise CheckpointError(
            f"{path} was trained {only} head motion, {denoiser.source} was not: give the style "
            "encoder that it was trained with"
        )
    wanted, at = denoiser.path("style_enc_ckpt"), checkpoint.content.get("iter")
    if wanted is not None and type(at) is int:
        digits = wanted.stem.rpartition("_")[2]
        if digits.isdecimal() and int(digits) != at:
            raise CheckpointError(
                f"{path} is iteration {at}, {denoiser.source} was trained with {wanted}: give that"
            )
    return style, checkpoint


def _read_styles(folder: Path | None, spec: ModelSpec) -> dict[str, FloatArray]:
    """Every .npy in the folder, by its name."""
    if folder is None:
        return {}
    if not spec.use_style:
        raise CheckpointError(f"{folder}: the model takes no style: leave --styles out")
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder: --styles names one with .npy files")
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        raise CheckpointError(f"{folder} holds no .npy file: it should hold style vectors")
    styles = {}
    for path in paths:
        try:
            vector = read_style(path)
            name = check_name(path.stem)
        except (StyleError, MemoryError) as error:
            raise CheckpointError(str(error) or f"{path} is no style vector") from None
        if vector.shape != (spec.style.d_style,):
            raise CheckpointError(
                f"{path} has {vector.size} numbers, the model's styles {spec.style.d_style}"
            )
        styles[name] = vector
    return styles


def _check_room(folder: Path, files: Files) -> None:
    """Better now than after a minute's work."""
    needed = sum(p.stat().st_size for p in (files.denoiser, files.style_encoder) if p)
    parent = next(p for p in folder.absolute().parents if p.is_dir())
    free = shutil.disk_usage(parent).free
    if free < needed + SPARE_BYTES:
        raise FileError(
            f"{folder} takes {needed / 1e6:.0f} MB, and {parent} has {free / 1e6:.0f} MB left: "
            "make room or choose another folder"
        )


def _origin(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    at = checkpoint.content.get("iter")
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "iterations": at if type(at) is int else None,
    }


def _card(files: Files) -> str:
    return f"""# Imported DiffPoseTalk weights

Made by `posetalk import` from `{files.denoiser.name}`. The weights belong to those who trained
them, and their terms are the terms of the files that this bundle was made from; the DiffPoseTalk
repository states no licence. Do not pass this bundle on unless you may.

Its motion belongs to the head `{files.head}`, which is not part of this bundle.
"""
