"""Where a run computes: one process, or several on GPUs of their own, joined by accelerate.

    torchrun --nproc-per-node gpu -m posetalk train faces ...      # or accelerate launch
    --multi_gpu

Every process draws batches of its own and the gradients are averaged, so a run on W processes is
the run on one that accumulates W batches a step.  `accelerate` is imported here alone.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from head.errors import NotInstalled


class Engine(Protocol):
    """The processes of a run."""

    device: torch.device
    rank: int
    world: int

    def same_start(self, model: nn.Module) -> None:
        """Give every process the first one's weights."""
        ...

    def combine(self, parameters: Sequence[nn.Parameter], stop: bool) -> bool:
        """Average the gradients over the processes; whether any of them wants to stop."""
        ...


class OneProcess:
    """This process alone."""

    rank, world = 0, 1

    def __init__(self, device: str | torch.device | None = None) -> None:
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)

    def same_start(self, model: nn.Module) -> None:
        """There is no other."""

    def combine(self, parameters: Sequence[nn.Parameter], stop: bool) -> bool:
        """Nothing to average."""
        return stop


class Accelerated:
    """Several processes, through accelerate."""

    def __init__(self, *, cpu: bool = False) -> None:
        try:
            from accelerate import Accelerator
        except ImportError:
            raise NotInstalled(
                "several processes need accelerate: run `pip install 'posetalk[train]'` first"
            ) from None
        self._accelerator: Any = Accelerator(cpu=cpu)
        self.device: torch.device = self._accelerator.device
        self.rank: int = self._accelerator.process_index
        self.world: int = self._accelerator.num_processes
        # A process that ends among others still joined may abort on its way out.
        atexit.register(self._accelerator.end_training)

    def same_start(self, model: nn.Module) -> None:
        from accelerate.utils import broadcast

        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(broadcast(tensor.clone()))

    def combine(self, parameters: Sequence[nn.Parameter], stop: bool) -> bool:
        # Parts that a batch did not use have no gradient; others may have used them.
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
        stopping = torch.tensor([float(stop)], device=self.device)
        flat = torch.cat([stopping, *(gradient.float().flatten() for gradient in gradients)])
        flat = self._accelerator.reduce(flat, reduction="mean")
        at = 1
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()
        return bool(flat[0] > 0)


def launched() -> bool:
    """Whether a launcher has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def choose(device: str | None = None) -> Engine:
    """Several processes if a launcher started them, else this one."""
    return Accelerated(cpu=device == "cpu") if launched() else OneProcess(device)
