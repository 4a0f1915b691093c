"""Every loss and number of the schedules against a second implementation, in numpy and by hand."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from head.rig import builtin_head
from head.skinning import skin
from training.loop.device import OneProcess
from training.loop.losses import (
    PAPER,
    FaceGeometry,
    Weights,
    motion_losses,
    nt_xent,
    transition_loss,
)
from training.loop.trainer import RunSettings, _Run

Array = NDArray[np.float64]
HEAD = builtin_head()
RNG = np.random.default_rng(5)
MEAN, STD = RNG.normal(0, 0.02, 54), RNG.uniform(0.02, 0.2, 54)
JAW_YZ = (0.03, -0.02)
B, N = 3, 7


@pytest.fixture(scope="module")
def geometry() -> FaceGeometry:
    """The whole head, as the paper has it, with a jaw whose y and z are not zero."""
    return FaceGeometry(HEAD, MEAN.astype("f4"), STD.astype("f4"), None, jaw_yz=JAW_YZ)


# --- the second implementation --------------------------------------------------------------------
def vertices(x: Array, shape: Array) -> Array:
    """Millimetres (B, n, V, 3), frame by frame, the head's rotation left out."""
    out = np.zeros((*x.shape[:2], HEAD.vertex_count, 3))
    for b in range(x.shape[0]):
        for n in range(x.shape[1]):
            raw = x[b, n] * STD + MEAN
            jaw = np.array([raw[53], *JAW_YZ])
            out[b, n] = 1000 * skin(HEAD, raw[:50], jaw_pose=jaw, shape=shape[b])
    return out


def mean_over(errors: dict[tuple[int, int], Array], valid: Array) -> float:
    """Mean of squares over the elements of frames that count; keys are (row, frame)."""
    counted = [np.square(e).mean() for (b, n), e in errors.items() if valid[b, n]]
    return float(np.mean(counted)) if counted else 0.0


def second_losses(x: Array, y: Array, shape: Array, valid: Array) -> dict[str, float]:
    """Equation 6's terms, each summed over frames by hand."""
    a, b = vertices(x, shape), vertices(y, shape)
    upper, lower = HEAD.regions["lip_gap_upper"], HEAD.regions["lip_gap_lower"]

    def frames(back: int, error: object) -> dict[tuple[int, int], Array]:
        return {
            (row, n): np.asarray(error(row, n), float)  # type: ignore[operator]
            for row in range(B)
            for n in range(back, N)
        }

    def gap(v: Array) -> float:
        return float(v[upper, 1].mean() - v[lower, 1].mean())

    turn_x, turn_y = x[..., 50:53], y[..., 50:53]
    terms = {
        "simple": frames(0, lambda r, n: x[r, n] - y[r, n]),
        "vert": frames(0, lambda r, n: a[r, n] - b[r, n]),
        "vel": frames(1, lambda r, n: (a[r, n] - a[r, n - 1]) - (b[r, n] - b[r, n - 1])),
        "smooth": frames(2, lambda r, n: a[r, n] - 2 * a[r, n - 1] + a[r, n - 2]),
        "gap": frames(0, lambda r, n: gap(a[r, n]) - gap(b[r, n])),
        "shut": frames(0, lambda r, n: min(0.0, gap(a[r, n]) - gap(b[r, n]))),
        "held": frames(
            0, lambda r, n: max(0.0, gap(a[r, n]) - gap(b[r, n])) if gap(b[r, n]) < 0.8 else 0.0
        ),
        # Not squared: a root, which the mean squares.
        "pressed": frames(
            0, lambda r, n: max(0.0, gap(a[r, n]) - gap(b[r, n])) ** 0.5 * (gap(b[r, n]) < -1.0)
        ),
        "angle": frames(0, lambda r, n: turn_x[r, n] - turn_y[r, n]),
        "head_velocity": frames(
            1, lambda r, n: turn_x[r, n] - turn_x[r, n - 1] - (turn_y[r, n] - turn_y[r, n - 1])
        ),
        "head_smooth": frames(
            2, lambda r, n: turn_x[r, n] - 2 * turn_x[r, n - 1] + turn_x[r, n - 2]
        ),
    }
    return {name: mean_over(errors, valid) for name, errors in terms.items()}


def second_transition(before: Array, after: Array) -> float:
    """The seam: three true rotations, then three predicted."""
    y = np.concatenate([before, after])
    v = [y[k + 1] - y[k] for k in range(5)]
    a = [v[k + 1] - v[k] for k in range(4)]
    velocity = [np.square(v[2] - v[1]), np.square(v[3] - v[2])]
    jerk = [np.square(a[k + 1] - a[k]) for k in range(3)]
    return float(np.mean(velocity) + np.mean(jerk))


# --- tests ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("masked", [False, True])
def test_every_term_is_what_is_written(geometry: FaceGeometry, masked: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, B, N, 54))
    shape = rng.normal(size=(B, HEAD.shape_count))
    valid = np.ones((B, N), bool)
    if masked:
        valid[0, 4:], valid[1, 1:], valid[2] = False, False, True
    weights = Weights(0.7, 0.31, 0.23, 0.19, 0.17, 0.13, 0.11, 0.053, 0.0, 0.29, 0.37, 0.41)
    total, terms = motion_losses(
        torch.from_numpy(x).float(),
        torch.from_numpy(y).float(),
        geometry,
        weights,
        valid=torch.from_numpy(valid) if masked else None,
        shape=torch.from_numpy(shape).float(),
    )
    wanted = second_losses(x, y, shape, valid)
    assert all(wanted.values()), "every term has something to say"
    assert terms.keys() == wanted.keys()
    for name, value in wanted.items():
        assert float(terms[name]) == pytest.approx(value, rel=2e-3), name
    named = asdict(weights)
    assert float(total) == pytest.approx(
        sum(named[name] * value for name, value in wanted.items()), rel=2e-3
    )


def test_the_jaws_y_and_z_are_their_mean(geometry: FaceGeometry) -> None:
    x = torch.zeros(1, 1, 54)
    raw = MEAN.astype("f4")
    jaw = np.array([raw[53], *JAW_YZ], "f4")
    np.testing.assert_allclose(
        geometry(x)[0, 0].numpy(), 1000 * skin(HEAD, raw[:50], jaw_pose=jaw), atol=1e-3
    )
    straight = FaceGeometry(HEAD, MEAN.astype("f4"), STD.astype("f4"), None)
    assert float((straight(x) - geometry(x)).abs().max()) > 0.5  # millimetres


def test_the_seam_is_what_is_written() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.normal(size=(2, 4, 3, 3))
    wanted = [second_transition(a, b) for a, b in zip(before, after, strict=True)]
    both = torch.from_numpy(before), torch.from_numpy(after)
    assert float(transition_loss(*both)) == pytest.approx(np.mean(wanted), rel=1e-5)
    only = torch.zeros(4, 3, dtype=torch.bool)
    only[2] = True
    assert float(transition_loss(*both, only)) == pytest.approx(wanted[2], rel=1e-5)
    # Of a window that ends after one frame: one change of velocity, one of acceleration.
    y = np.concatenate([before[0], after[0]])
    v = np.diff(y, axis=0)
    a = np.diff(v, axis=0)
    first = np.square(v[2] - v[1]).mean() + np.square(a[1] - a[0]).mean()
    one = torch.tensor([[True, False, False]])
    found = transition_loss(both[0][:1], both[1][:1], one)
    assert float(found) == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_is_equation_9_both_ways(temperature: float) -> None:
    """Every one of the 2N views asks for its partner among all others."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 5, 8))
    views = [*a, *b]
    loss = []
    for i, view in enumerate(views):
        likeness = [
            math.exp(view @ v / np.linalg.norm(view) / np.linalg.norm(v) / temperature)
            for v in views
        ]
        partner = (i + 5) % 10
        others = sum(value for k, value in enumerate(likeness) if k != i)
        loss.append(-math.log(likeness[partner] / others))
    found = nt_xent(torch.from_numpy(a), torch.from_numpy(b), temperature)
    assert float(found) == pytest.approx(np.mean(loss), rel=1e-6)
    if temperature == 0.1:
        assert float(nt_xent(torch.from_numpy(a), torch.from_numpy(b))) == float(found)


def test_the_weights_are_the_papers_and_the_starters() -> None:
    """Section 4.2 per square metre, and the released code's for the head."""
    assert asdict(PAPER) == {
        "simple": 1.0,
        "vert": 2e6 / 1000**2,
        "vel": 1e7 / 1000**2,
        "smooth": 1e5 / 1000**2,
        "gap": 0.0,
        "angle": 0.05,
        "head_velocity": 5.0,
        "head_smooth": 0.5,
        "transition": 0.5,
        "shut": 0.0,
        "held": 0.0,
        "pressed": 0.0,
    }
    assert list(asdict(Weights()).values()) == [
        1.0,
        0.15,
        0.3,
        0.01,
        0.08,
        0.05,
        1.0,
        0.1,
        0.0,
        0.0,
        0.0,
        0.0,
    ]
    alone = asdict(PAPER.without_geometry())
    assert alone.pop("simple") == 1.0 and not any(alone.values())


def test_a_part_of_the_head_has_its_lips_and_as_many_others_as_asked() -> None:
    whole = FaceGeometry(HEAD, np.zeros(54, "f4"), np.ones(54, "f4"), others=None)
    assert whole.part is HEAD and whole.has_lips
    part = FaceGeometry(HEAD, np.zeros(54, "f4"), np.ones(54, "f4"), others=25)
    kept = {tuple(p) for p in part.part.template.tolist()}
    lips = {tuple(p) for p in HEAD.template[HEAD.regions["lips"]].tolist()}
    assert lips <= kept
    edge = {
        tuple(p)
        for side in ("upper", "lower")
        for p in HEAD.template[HEAD.regions[f"lip_gap_{side}"]].tolist()
    }
    assert edge <= kept and 25 - len(edge) <= len(kept - lips) <= 25 + len(edge)
    x = torch.randn(1, 2, 54, generator=torch.Generator().manual_seed(0)) * 0.1
    assert torch.allclose(part.gap(part(x)), whole.gap(whole(x)), atol=1e-3)
    few = FaceGeometry(HEAD, np.zeros(54, "f4"), np.ones(54, "f4"), others=25, lips=20)
    assert few.part.vertex_count < part.part.vertex_count


# --- schedules ------------------------------------------------------------------------------------
def a_run(folder: Path, **settings: object) -> _Run:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))

    def losses(rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return model(torch.ones(1, 2)).sum(), {}

    run = RunSettings(folder, **settings)  # type: ignore[arg-type]
    return _Run(model, losses, run, None, None, OneProcess("cpu"))


def test_the_rate_warms_up_in_a_line_and_falls_as_a_cosine(tmp_path: Path) -> None:
    run = a_run(tmp_path, learning_rate=2.0, warm_up=10, decay=True, slow=("1",), slow_factor=0.25)
    for step, progress, wanted in (
        (0, 0.0, 2.0 * 0.1),
        (4, 0.0, 2.0 * 0.5),
        (9, 0.0, 2.0),
        (500, 0.0, 2.0),
        (500, 0.5, 2.0 * (0.02 + 0.98 * 0.5)),
        (500, 1.0, 2.0 * 0.02),
        (4, 0.25, 1.0 * (0.02 + 0.98 * (1 + math.cos(math.pi / 4)) / 2)),
    ):
        run.step = step
        assert run._set_rate(progress) == pytest.approx(wanted)
        rates = [group["lr"] for group in run.optimiser.param_groups]
        assert rates == pytest.approx([wanted, 0.25 * wanted])
    flat = a_run(tmp_path / "flat", learning_rate=2.0, warm_up=10, decay=False)
    flat.step = 500
    assert flat._set_rate(0.9) == 2.0


def test_the_average_follows_slowly_and_sooner_at_the_start(tmp_path: Path) -> None:
    run = a_run(tmp_path, ema=0.9)
    for step, decay in ((0, 1 / 10), (1, 2 / 11), (30, 31 / 40), (80, 81 / 90), (200, 0.9)):
        for value in run.average.values():
            value.zero_()
        run.step = step
        run._average()
        for name, value in run.model.state_dict().items():
            torch.testing.assert_close(run.average[name], (1 - decay) * value)


def test_numbers_of_a_run_are_as_they_were(tmp_path: Path) -> None:
    run = RunSettings(tmp_path)
    assert (run.steps, run.minutes, run.learning_rate, run.warm_up) == (100_000, 60.0, 3e-4, 200)
    assert (run.decay, run.weight_decay, run.ema, run.clip) == (True, 0.01, 0.999, 1.0)
    assert (run.accumulate, run.seed, run.slow_factor, run.bf16) == (1, 0, 0.15, False)


def test_gradients_are_cut_at_their_norm(tmp_path: Path) -> None:
    """One step of plain descent by hand, with and without a limit."""
    for clip in (0.0, 0.5):
        run = a_run(tmp_path / str(clip), clip=clip, weight_decay=0.0, ema=0.0)
        before = [p.detach().clone() for p in run.parameters]
        run.optimiser = torch.optim.SGD(run.parameters, lr=1.0)
        run._one_step(type("Request", (), {"signal": 0})())  # type: ignore[arg-type]
        moved = torch.cat(
            [(a - b.detach()).flatten() for a, b in zip(before, run.parameters, strict=True)]
        )
        model = a_run(tmp_path / f"again-{clip}").model
        model(torch.ones(1, 2)).sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        norm = float(gradient.norm())
        wanted = gradient if not clip else gradient * min(1.0, clip / norm)
        torch.testing.assert_close(moved, wanted, rtol=1e-4, atol=1e-6)
        assert norm > 0.6, "else there is nothing to cut"


@pytest.mark.parametrize(("every", "asked"), [(0, True), (2, True), (2, False)])
def test_a_validation_comes_when_it_is_due_and_there_is_one(
    tmp_path: Path, every: int, asked: bool
) -> None:
    run = a_run(tmp_path, steps=5, validate_every=every)
    seen: list[int] = []
    if asked:
        run.validate = lambda *_: {}
    run._validate = lambda writer: seen.append(run.step)  # type: ignore[method-assign]
    run.run()
    assert seen == ([2, 4] if every and asked else [])


def test_weights_without_a_term_leave_it_out(geometry: FaceGeometry) -> None:
    x, y = torch.zeros(1, 3, 54), torch.ones(1, 3, 54)
    _, terms = motion_losses(x, y, geometry, replace(PAPER, shut=1.0))
    assert "gap" not in terms and "shut" not in terms
    _, terms = motion_losses(x, y, geometry, PAPER.without_geometry())
    assert set(terms) == {"simple", "angle", "head_velocity", "head_smooth"}
    for kept in ("vert", "vel", "smooth", "gap"):
        _, terms = motion_losses(x, y, geometry, replace(PAPER.without_geometry(), **{kept: 1.0}))
        assert {"vert", "vel", "smooth"} <= set(terms), kept
