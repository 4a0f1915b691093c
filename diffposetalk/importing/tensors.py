"""A checkpoint's tensors fitted to our networks: old spellings, tables that follow from the
arguments, and everything that does not fit said in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from diffposetalk.importing.archive import CheckpointError

_OLD_CONV = "encoder.pos_conv_embed.conv."
_RENAMED = {
    f"{_OLD_CONV}weight_g": f"{_OLD_CONV}parametrizations.weight.original0",
    f"{_OLD_CONV}weight_v": f"{_OLD_CONV}parametrizations.weight.original1",
}
"""Weight normalisation as torch spelt it before 2.0, and since."""
Network = TypeVar("Network", bound=nn.Module)
TABLES = ("diffusion_sched.", "denoising_net.TE.", "denoising_net.PE.pe", "alignment_mask")
"""Buffers that follow from the arguments: a file that has them must agree."""
TOLERANCE = 1e-3
"""Relative and, for sinusoids, absolute: single precision rounds the angles of late rows."""


def filled(path: Path, state: Mapping[str, object], build: Callable[[], Network]) -> Network:
    """The network that `build` makes, with the checkpoint's tensors: all of them, float32, finite.

    Nothing of the size that the arguments claim is made before the file has shown that it holds
    as much.

    Args:
        path: the checkpoint, for messages.
        state: its state dict.
        build: of its network's own values only the tables are kept, where the file has none.

    Raises:
        CheckpointError: missing, unknown, renamed or misshapen tensors, values that are not finite,
            or tables that contradict the arguments.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise CheckpointError(f"{path}: {str(name)[:80]!r} is no tensor")
        tensors[_present_name(name)] = value
    try:
        with torch.device("meta"):
            wanted = build().state_dict()
    except ValueError as error:  # sizes that no network can have
        raise CheckpointError(f"{path}: {error}") from None
    tables = {name for name in wanted if _is_table(name)}
    learned = wanted.keys() - tables
    missing = sorted(learned - tensors.keys())
    surplus = sorted(tensors.keys() - wanted.keys())
    if missing or surplus:
        raise CheckpointError(f"{path} {_difference(missing, surplus)}")
    for name in sorted(learned):
        tensor, shape = tensors[name], wanted[name].shape
        if tensor.shape != shape:
            raise CheckpointError(
                f"{path}: {name} is {tuple(tensor.shape)}, by the checkpoint's own arguments it is "
                f"{tuple(shape)}: tensors and arguments do not belong together"
            )
        if not tensor.is_floating_point():
            raise CheckpointError(f"{path}: {name} holds {tensor.dtype}, not real numbers")
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{path}: {name} holds values that are not finite: the training that made it "
                "diverged, or the file is damaged"
            )
    network = build()
    ours = network.state_dict()
    for name in sorted(tables & tensors.keys()):
        _check_table(path, name, tensors[name], ours[name])
    # The file's own tables, to the last bit, where it has them.
    values = {
        name: tensors.get(name, value).to(value.dtype).contiguous() for name, value in ours.items()
    }
    network.load_state_dict(values, assign=True)
    return network.eval()


def _is_table(name: str) -> bool:
    return any(part in name for part in TABLES)


def _present_name(name: str) -> str:
    for old, new in _RENAMED.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _check_table(path: Path, name: str, found: Tensor, ours: Tensor) -> None:
    """The file's own table must be the one that its arguments mean."""
    least = TOLERANCE if name.endswith(".pe") else 1e-7
    same = found.shape == ours.shape and torch.allclose(
        found.double(), ours.double(), rtol=TOLERANCE, atol=least
    )
    if not same:
        raise CheckpointError(
            f"{path}: {name} is not what the checkpoint's own arguments say: it was made by other "
            "code than the released one"
        )


def _difference(missing: Iterable[str], surplus: Iterable[str]) -> str:
    """What is missing and unknown, in part of a line."""
    missing, surplus = list(missing), list(surplus)
    parts = []
    if missing:
        parts.append(f"lacks {missing[0]}" + _more(missing))
    if surplus:
        parts.append(f"has an unknown {surplus[0][:80]}" + _more(surplus))
    hint = "its tensors are those of another network"
    if any(name.startswith("module.") for name in surplus):
        hint = "it was saved from a DataParallel wrapper; save `model.module` instead"
    return f"{' and '.join(parts)}: {hint}"


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
