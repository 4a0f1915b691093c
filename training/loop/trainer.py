"""One training run: steps, warm-up, averaging, logs, checkpoints, resume after a kill.

Every loop of `training/` is a function step -> losses; this file is everything around it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from head.errors import MissingFile
from training.loop import checkpoint
from training.loop.device import Engine, OneProcess
from training.loop.prefetch import Prefetcher
from training.loop.stopping import StopRequest

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
    decay: bool = True
    """The rate falls as a cosine over the run; else it stays."""
    weight_decay: float = 0.01
    ema: float = 0.999
    """Decay of the averaged weights; 0 keeps the last ones."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 for any."""
    accumulate: int = 1
    """Batches per step."""
    seed: int = 0
    save_minutes: float = 3.0
    validate_every: int = 0
    """Steps between validations; 0 for none."""
    bf16: bool = False


def train(
    model: nn.Module,
    step_losses: Callable[..., Losses],
    settings: RunSettings,
    *,
    draw: Callable[[np.random.Generator], Any] | None = None,
    validate: Callable[[SummaryWriter, int], None] | None = None,
    engine: Engine | None = None,
) -> nn.Module:
    """Train `model` in place and leave its averaged weights in it.

    `step_losses(rng, step)` draws a batch and returns the loss and its terms.  The learning rate
    warms up, then falls as a cosine over the run (the larger of the two shares of steps and
    minutes).  Continues from `folder`/checkpoint.pt when there is one: nothing is lost but what
    came after the last save; the generator is keyed by the step, so a resumed run sees the data
    that an unbroken one would.  SIGTERM and Ctrl-C end it after the step, with a save.

    Args:
        draw: makes a batch from a generator, in other threads while the model computes; then
            `step_losses(rng, step, batch)` gets it. It may use nothing that changes.
        validate: called with the log and the step, `model` holding its averaged weights.
        engine: the processes that share the run; this one alone, on the CPU, if None.

    Raises:
        training.loop.checkpoint.TrainingStateError: a checkpoint is damaged or another model's, or
            the last one cannot be written.
    """
    return _Run(model, step_losses, settings, draw, validate, engine or OneProcess("cpu")).run()


def averaged(folder: Path, model: nn.Module) -> nn.Module:
    """Load the averaged weights that a run (finished or not) has reached.

    Raises:
        FileNotFoundError: there is no checkpoint.
        training.loop.checkpoint.TrainingStateError: it is damaged, or another model's.
    """
    state = checkpoint.load(folder)
    if state is None:
        raise MissingFile(f"{folder}: no {checkpoint.NAME}; train it first")
    checkpoint.restore(model, state["average"], folder)
    return model.eval()


class _Run:
    """The state of a run: optimiser, averaged weights, step, time."""

    def __init__(
        self,
        model: nn.Module,
        step_losses: Callable[..., Losses],
        settings: RunSettings,
        draw: Callable[[np.random.Generator], Any] | None,
        validate: Callable[[SummaryWriter, int], None] | None,
        engine: Engine,
    ) -> None:
        self.model, self.step_losses, self.settings = model, step_losses, settings
        self.engine, self.validate = engine, validate
        settings.folder.mkdir(parents=True, exist_ok=True)
        groups: list[list[nn.Parameter]] = [[], []]
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                slow = bool(settings.slow) and name.startswith(settings.slow)
                groups[slow].append(parameter)
        self.parameters = [*groups[0], *groups[1]]
        self.optimiser = torch.optim.AdamW(
            [{"params": group} for group in groups if group],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.step, self.spent = 0, 0.0
        self._resume()
        self.engine.same_start(model)
        self.begun = time.monotonic()
        self.batches = None if draw is None else Prefetcher(self._drawer(draw), self._following)
        self.running: dict[str, float] = {}

    @property
    def minutes(self) -> float:
        """Wall time of all parts of the run so far."""
        return self.spent + (time.monotonic() - self.begun) / 60

    def run(self) -> nn.Module:
        """All steps that are left."""
        settings, main = self.settings, self.engine.rank == 0
        writer = SummaryWriter(str(settings.folder)) if main else None
        saved = time.monotonic()
        stopped = False
        self.model.train()
        bar = tqdm(
            total=settings.steps, initial=self.step, unit="step", mininterval=20, disable=not main
        )
        with contextlib.ExitStack() as closing:
            request = closing.enter_context(StopRequest())
            closing.enter_context(bar)
            for part in (self.batches, writer):
                if part is not None:
                    closing.callback(part.close)
            while self.step < settings.steps and not stopped:
                progress = max(self.step / settings.steps, self.minutes / settings.minutes)
                if progress >= 1.0:
                    break
                rate = self._set_rate(progress)
                losses, stopped = self._one_step(request)
                self.step += 1
                bar.update()
                if writer is not None:
                    self._report(writer, losses, rate)
                due = settings.validate_every and self.step % settings.validate_every == 0
                if due and writer is not None and self.validate is not None:
                    self._validate(writer)
                if main and time.monotonic() - saved > settings.save_minutes * 60 and not stopped:
                    try:
                        self._save()
                    except checkpoint.TrainingStateError as error:
                        log.warning("%s; going on, the checkpoint before is kept", error)
                    saved = time.monotonic()
        if main:
            self._save()
        if stopped or request.signal:
            log.info("stopped at step %d; run it again to go on", self.step)
            request.end()
        self.model.load_state_dict(self.average)
        return self.model.eval()

    def _set_rate(self, progress: float) -> float:
        rate = self.settings.learning_rate * min(1.0, (self.step + 1) / self.settings.warm_up)
        if self.settings.decay:
            rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
        for index, group in enumerate(self.optimiser.param_groups):
            group["lr"] = rate * (self.settings.slow_factor if index else 1.0)
        return rate

    def _one_step(self, request: StopRequest) -> tuple[dict[str, Tensor], bool]:
        """One update from `accumulate` batches a process; its losses, and whether to stop."""
        settings, engine = self.settings, self.engine
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for turn in range(settings.accumulate):
            index = engine.rank + engine.world * turn
            rng = self._seed(index)
            batch = () if self.batches is None else (self.batches.get((self.step, index)),)
            # On the CPU, windows are too short for the fused attention's backward pass to pay.
            on_cpu = engine.device.type == "cpu"
            with sdpa_kernel(SDPBackend.MATH) if on_cpu else contextlib.nullcontext():
                with torch.autocast(engine.device.type, torch.bfloat16, enabled=settings.bf16):
                    loss, terms = self.step_losses(rng, self.step, *batch)
                share = loss if settings.accumulate == 1 else loss / settings.accumulate
                share.backward()  # type: ignore[no-untyped-call]
            for name, term in {"loss": loss, **terms}.items():
                sums[name] = sums.get(name, 0.0) + term.detach() / settings.accumulate
        stop = engine.combine(self.parameters, bool(request.signal))
        if settings.clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, settings.clip)
        self.optimiser.step()
        self._average()
        return sums, stop

    def _seed(self, index: int) -> np.random.Generator:
        """Key all chance by step and batch: a resumed run draws what an unbroken one would."""
        seed = self.settings.seed
        mixed = seed * 1_000_003 + self.step + index * 1_000_000_007
        torch.manual_seed(mixed)
        np.random.seed(mixed % 2**32)  # transformers masks speech with it
        return np.random.default_rng(self._key(self.step, index))

    def _key(self, step: int, index: int) -> list[int]:
        return [self.settings.seed, step, index] if index else [self.settings.seed, step]

    def _drawer(
        self, draw: Callable[[np.random.Generator], Any]
    ) -> Callable[[tuple[int, int]], Any]:
        # A fourth number keeps these apart from the generators of the steps themselves.
        return lambda key: draw(np.random.default_rng([self.settings.seed, *key, 1]))

    def _following(self, key: tuple[int, int]) -> tuple[int, int]:
        step, index = key
        later = index + self.engine.world
        if later < self.engine.world * self.settings.accumulate:
            return step, later
        return step + 1, self.engine.rank

    @torch.no_grad()
    def _average(self) -> None:
        if not self.settings.ema:
            return
        decay = min(self.settings.ema, (self.step + 1) / (self.step + 10))
        old: list[Tensor] = []
        new: list[Tensor] = []
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                old.append(self.average[name])
                new.append(value)
            else:
                self.average[name].copy_(value)
        torch._foreach_lerp_(old, new, 1 - decay)

    def _report(self, writer: SummaryWriter, losses: Mapping[str, Tensor], rate: float) -> None:
        for name, term in losses.items():
            value = float(term)
            self.running[name] = 0.98 * self.running.get(name, value) + 0.02 * value
        if self.step % 50 == 0:
            for name, smooth in self.running.items():
                writer.add_scalar(name, smooth, self.step)
            writer.add_scalar("rate", rate, self.step)
        if self.step % 200 == 0:
            shown = "  ".join(f"{k} {v:.4f}" for k, v in self.running.items())
            log.info("step %d  %.1f min  lr %.1e  %s", self.step, self.minutes, rate, shown)

    def _validate(self, writer: SummaryWriter) -> None:
        """Validate the averaged weights, then train on with the others."""
        assert self.validate is not None
        latest = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self._keep_last()
        self.model.load_state_dict(self.average)
        self.model.eval()
        with torch.no_grad():
            self.validate(writer, self.step)
        self.model.load_state_dict(latest)
        self.model.train()

    def _keep_last(self) -> None:
        if not self.settings.ema:
            self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def _save(self) -> None:
        self._keep_last()
        checkpoint.save(
            self.settings.folder,
            {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average,
                "step": self.step,
                "minutes": self.minutes,
            },
        )

    def _resume(self) -> None:
        """Load the folder's checkpoint, if any."""
        folder = self.settings.folder
        state = checkpoint.load(folder, self.engine.device)
        if state is None:
            return
        checkpoint.restore(self.model, state["model"], folder)
        try:
            self.optimiser.load_state_dict(state["optimiser"])
        except ValueError:
            raise checkpoint.TrainingStateError(
                f"{folder / checkpoint.NAME}: other parts of the model learned in it"
            ) from None
        self.average.update(state["average"])
        self.step, self.spent = int(state["step"]), float(state["minutes"])
        log.info("continuing %s at step %d", folder, self.step)
