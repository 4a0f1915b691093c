"""Fit the coarticulation model to real mouths: `posetalk train labels`.

Every number of the model is learned by gradient on the curves of one man of GRID.  Phones that he
says rarely or never keep close to their neighbours, so that what is not in the corpus has the
numbers of what is like it.  The corpus has 51 words in a fixed order: everything is chosen on words
that the fit never saw, and the other two people are for judging only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.faces.mouths.grid import CREDIT, FITTING, MouthClip, read_mouths
from training.faces.mouths.model import (
    APERTURE,
    BASE_FADE,
    FEW_FRAMES,
    HELD_OUT_EVERY,
    LEFT_OUT,
    LIKE,
    REACH_SECONDS,
    Frames,
    Mouth,
    frames_of,
    pieces,
)
from training.labels.mouth_constants import FILE, FITTED, NAMES, MouthConstants, write_constants

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelSettings:
    """How it is fitted. The same settings on the same machine give the same numbers."""

    out: Path = FILE
    """File to write; the labels read the one that ships."""
    steps: int = 400
    """Steps of the gradient."""
    batch: int = 2000
    """Frames of a step."""
    alike: float = 0.003
    """Weight of keeping a phone's numbers near those of its neighbours."""
    near: float = 0.01
    """Weight of keeping targets near what is seen of a phone."""
    rest: float = 0.003
    """Weight of keeping shapes of dominances near the usual one."""
    pairs: float = 0.05
    """Weight against what is added where a pair of phones was seen."""
    seed: int = 0
    """Seed of the draws."""
    threads: int = 1
    """Threads of the gradient."""


def usual_shapes(frames: Frames, curves: Tensor, usable: NDArray[np.bool_]) -> Tensor:
    """(N, P) mean of the curves inside each phone, near what looks alike where there is little."""
    inside = (frames.row >= 0) & (frames.start <= 0) & (frames.end > 0)
    row = frames.row.gather(1, inside.int().argmax(1, keepdim=True))[:, 0]
    chosen = torch.from_numpy(usable) & inside.any(1)
    one_hot = nn.functional.one_hot(row[chosen].clamp(min=0), len(NAMES)).float()
    total, count = one_hot.T @ curves[chosen], one_hot.sum(0)[:, None]
    mean = total / (count + FEW_FRAMES)
    for _ in range(3):  # neighbours of neighbours
        like = mean.clone()
        for name, others in LIKE.items():
            like[NAMES.index(name)] = mean[[NAMES.index(n) for n in others.split()]].mean(0)
        mean = (total + FEW_FRAMES * like) / (count + FEW_FRAMES)
    return mean


def fit(frames: Frames, settings: LabelSettings, *, leave_out: bool) -> Mouth:
    """A model of the known frames; with `leave_out` none near a word of LEFT_OUT."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    usable = frames.known & ~frames.near_left_out if leave_out else frames.known
    where = np.flatnonzero(usable)
    speech = frames.curves[torch.from_numpy(usable & frames.spoken)]
    mean, spread = speech.mean(0), speech.std(0)
    curves = (frames.curves - mean) / spread
    model = Mouth(mean, spread, usual_shapes(frames, curves, usable))
    rates = {
        "target": 0.05,
        "ahead": 0.02,
        "carried": 0.02,
        "lag": 2e-3,
        "lead": 4e-3,
        "settle": 2e-3,
    }
    optimiser = torch.optim.Adam(
        [{"params": [p], "lr": rates.get(name, 0.03)} for name, p in model.named_parameters()]
    )
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for step in range(settings.steps):
        index = rng.choice(where, min(settings.batch, len(where)))
        error = model(*frames.chosen(index)) - curves[torch.from_numpy(index)]
        # A tracker slips now and then: far errors count less than their square.
        loss = nn.functional.huber_loss(error, torch.zeros_like(error), delta=1.5)
        held = settings.alike * model.alike() + settings.rest * model.plain()
        held = held + settings.near * model.overshoot()
        (loss + held + settings.pairs * model.added() / len(NAMES)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        decay.step()
        if step % 100 == 99:
            log.info("step %d, loss %.4f", step + 1, float(loss.detach()))
    return model


def predicted(model: Mouth, frames: Frames) -> NDArray[np.float32]:
    """(n, P) curves of the model."""
    with torch.no_grad():
        parts = [
            model(*frames.chosen(index))
            for index in np.array_split(
                np.arange(len(frames.known)), max(1, len(frames.known) // 8000)
            )
        ]
    return np.asarray((torch.cat(parts) * model.spread + model.mean).numpy())


def travel(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """(P,) how far curves (n, P) travel: 5th to 95th percentile."""
    low, high = np.percentile(values, (5, 95), axis=0)
    return np.asarray(high - low)


def agreement(model: Mouth, frames: Frames, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(P, 2) correlation, and travel over the real one, of each articulator at a mask's frames.

    The aperture's size is told by its mean at the middles of vowels: how far a mouth opens.
    """
    ours, real = predicted(model, frames), frames.curves.numpy()
    vowel = mask & frames.vowel
    ratios = travel(ours[mask]) / travel(real[mask])
    ratios[APERTURE] = ours[vowel, APERTURE].mean() / real[vowel, APERTURE].mean()
    correlations = [np.corrcoef(ours[mask, k], real[mask, k])[0, 1] for k in range(len(FITTED))]
    return np.stack([np.array(correlations), ratios], axis=1).astype(np.float64)


def constants(
    model: Mouth, gain: NDArray[np.floating], seen: set[tuple[str, str]]
) -> MouthConstants:
    """The model's numbers in the curves' units, with travels made larger by `gain` (P,).

    A mean over what could follow is flatter than any mouth: gains give the travel back, around
    the mean of speech; that of the aperture from contact on.
    """
    spread = model.spread.numpy() * gain
    mean = model.mean.numpy()
    centre = mean.copy()
    centre[APERTURE] *= gain[APERTURE]

    def shown(values: Tensor) -> NDArray[np.float64]:
        return values.detach().numpy().astype(np.float64)

    target = shown(model.target) * spread + centre
    target[0] = shown(model.target)[0] * model.spread.numpy() + mean  # rest stays rest
    pairs: list[dict[tuple[str, str], NDArray[np.float64]]] = []
    for values in (model.ahead, model.carried):
        each = shown(values) * spread
        pairs.append(
            {pair: each[NAMES.index(pair[0]), NAMES.index(pair[1])] for pair in sorted(seen)}
        )
    return MouthConstants(
        target=target,
        strength=np.exp(shown(model.strength)),
        before=BASE_FADE * np.exp(shown(model.before)),
        after=BASE_FADE * np.exp(shown(model.after)),
        core=0.45 / (1.0 + np.exp(-shown(model.core))),
        reach=shown(model.reach) * spread,
        vigour=shown(model.vigour) * spread,
        lag=shown(model.lag),
        lead=np.maximum(shown(model.lead), 0.0),
        settle=np.maximum(shown(model.settle), 0.0),
        speech=centre.astype(np.float64),
        ahead=pairs[0],
        carried=pairs[1],
    )


def seen_pairs(
    clips: Sequence[MouthClip], leave_out: bool, least: int = 15
) -> set[tuple[str, str]]:
    """Neighbouring pieces that were fitted at least so often."""
    count: dict[tuple[str, str], int] = {}
    for clip in clips:
        parts = pieces(clip.phones, np.ones(len(clip.phones)))
        near = clip.within(LEFT_OUT, REACH_SECONDS) if leave_out else np.zeros(0, bool)
        names = [NAMES[int(row)] for row in parts[:, 0]]
        for i, pair in enumerate(pairwise(names)):
            frame = int(parts[i, 2] * 25)
            if not (frame < len(near) and near[frame]):
                count[pair] = count.get(pair, 0) + 1
    return {pair for pair, n in count.items() if n >= least}


def split(clips: Sequence[MouthClip]) -> tuple[list[MouthClip], list[MouthClip]]:
    """(fitted, held out) sentences of the man."""
    held = list(clips[::HELD_OUT_EVERY])
    return [clip for i, clip in enumerate(clips) if i % HELD_OUT_EVERY], held


def fitted_constants(
    clips: Sequence[MouthClip],
    settings: LabelSettings,
    *,
    leave_out: bool,
    gain: NDArray[np.floating],
) -> MouthConstants:
    """Constants of a fit to these clips."""
    model = fit(frames_of(clips), settings, leave_out=leave_out)
    return constants(model, gain, seen_pairs(clips, leave_out))


@dataclass(frozen=True)
class Choice:
    """A fit without the words left out and the sentences held out, and what it tells.

    gain (P,): what travels are multiplied by, half-way between what words ask for that the fit saw
    and words that it did not.  agreement: by what was left out, (P, 2) as `agreement`.
    """

    model: Mouth
    gain: NDArray[np.float64]
    agreement: dict[str, NDArray[np.float64]]


def choose(clips: Sequence[MouthClip], settings: LabelSettings) -> Choice:
    """The gains, from some sentences of the man for others of his."""
    fitted_to, held = split(clips)
    model, frames = fit(frames_of(fitted_to), settings, leave_out=True), frames_of(held)
    known = frames.known
    told = {
        "words left out": agreement(model, frames, known & frames.left_out),
        "other words": agreement(model, frames, known & frames.spoken & ~frames.near_left_out),
    }
    ratios = np.mean([each[:, 1] for each in told.values()], axis=0)
    # Labels are made for words that no fit saw: how far a mouth opens is taken from those alone.
    ratios[APERTURE] = told["words left out"][APERTURE, 1]
    return Choice(model, np.clip(1.0 / ratios, 1.0, 1.7), told)


def main(settings: LabelSettings) -> None:
    """Choose, fit all of the man's sentences, write the constants."""
    torch.set_num_threads(settings.threads)
    clips = read_mouths(FITTING)
    choice = choose(clips, settings)
    for name, each in choice.agreement.items():
        print(
            f"{name}: "
            + ", ".join(
                f"{a} r {r:.2f} travel {ratio:.2f}"
                for a, (r, ratio) in zip(FITTED, each, strict=True)
            )
        )
    made = fitted_constants(clips, settings, leave_out=False, gain=choice.gain)
    write_constants(settings.out, made, {"credit": CREDIT, "made_by": "posetalk train labels"})
    print(f"wrote {settings.out}")
