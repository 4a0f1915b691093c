"""How well ARKit's 52 shapes follow a head's own motion: millimetres per region, and pictures."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from head.arkit.solver import SOLVED, own_motion
from head.arkit.weights import arkit_weights, has_arkit_channels, solver_of
from head.channels import ARKIT_52
from head.errors import WrongValue
from head.model import Head
from head.new_file import new_file
from head.retarget import retarget
from head.rig import builtin_head
from head.skinning import motion_to_parameters

if TYPE_CHECKING:
    from viewer.render.renderer import Renderer

Floats = NDArray[np.floating[Any]]

REGIONS = ("lips", "mouth", "eyelids", "upper_face", "face")
MOST_FRAMES = 200
PAIRS = 6


def judge(head: Head, motion: Path | None, output: Path | None, size: int) -> str:
    """A table for the head; with `output`, pairs of pictures too.

    A head that has ARKit's channels by name is judged as if it had not: its channels are mixed
    into anonymous ones, as FLAME's are, and the weights found are held against its own.

    Raises:
        HeadError: nothing can be solved for this head.
        ValueError: the motion belongs to another head.
    """
    expression, jaw = _motion(head, motion)
    lines, truth = [], None
    if has_arkit_channels(head):
        truth = arkit_weights(head, expression, jaw)
        lines.append(f"{head.id} has ARKit's channels by name; as if it had anonymous ones:")
        head, mixing = anonymous(head)
        expression = expression @ mixing
    solver = solver_of(head)
    started = time.process_time()
    weights = arkit_weights(head, expression, jaw)
    spent = 1000 * (time.process_time() - started) / len(weights)
    own = own_motion(head, expression, jaw)
    made = np.stack([solver.posed(each) for each in weights])
    lines.append(table(head, own, made, weights))
    lines.append(f"{spent:.2f} ms of processor time a frame")
    if truth is not None:
        lines.append(agreement(weights, truth))
    if output is not None:
        _pairs(head, own, made, weights, output, size)
    return "\n".join(lines)


def anonymous(head: Head, seed: int = 0) -> tuple[Head, Floats]:
    """The same head with its channels mixed by a random orthogonal matrix, and that matrix:
    `expression @ matrix` moves the anonymous head as `expression` moves the named one."""
    count = len(head.expression_names)
    mixing = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, count)))[0]
    mixed = replace(
        head,
        id=f"{head.id}-anonymous",
        expression_names=tuple(f"expression{k:02d}" for k in range(count)),
        expression_basis=(head.expression_basis @ mixing).astype(np.float32),
        pose_from_expression=(head.pose_from_expression @ mixing).astype(np.float32),
    )
    return mixed, mixing


def agreement(found: Floats, truth: Floats) -> str:
    """Two lines: how far the weights that move are from the true ones (T, 52), and how alike."""
    moving = [k for k in SOLVED if truth[:, k].std() > 0.02]
    error = np.abs(found - truth)[:, moving].mean()
    alike = {
        ARKIT_52[k]: float(np.corrcoef(found[:, k], truth[:, k])[0, 1])
        for k in moving
        if found[:, k].std() > 1e-9
    }
    order = sorted(alike, key=lambda name: -alike[name])
    return (
        f"against the true weights: mean error {error:.3f} of {np.abs(truth[:, moving]).mean():.3f}"
        f", median correlation {np.median(list(alike.values())):.2f} over the {len(moving)} that "
        f"move\ncorrelation: {', '.join(f'{name} {alike[name]:.2f}' for name in order)}"
    )


def table(head: Head, own: Floats, made: Floats, weights: Floats) -> str:
    """Mean and 95th percentile of the error, and of the motion itself, per region."""
    lines = [f"{head.id}, {len(own)} frames: vertices by ARKit's shapes against its own motion"]
    lines.append(f"{'region':12} {'error mm':>9} {'95 %':>7} {'motion mm':>10} {'95 %':>7}")
    for name in REGIONS:
        index = head.regions[name]
        error = 1000 * np.linalg.norm(made[:, index] - own[:, index], axis=2)
        moved = 1000 * np.linalg.norm(own[:, index] - head.template[index], axis=2)
        lines.append(
            f"{name:12} {error.mean():9.2f} {np.percentile(error, 95):7.2f} "
            f"{moved.mean():10.2f} {np.percentile(moved, 95):7.2f}"
        )
    most = np.argsort(-weights.max(axis=0))[:10]
    used = ", ".join(f"{ARKIT_52[k]} {weights[:, k].max():.2f}" for k in most)
    return "\n".join([*lines, f"largest weights: {used}"])


def _motion(head: Head, file: Path | None) -> tuple[Floats, Floats]:
    """Expression (T, E) and jaw (T, 3) to judge on."""
    from posetalk.formats.motion_file import Motion

    if file is not None:
        motion = Motion.load(file)
        if motion.head and motion.head != head.id:
            raise WrongValue(f"{file} moves the head {motion.head!r}, not {head.id!r}")
        expression, jaw = motion.exp, motion.pose[:, 3:6]
    else:
        from posetalk import animate, demo_speech

        spoken = animate(demo_speech(), seed=0)
        vectors = np.concatenate([spoken.exp, spoken.pose[:, :4]], axis=1)
        mapped = retarget(builtin_head(), head)(vectors)
        expression, _, jaw = motion_to_parameters(mapped)
    step = max(1, -(-len(expression) // MOST_FRAMES))
    return expression[::step], jaw[::step]


def _pairs(head: Head, own: Floats, made: Floats, weights: Floats, path: Path, size: int) -> None:
    """Left the head's own face, right the one its ARKit weights make; unlike moments below."""
    from PIL import Image

    from viewer.render.renderer import Renderer

    chosen = _unlike(weights)
    with Renderer(head, size, size) as renderer:
        pictures = [_pair(renderer, own[t], made[t]) for t in chosen]
    rows = [np.concatenate(pictures[k : k + 2], axis=1) for k in range(0, len(pictures), 2)]
    with new_file(path) as part:
        Image.fromarray(np.concatenate(rows)).save(part)


def _pair(renderer: Renderer, own: Floats, made: Floats) -> NDArray[np.uint8]:
    both = np.concatenate([renderer.render(own), renderer.render(made)], axis=1)
    both[:, -2:] = 0
    return both


def _unlike(weights: Floats) -> list[int]:
    """Moments as different from each other as there are: each the farthest from those before."""
    chosen = [int(np.linalg.norm(weights, axis=1).argmax())]
    while len(chosen) < min(PAIRS, len(weights)):
        far = np.min([np.linalg.norm(weights - weights[t], axis=1) for t in chosen], axis=0)
        chosen.append(int(far.argmax()))
    return chosen
