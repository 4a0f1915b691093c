"""Training on a dataset: it learns, survives what kills it, and says what is wrong."""

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
from safetensors.torch import save_file

import posetalk
from diffposetalk.hubert import build_hubert
from diffposetalk.model import DiffPoseTalk
from diffposetalk.spec import SpeechEncoderSpec
from diffposetalk.style_encoder import StyleEncoder
from head.rig import builtin_head
from training import checkpoint, statistics
from training import train as program
from training.crops import CropSource
from training.lmdb_set import ABOUT, STATS, LmdbSet, LmdbWriter
from training.loop import RunSettings, averaged, train
from training.losses import PAPER, FaceGeometry, Weights, motion_losses, transition_loss
from training.pairs import PairLosses
from training.presets import PRESETS, Preset
from training.pretrained import PretrainedError, freeze_hubert, load_hubert
from training.set_clips import Clip, SetError
from training.two_windows import TwoWindowLosses

TINY = PRESETS["tiny"]
SMALL = replace(TINY, spec=replace(TINY.spec, T_w=20))
"""Windows of 0.8 s: everything in a fraction of the time."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people whose jaw follows the loudness, each with a manner of their own."""
    folder = tmp_path_factory.mktemp("set")
    writer = LmdbWriter(folder)
    videos, clips = [], []
    for person in range(4):
        rng = np.random.default_rng(person)
        n = 230
        loud = 0.5 + 0.5 * np.sin(np.arange(n) / (3 + person))
        samples = 0.3 * np.repeat(loud, 640) * rng.standard_normal(640 * n)
        exp = 0.1 * rng.normal(size=50) * (loud[:, None] - 0.5)
        pose = np.zeros((n, 6))
        pose[:, 0], pose[:, 3] = 0.02 * person, (0.05 + 0.05 * person) * loud
        arrays = (samples, np.zeros((n, 100)), exp, pose)
        clips.append(Clip(*(array.astype(np.float32) for array in arrays)))
        videos.append(f"p{person}/000")
        writer.add(videos[-1], clips[-1])
    writer.close()
    for name, part in (("train", videos[:3]), ("val", videos[3:]), ("test", [])):
        (folder / f"{name}.txt").write_text("".join(f"{v}\n" for v in part))
    (folder / ABOUT).write_text(f'{{"head": "{builtin_head().id}"}}')
    statistics.write(folder / STATS, statistics.measure(clips[:3]))
    return folder


@pytest.fixture
def crops(data: Path) -> Iterator[CropSource]:
    with LmdbSet(data) as found:
        yield CropSource(found, "train")


def two_windows(crops: CropSource, preset: Preset) -> TwoWindowLosses:
    torch.manual_seed(0)
    s = crops.statistics
    geometry = FaceGeometry(
        builtin_head(), s.motion_mean, s.motion_std[: preset.spec.d_motion], others=20
    )
    style = StyleEncoder(preset.spec).eval() if preset.spec.use_style else None
    return TwoWindowLosses(
        DiffPoseTalk(preset.spec, dropout=0.0), style, geometry, crops, preset.denoiser
    )


# --- losses --------------------------------------------------------------------------------------


def test_what_is_not_valid_does_not_count() -> None:
    geometry = FaceGeometry(builtin_head(), np.zeros(54, np.float32), np.full(54, 0.1, np.float32))
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 9, 54, generator=generator) for _ in range(2))
    valid = torch.arange(9)[None] < 6
    spoiled = torch.where(valid[..., None], b, torch.full_like(b, 7.0))
    _, terms = motion_losses(a, spoiled, geometry, PAPER, valid=valid)
    _, expected = motion_losses(a[:, :6], b[:, :6], geometry, PAPER)
    assert set(terms) == set(expected)
    for name in terms:
        assert float(terms[name]) == pytest.approx(float(expected[name]), rel=1e-4), name
    nothing, _ = motion_losses(a, b, geometry, PAPER, valid=torch.zeros_like(valid))
    assert float(nothing) == 0.0


def test_the_papers_weights_are_per_square_metre() -> None:
    geometry = FaceGeometry(
        builtin_head(), np.zeros(54, np.float32), np.ones(54, np.float32), others=None
    )
    a, b = torch.zeros(1, 3, 54), torch.zeros(1, 3, 54)
    b[..., 53] = 0.1
    metres = (geometry(a) - geometry(b)) / 1000
    _, terms = motion_losses(a, b, geometry, PAPER)
    assert PAPER.vert * float(terms["vert"]) == pytest.approx(2e6 * float((metres**2).mean()))


def test_motion_without_head_rotation_has_no_head_terms() -> None:
    geometry = FaceGeometry(builtin_head(), np.zeros(51, np.float32), np.ones(51, np.float32))
    _, terms = motion_losses(torch.zeros(1, 4, 51), torch.ones(1, 4, 51), geometry, PAPER)
    assert "vert" in terms and "angle" not in terms


def test_the_seam_costs_nothing_where_the_head_goes_on_evenly() -> None:
    line = torch.arange(6.0)[None, :, None].expand(1, 6, 3)
    assert float(transition_loss(line[:, :3], line[:, 3:])) == 0.0
    assert float(transition_loss(line[:, :3], line[:, 3:] + 1.0)) > 0.1


# --- batches and objectives ----------------------------------------------------------------------


def test_pairs_come_from_different_people_and_are_apart(crops: CropSource) -> None:
    torch.manual_seed(0)
    losses = PairLosses(StyleEncoder(TINY.spec), crops, TINY.style)
    batch = losses.draw(np.random.default_rng(0))
    assert batch.motion.shape == (3, 210, 54), "every person once, 100 + 10 + 100 frames"
    heads = {round(float(m[0, 50]), 3) for m in batch.motion}
    assert len(heads) == 3
    _, terms = losses(np.random.default_rng(0), 0, batch)
    assert set(terms) == {"nt_xent", "retrieved"}


def test_the_second_window_reads_the_first_and_the_other_style(crops: CropSource) -> None:
    losses = two_windows(crops, SMALL)
    batch = losses.draw(np.random.default_rng(0))
    first, second = losses._windows(batch, np.random.default_rng(0))
    assert (first.start, first.n, first.missing) == (0, 20, 10)
    assert (second.start, second.n, second.missing) == (20, 20, 0)
    assert losses.style is not None
    with torch.no_grad():
        torch.testing.assert_close(first.style, losses.style(batch.motion[:, 20:]))
        torch.testing.assert_close(second.style, losses.style(batch.motion[:, :20]))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("truncated", [0.0, 1.0])
def test_speech_after_the_end_is_never_heard(
    crops: CropSource, together: bool, truncated: float
) -> None:
    settings = replace(
        SMALL.denoiser, together=together, truncated=(truncated, truncated), both_null=0.0
    )
    losses = two_windows(crops, replace(SMALL, denoiser=settings))
    batch = losses.draw(np.random.default_rng(0))
    for number, window in enumerate(losses._windows(batch, np.random.default_rng(1))):
        assert (window.ends is not None) == bool(truncated)
        end = window.start + (20 if window.ends is None else int(window.ends[0]))
        changed = batch.samples.clone()
        changed[0, end * 640 :] = 0.5
        with torch.no_grad():
            pasts, nows = [], []
            for samples in (batch.samples, changed):
                whole = losses._encode(samples) if together else None
                past, now = losses._features(window, samples, whole)
                pasts.append(past[0])
                nows.append(now[0])
        torch.testing.assert_close(pasts[0], pasts[1])
        torch.testing.assert_close(nows[0], nows[1])
        assert now.shape == (8, 20, 48) and past.shape == (8, 10, 48), number


@pytest.mark.parametrize(
    ("preset", "terms"),
    [
        (SMALL, {"simple", "vert", "vel", "smooth", "gap", "angle", "head_velocity"}),
        (replace(SMALL, denoiser=replace(SMALL.denoiser, weights=PAPER, vertices=None)),
         {"vert", "transition"}),
        (replace(SMALL, denoiser=replace(SMALL.denoiser, live=True)), {"simple"}),
        (SMALL.without(("geometry",)), {"simple"}),
        (SMALL.without(("alignment", "style", "guidance")), {"vert"}),
    ],
)  # fmt: skip
def test_every_setting_makes_a_gradient(
    crops: CropSource, preset: Preset, terms: set[str]
) -> None:
    losses = two_windows(crops, preset)
    batch = losses.draw(np.random.default_rng(0))
    total, parts = losses(np.random.default_rng(0), 0, batch)
    total.backward()  # type: ignore[no-untyped-call]
    assert terms <= set(parts) and all(bool(torch.isfinite(v)) for v in parts.values())
    if preset.denoiser.weights.vert == 0.0:
        assert "vert" not in parts
    gradient = losses.model.denoising_net.feature_proj.weight.grad
    assert gradient is not None and float(gradient.abs().sum()) > 0


def test_ablations_leave_out_what_they_say() -> None:
    for name, preset in PRESETS.items():
        assert preset.without(()) == preset, name
    paper = PRESETS["paper"]
    assert paper.without(("alignment",)).spec.denoiser.align_mask_width == 0
    assert paper.without(("style",)).spec.d_person == 100
    assert paper.without(("head",)).spec.d_motion == 51
    assert paper.without(("geometry",)).denoiser.weights == Weights(1, *[0] * 8)
    unguided = paper.without(("guidance",))
    assert unguided.denoiser.style_null == unguided.denoiser.both_null == 0.0
    assert unguided.spec.live.audio_guidance == unguided.spec.live.style_guidance == 1.0
    assert paper.denoiser.together and not PRESETS["code"].denoiser.together
    assert (paper.style.gap, PRESETS["code"].style.gap) == (0, 10)


# --- HuBERT --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hubert() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_hubert(48)


def test_frozen_layers_of_hubert_stay_as_they_are(
    crops: CropSource, hubert: torch.nn.Module
) -> None:
    spec = replace(SMALL.spec, speech=SpeechEncoderSpec(kind="hubert", d_out=48))
    code = replace(
        PRESETS["code"].denoiser, run=replace(SMALL.denoiser.run, batch=1), vertices=20
    )
    losses = two_windows(crops, replace(SMALL, spec=spec, denoiser=code))
    encoder = losses.model.audio_encoder
    encoder.load_state_dict(hubert.state_dict())
    freeze_hubert(encoder, code.frozen_layers)
    losses.model.train()
    total, _ = losses(np.random.default_rng(0), 0, losses.draw(np.random.default_rng(0)))
    total.backward()  # type: ignore[no-untyped-call]
    learned = {name for name, p in encoder.named_parameters() if p.grad is not None}
    frozen = ("feature_extractor", "feature_projection", "encoder.layers.0.", "encoder.layers.1.")
    assert learned and not any(name.startswith(frozen) for name in learned)
    assert any(name.startswith("encoder.pos_conv_embed") for name in learned)


def test_pretrained_weights_are_found_under_old_names(
    tmp_path: Path, hubert: torch.nn.Module
) -> None:
    conv = "encoder.pos_conv_embed.conv."
    old = {f"{conv}parametrizations.weight.original0": f"{conv}weight_g",
           f"{conv}parametrizations.weight.original1": f"{conv}weight_v"}  # fmt: skip
    tensors = {f"hubert.{old.get(k, k)}": v for k, v in hubert.state_dict().items()}
    tensors["lm_head.weight"] = torch.zeros(3)
    path = tmp_path / "model.safetensors"
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, path)
    torch.manual_seed(1)
    fresh = build_hubert(48)
    load_hubert(fresh, str(tmp_path))  # the folder of a download
    for name, value in fresh.state_dict().items():
        torch.testing.assert_close(value, hubert.state_dict()[name])
    with pytest.raises(PretrainedError, match="is \\(48,\\), not \\(96,\\)"):
        load_hubert(build_hubert(96), str(path))
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")
    for source, reason in (
        (str(path), "cannot be read as weights"), ("", "downloaded beforehand"),
        (str(tmp_path / "nobody"), "no such file"),
    ):
        with pytest.raises(PretrainedError, match=reason):
            load_hubert(fresh, source)


# --- runs ----------------------------------------------------------------------------------------


def run_of(folder: Path, **changes: object) -> RunSettings:
    defaults = {"steps": 8, "learning_rate": 1e-3, "warm_up": 2, "ema": 0.5, "save_minutes": 0.0,
                "minutes": 1e9}  # fmt: skip
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


def test_a_full_disk_costs_no_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = torch.nn.Linear(200, 200)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def losses(rng: np.random.Generator, step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if step == 2:  # from here on, no file may grow beyond 100 kB
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        return model(torch.ones(1, 200)).square().mean(), {}

    try:
        with pytest.raises(checkpoint.CheckpointError, match="cannot be written"):
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
    with pytest.raises(checkpoint.CheckpointError, match="another model"):
        averaged(tmp_path, torch.nn.Linear(4, 1))
    with pytest.raises(FileNotFoundError, match="train it first"):
        averaged(tmp_path / "none", model)
    for spoiled in (b"", b"PK\x03\x04", (tmp_path / "checkpoint.pt").read_bytes()[:400]):
        (tmp_path / "checkpoint.pt").write_bytes(spoiled)
        with pytest.raises(checkpoint.CheckpointError, match="delete it to begin anew") as caught:
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


def settings(data: Path, out: Path, **changes: object) -> program.Settings:
    defaults = {"preset": "tiny", "style_steps": 25, "steps": 110, "batch": 3, "rate": 3e-3,
                "device": "cpu", "validate_every": 0}  # fmt: skip
    return program.Settings(data, out, **(defaults | changes))  # type: ignore[arg-type]


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
    from training.validation import picture

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
import sys, numpy as np, torch
from pathlib import Path
from training.engine import choose
from training.loop import RunSettings, train
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
            [sys.executable, "-P", *arguments], capture_output=True, text=True, timeout=280,
            env=os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    several = result([*launch, str(script), str(tmp_path / "two"), "1"])
    alone = result([str(script), str(tmp_path / "one"), "2"])
    assert several[0] == "2" and alone[0] == "1"
    np.testing.assert_allclose(np.array(several[1:], float), np.array(alone[1:], float), atol=2e-5)
