"""Runs of a training: they learn a dataset, survive what kills them, and say what is wrong."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training_set import SMALL, TINY, two_windows, write_small_set

import posetalk
from head.rig import builtin_head
from training.faces.clip_arrays import SetError
from training.faces.crops import CropSource
from training.faces.lmdb_dataset import ABOUT, LmdbSet
from training.loop import checkpoint
from training.loop.pretrained import PretrainedError
from training.loop.trainer import RunSettings, averaged, train
from training.paper import train as program
from training.paper.presets import PRESETS
from training.paper.style_loss import PairLosses


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def crops(data: Path) -> Iterator[CropSource]:
    with LmdbSet(data) as found:
        yield CropSource(found, "train")


def run_of(folder: Path, **changes: object) -> RunSettings:
    defaults = {
        "steps": 8,
        "learning_rate": 1e-3,
        "warm_up": 2,
        "ema": 0.5,
        "save_minutes": 0.0,
        "minutes": 1e9,
    }
    return RunSettings(folder, **(defaults | changes))  # type: ignore[arg-type]


class Killed(Exception):
    """Stands for a kill: nothing is saved on the way out."""


def trained(
    crops: CropSource, folder: Path, kill_at: int = -1, by: int = 0, **changes: object
) -> dict[str, torch.Tensor]:
    """Weights of a short run, killed or signalled at a step."""
    preset = replace(SMALL, denoiser=replace(SMALL.denoiser, run=replace(TINY.style.run, batch=2)))
    losses = two_windows(crops, preset)

    def step_losses(rng: np.random.Generator, step: int, batch: object) -> object:
        if step == kill_at and by:
            os.kill(os.getpid(), by)
        elif step == kill_at:
            raise Killed
        return losses(rng, step, batch)  # type: ignore[arg-type]

    train(losses.model, step_losses, run_of(folder, **changes), draw=losses.draw)  # type: ignore[arg-type]
    return {k: v.clone() for k, v in losses.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_killed_or_stopped_it_goes_on_as_if_nothing_had_been(
    crops: CropSource, tmp_path: Path
) -> None:
    whole = trained(crops, tmp_path / "whole")
    with pytest.raises(Killed):
        trained(crops, tmp_path / "killed", kill_at=5)
    assert same(trained(crops, tmp_path / "killed"), whole)
    with pytest.raises(SystemExit) as left:
        # No save but that of the signal itself.
        trained(crops, tmp_path / "stopped", kill_at=4, by=signal.SIGTERM, save_minutes=1e9)
    assert left.value.code == 143
    state = checkpoint.load(tmp_path / "stopped")
    assert state is not None and state["step"] == 5, "the step was finished, and saved"
    assert same(trained(crops, tmp_path / "stopped"), whole)
    with pytest.raises(KeyboardInterrupt):
        trained(crops, tmp_path / "ctrl-c", kill_at=2, by=signal.SIGINT, save_minutes=1e9)
    assert same(trained(crops, tmp_path / "ctrl-c", save_minutes=1e9), whole)


def test_a_full_disk_costs_no_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = torch.nn.Linear(200, 200)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def losses(rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if step == 2:  # from here on, no file may grow beyond 100 kB
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        return model(torch.ones(1, 200)).square().mean(), {}

    try:
        with pytest.raises(checkpoint.TrainingStateError, match="cannot be written"):
            train(model, losses, run_of(tmp_path, steps=4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "the checkpoint before is kept" in caplog.text
    state = checkpoint.load(tmp_path)
    assert state is not None and state["step"] == 2
    assert not (tmp_path / "checkpoint.pt.tmp").exists()


def test_a_checkpoint_that_does_not_fit_is_refused_in_a_line(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 1)

    def losses(rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return model(torch.ones(1, 3)).square().mean(), {}

    train(model, losses, run_of(tmp_path, steps=2))
    with pytest.raises(checkpoint.TrainingStateError, match="another model"):
        averaged(tmp_path, torch.nn.Linear(4, 1))
    with pytest.raises(FileNotFoundError, match="train it first"):
        averaged(tmp_path / "none", model)
    for spoiled in (b"", b"PK\x03\x04", (tmp_path / "checkpoint.pt").read_bytes()[:400]):
        (tmp_path / "checkpoint.pt").write_bytes(spoiled)
        with pytest.raises(
            checkpoint.TrainingStateError, match="delete it to begin anew"
        ) as caught:
            train(model, losses, run_of(tmp_path))
        assert "\n" not in str(caught.value)


def test_two_small_batches_are_one_large_one(tmp_path: Path) -> None:
    def after(folder: str, accumulate: int) -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)

        def losses(
            rng: np.random.Generator, step: int
        ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            rngs = [rng]
            if accumulate == 1:  # the second batch as well, keyed as the loop keys it
                rngs.append(np.random.default_rng([0, step, 1]))
            x = torch.from_numpy(np.concatenate([r.normal(size=(4, 3)) for r in rngs])).float()
            return (model(x) - x.sum(1, keepdim=True)).square().mean(), {}

        train(model, losses, run_of(tmp_path / folder, accumulate=accumulate))
        return model.weight.detach().clone()

    torch.testing.assert_close(after("two", 2), after("one", 1), rtol=1e-4, atol=1e-6)


def settings(data: Path, out: Path, **changes: object) -> program.TrainSettings:
    defaults = {
        "preset": "tiny",
        "style_steps": 25,
        "steps": 110,
        "batch": 3,
        "rate": 3e-3,
        "device": "cpu",
        "validate_every": 0,
    }
    return program.TrainSettings(data, out, **(defaults | changes))  # type: ignore[arg-type]


def test_it_learns_a_tiny_set_by_heart_and_the_bundle_runs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "tiny", SMALL)
    program.main(settings(data, tmp_path, validate_every=110))
    found = LmdbSet(data)
    trainer = program.Trainer(settings(data, tmp_path), program.choose("cpu"), found)
    pairs = PairLosses(trainer.trained_style(), trainer.crops, SMALL.style)
    with torch.no_grad():
        batch = pairs.draw(np.random.default_rng(1))
        assert float(pairs(np.random.default_rng(1), 0, batch)[1]["retrieved"]) == 1.0
        losses = two_windows(trainer.crops, SMALL)
        batch = losses.draw(np.random.default_rng(2))
        before = losses(np.random.default_rng(2), 0, batch)
        averaged(tmp_path / "denoiser", losses.model)
        losses.style = trainer.trained_style()
        after = losses(np.random.default_rng(2), 0, batch)
    found.close()
    assert float(after[0]) < 0.35 * float(before[0])
    assert float(after[1]["vert"]) < 0.2 * float(before[1]["vert"])
    session = posetalk.Session(bundle=str(tmp_path / "bundle"), backend="torch", style="p1")
    frames = session.feed(np.zeros(16_000, np.float32)) + session.finish()
    assert len(frames) == 25 and np.isfinite(frames[-1].motion).all()
    assert list((tmp_path / "denoiser").glob("events*"))
    with pytest.raises(ValueError, match=r"other settings \(denoiser\)"):
        program.main(settings(data, tmp_path, rate=1e-4))


def test_an_unusable_set_is_told_in_a_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # no heads of whoever runs this
    with pytest.raises(SetError, match="no dataset there"):
        program.main(settings(tmp_path / "none", tmp_path / "out"))
    with LmdbSet(data) as found, pytest.raises(SetError, match="no video of 500 frames"):
        CropSource(found, "train").videos(500)
    bare = tmp_path / "bare"
    shutil.copytree(data, bare)
    (bare / ABOUT).unlink()
    with pytest.raises(SetError, match=r"moves the head 'flame'.*posetalk head import"):
        program.main(settings(bare, tmp_path / "out"))
    with pytest.raises(SetError, match="no head 'somebody'"):
        program.main(settings(bare, tmp_path / "out", head="somebody"))
    with pytest.raises(PretrainedError, match="downloaded beforehand"):
        program.main(settings(data, tmp_path / "paper", preset="paper", without=("style",)))


def test_pictures_of_a_validation_are_drawn(crops: CropSource) -> None:
    from training.paper.validation import picture

    class Writer:
        def __init__(self) -> None:
            self.images: dict[str, np.ndarray] = {}
            self.figures: dict[str, float] = {}

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.figures[name] = value

        def add_image(self, name: str, image: np.ndarray, step: int, dataformats: str) -> None:
            self.images[name] = image

    losses, writer = two_windows(crops, SMALL), Writer()
    losses.model.eval()
    batch = losses.draw(np.random.default_rng(0))
    picture(losses, builtin_head(), batch, writer, 0)  # type: ignore[arg-type]
    faces = writer.images["validation/faces"]
    assert faces.dtype == np.uint8 and faces.shape[2] == 3 and faces.std() > 20
    half = faces.shape[0] // 2
    assert np.abs(faces[:half].astype(int) - faces[-half:]).max() > 40, "model and label differ"
    assert writer.figures["validation/lve_mm"] > 0
    assert writer.images["validation/curves"].std() > 5


SEVERAL = """
import atexit, sys, numpy as np, torch
from pathlib import Path
from training.loop.device import choose
def leave():  # registered first, runs last
    assert not torch.distributed.is_initialized()
    if engine.rank == 0:
        print("left")
atexit.register(leave)
from training.loop.trainer import RunSettings, train
torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
def losses(rng, step):
    x = torch.from_numpy(rng.normal(size=(4, 3))).float()
    return (model(x) - x.sum(1, keepdim=True)).square().mean(), {}
engine = choose("cpu")
train(model, losses, RunSettings(Path(sys.argv[1]), steps=10, accumulate=int(sys.argv[2]),
                                 minutes=1e9, ema=0.0), engine=engine)
if engine.rank == 0:
    print(engine.world, *(f"{w:.6f}" for w in model.weight[0].tolist()))
"""


@pytest.mark.slow
def test_two_processes_learn_as_one_that_accumulates(tmp_path: Path) -> None:
    script = tmp_path / "several.py"
    script.write_text(SEVERAL)

    def result(arguments: list[str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            capture_output=True,
            text=True,
            timeout=280,
            env=os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    several = result([*launch, str(script), str(tmp_path / "two"), "1"])
    alone = result([str(script), str(tmp_path / "one"), "2"])
    assert several[0] == "2" and alone[0] == "1"
    assert several[-1] == alone[-1] == "left", "the processes part before they end"
    weights = (np.array(run[1:-1], float) for run in (several, alone))
    np.testing.assert_allclose(*weights, atol=2e-5)
