"""HuBERT as a training begins with it: pretrained weights from a file, some parts frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from diffposetalk.importing.checkpoint import read_checkpoint
from head.errors import PosetalkError
from head.files.regular_file import open_regular

WHERE = (
    "give --hubert the model.safetensors or pytorch_model.bin of facebook/hubert-base-ls960, "
    "downloaded beforehand (or --hubert random, to try the training out)"
)


class PretrainedError(PosetalkError, ValueError):
    """Weights that cannot be used; the message is one line."""


def load_hubert(encoder: nn.Module, source: str) -> None:
    """Put pretrained weights into the encoder; `random` leaves it as it is.

    Both names of its weight-normalised convolution are read; heads of fine-tuned models are left
    out. Nothing is downloaded, and nothing but tensors is read from a file.

    Raises:
        PretrainedError: no file, or not the weights of such a HuBERT.
    """
    if source == "random":
        return
    if not source:
        raise PretrainedError(f"this preset begins with a pretrained HuBERT: {WHERE}")
    path = Path(source)
    if path.is_dir():
        found = [path / name for name in ("model.safetensors", "pytorch_model.bin")]
        path = next((candidate for candidate in found if candidate.is_file()), path)
    if not path.is_file():
        raise PretrainedError(f"{source}: no such file; {WHERE}")
    try:
        open_regular(path).close()
        raw: Any = (
            load_file(path) if path.suffix == ".safetensors" else read_checkpoint(path).content
        )
        weights = {_name(key): value for key, value in raw.items() if isinstance(value, Tensor)}
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PretrainedError(f"{path}: cannot be read as weights ({reason[:120]})") from None
    wanted = encoder.state_dict()
    lacking = sorted(wanted.keys() - weights.keys() - {"masked_spec_embed"})
    if lacking:
        raise PretrainedError(f"{path}: not a HuBERT base ({lacking[0]} is missing)")
    for key, value in wanted.items():
        if key in weights and weights[key].shape != value.shape:
            raise PretrainedError(
                f"{path}: {key} is {tuple(weights[key].shape)}, not {tuple(value.shape)}"
            )
    encoder.load_state_dict({**wanted, **{k: v for k, v in weights.items() if k in wanted}})


def _name(key: str) -> str:
    """The name of a tensor in our encoder."""
    key = key.removeprefix("hubert.")
    stem = "encoder.pos_conv_embed.conv."
    old = {f"{stem}weight_g": "original0", f"{stem}weight_v": "original1"}
    return f"{stem}parametrizations.weight.{old[key]}" if key in old else key


def freeze_hubert(encoder: nn.Module, layers: int) -> None:
    """Keep the convolutions as they are; with `layers`, the projection and the first layers too."""
    parts: list[Any] = [encoder.feature_extractor]
    if layers:
        blocks: Any = encoder.encoder.layers  # type: ignore[union-attr]
        parts += [encoder.feature_projection, *blocks[:layers]]
    for part in parts:
        for parameter in part.parameters():
            parameter.requires_grad_(False)
