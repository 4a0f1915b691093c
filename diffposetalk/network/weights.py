"""A network's tensors in a safetensors file, checked before they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from head.errors import PosetalkError
from head.files.regular_file import open_regular

_LEAST_BYTES = 2
"""Of one number in a file: half precision."""
Network = TypeVar("Network", bound=nn.Module)


class WeightsError(PosetalkError, ValueError):
    """A weights file that does not fit its network; the message is one line."""


def save_weights(network: nn.Module, path: Path, *, half: bool = False) -> None:
    """Write the state dict; `half` stores the parameters as float16 (buffers stay as they are).

    Raises:
        WeightsError: a tensor that is not finite, or too large for float16.
    """
    parameters = {name for name, _ in network.named_parameters()}
    tensors = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().cpu().contiguous()
        if half and name in parameters:
            stored = stored.half()
        _check_finite(name, stored, path)
        tensors[name] = stored.clone()
    save_file(tensors, path)


def load_network(build: Callable[[], Network], path: Path, least: int) -> Network:
    """The network that `build` makes with the file's tensors, in the network's own precision.

    Args:
        build: makes the network; called once the file has shown that it can hold it.
        path: of the file.
        least: numbers that such a network has at least.

    Raises:
        WeightsError: no safetensors file, other tensors or shapes, values that are not finite, or
            sizes that no network can have.
    """
    try:
        with open_regular(path) as file:
            there = file.seek(0, 2) // _LEAST_BYTES
        if least > there:
            raise WeightsError(
                f"{path} holds {there} numbers at most, by the configuration it has {least} or "
                "more: these weights are for a model of another size"
            )
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from None
    try:
        network = build()
    except (ValueError, ZeroDivisionError, RuntimeError) as error:
        what = " ".join(str(error).split())[:120]
        raise WeightsError(f"{path.parent}: no network has these sizes ({what})") from None
    wanted = network.state_dict()
    missing, surplus = sorted(wanted.keys() - tensors), sorted(tensors.keys() - wanted)
    if missing or surplus:
        what = f"lacks {missing[0]}" if missing else f"has an unknown tensor {surplus[0]}"
        raise WeightsError(
            f"{path} {what} ({len(missing)} missing, {len(surplus)} unknown): "
            "these weights are for another model"
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsError(
                f"{path}: {name} is {tuple(tensor.shape)}, the configuration says "
                f"{tuple(wanted[name].shape)}: these weights are for a model of another size"
            )
        _check_finite(name, tensor, path)
    network.load_state_dict(tensors)
    return network.eval()


def _check_finite(name: str, tensor: Tensor, path: Path) -> None:
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise WeightsError(
            f"{path}: {name} holds values that are not finite: the training that made it diverged"
        )
