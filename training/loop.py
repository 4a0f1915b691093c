"""One training run: steps, warm-up, averaging, logs, checkpoints, resume after a kill.

Every loop of `training/` is a function step -> losses; this file is everything around it.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

log = logging.getLogger(__name__)

Losses = tuple[Tensor, Mapping[str, Tensor]]


@dataclass(frozen=True)
class RunSettings:
    """How long and how: `minutes` of wall time or `steps`, whichever comes first."""

    folder: Path
    steps: int = 100_000
    minutes: float = 60.0
    learning_rate: float = 3e-4
    slow: tuple[str, ...] = ()
    """Names of parts that were trained before: they learn at `slow_factor` of the rate."""
    slow_factor: float = 0.15
    warm_up: int = 200
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    save_minutes: float = 3.0
    bf16: bool = False


def train(
    model: nn.Module,
    step_losses: Callable[[np.random.Generator, int], Losses],
    settings: RunSettings,
) -> nn.Module:
    """Train `model` in place and leave its averaged weights in it.

    `step_losses(rng, step)` draws a batch and returns the loss and its terms.  The learning rate
    warms up, then falls as a cosine over the run (the larger of the two shares of steps and
    minutes).  Continues from `folder`/checkpoint.pt when there is one: nothing is lost but what
    came after the last save; the generator is keyed by the step, so a resumed run sees the data
    that an unbroken one would.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    groups: list[list[nn.Parameter]] = [[], []]
    for name, parameter in model.named_parameters():
        groups[name.startswith(settings.slow) if settings.slow else 0].append(parameter)
    parameters = [*groups[0], *groups[1]]
    optimiser = torch.optim.AdamW(
        [{"params": group} for group in groups if group],
        lr=settings.learning_rate, weight_decay=0.01,
    )
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    first, spent = _resume(settings.folder, model, optimiser, average)
    writer = SummaryWriter(str(settings.folder))
    begun = saved = time.monotonic()
    step = first
    running: dict[str, float] = {}
    model.train()
    with tqdm(total=settings.steps, initial=first, unit="step", mininterval=20) as bar:
        while step < settings.steps:
            minutes = spent + (time.monotonic() - begun) / 60
            progress = max(step / settings.steps, minutes / settings.minutes)
            if progress >= 1.0:
                break
            rate = settings.learning_rate * min(1.0, (step + 1) / settings.warm_up)
            rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
            for index, group in enumerate(optimiser.param_groups):
                group["lr"] = rate * (settings.slow_factor if index else 1.0)
            torch.manual_seed(settings.seed * 1_000_003 + step)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
                loss, terms = step_losses(np.random.default_rng([settings.seed, step]), step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
            optimiser.step()
            decay = min(settings.ema, (step + 1) / (step + 10))
            with torch.no_grad():
                for name, value in model.state_dict().items():
                    if value.dtype.is_floating_point:
                        average[name].lerp_(value, 1 - decay)
                    else:
                        average[name].copy_(value)
            step += 1
            bar.update()
            for name, term in {"loss": loss, **terms}.items():
                value = float(term.detach())
                running[name] = 0.98 * running.get(name, value) + 0.02 * value
            if step % 50 == 0:
                for name, smooth in running.items():
                    writer.add_scalar(name, smooth, step)
            if step % 200 == 0:
                shown = "  ".join(f"{k} {v:.4f}" for k, v in running.items())
                log.info("step %d  %.1f min  lr %.1e  %s", step, minutes, rate, shown)
            if time.monotonic() - saved > settings.save_minutes * 60:
                _save(settings.folder, model, optimiser, average, step, minutes)
                saved = time.monotonic()
    _save(settings.folder, model, optimiser, average, step, spent + (time.monotonic() - begun) / 60)
    writer.close()
    model.load_state_dict(average)
    return model.eval()


def averaged(folder: Path, model: nn.Module) -> nn.Module:
    """Load the averaged weights that a run (finished or not) has reached."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["average"])
    return model.eval()


def _save(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer,
    average: Mapping[str, Tensor], step: int, minutes: float,
) -> None:
    """Write a checkpoint beside the old one, then put it in its place."""
    fresh = folder / "checkpoint.tmp"
    torch.save({
        "model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": dict(average),
        "step": step, "minutes": minutes,
    }, fresh)
    os.replace(fresh, folder / "checkpoint.pt")


def _resume(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, average: dict[str, Tensor]
) -> tuple[int, float]:
    """Load the folder's checkpoint, if any; its step and the minutes it had taken."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    average.update(state["average"])
    log.info("continuing %s at step %d", folder, state["step"])
    return int(state["step"]), float(state["minutes"])
