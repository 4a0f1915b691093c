"""Paper mode against the released pipeline written down independently, and what it promises."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import official_reference
import pytest
import torch
from cli import call
from official_checkpoint import (
    SMALL,
    Sizes,
    make_denoiser,
    make_statistics,
    make_style_encoder,
    write,
)

import posetalk
from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.importing.released import Files, import_released
from diffposetalk.paper_mode.pipeline import (
    Loaded,
    PaperClip,
    PaperSettings,
    animate_clip,
    animate_clips,
    clip_windows,
)
from diffposetalk.spec import HubertSpec, SpeechEncoderSpec
from posetalk.formats.motion_file import Motion

SMALL_HUBERT = SpeechEncoderSpec(
    d_out=32, hubert=HubertSpec(n_layers=2, n_heads=2, d_hidden=48, d_conv=16, position_groups=4)
)
TOLERANCE = 1e-3
"""In normalised units, on samples from the same noise."""


def speech(samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    swell = np.abs(np.sin(np.arange(samples) / 3000.0))
    return (0.2 * swell * rng.standard_normal(samples) + 0.01).astype(np.float32)


def loaded(folder: Path, *, head: bool = True, sizes: Sizes = SMALL) -> Loaded:
    write(folder / "files", sizes, head=head)
    files = Files(
        folder / "files" / "denoiser.pt",
        folder / "files" / "stats_train.npz",
        folder / "files" / "se.pt",
        folder / "files" / "styles",
        speech=SMALL_HUBERT,
    )
    return Loaded.of(import_released(files, folder / "bundle"))


@pytest.fixture(scope="module")
def with_head(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return loaded(tmp_path_factory.mktemp("head"))


@pytest.fixture(scope="module")
def without_head(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return loaded(tmp_path_factory.mktemp("no_head"), head=False)


def compare(ours: Loaded, sizes: Sizes, samples: int, **settings: float) -> float:
    """The largest difference between our motion and the reference's, in normalised units."""
    spec, rng = ours.model.spec, np.random.default_rng(4)
    audio = speech(samples)
    size = (spec.T_w, spec.d_motion)
    _, count = clip_windows(audio, spec)
    initial = rng.standard_normal(size, np.float32)
    noise = rng.standard_normal((count, sizes.steps, *size), np.float32)
    shape = rng.normal(0, 0.5, 100).astype(np.float32)
    style = ours.bundle.styles["normal"]
    checkpoint = make_denoiser(sizes, head=spec.head_rotation)
    with torch.inference_mode():
        theirs = official_reference.animate(
            checkpoint,
            sizes.hubert_config(),
            make_statistics(),
            audio,
            shape,
            style,
            torch.from_numpy(initial),
            torch.from_numpy(noise),
            threshold=settings.get("threshold", 0.0),
            audio_scale=settings.get("audio_guidance", 1.15),
            style_scale=settings.get("style_guidance", 3.0),
        ).numpy()
    motion = animate_clip(
        ours,
        audio,
        shape,
        style,
        initial_noise=initial,
        step_noise=noise,
        normalised=True,
        **settings,  # type: ignore[arg-type]
    )
    assert motion.shape == theirs.shape == (samples // 640, spec.d_motion)
    assert theirs.std() > 0.1, "a reference that hardly moves proves nothing"
    return float(np.abs(motion - theirs).max())


WINDOW = 640 * SMALL.window


@pytest.mark.parametrize(
    "samples",
    [
        640 * 5,
        WINDOW - 1,
        WINDOW,
        WINDOW + 1,  # the surplus shortens the padding
        WINDOW + 79,
        WINDOW + 319,
        WINDOW + 640,
        3 * WINDOW + 3333,
    ],
)
def test_motion_is_the_released_pipelines(with_head: Loaded, samples: int) -> None:
    assert compare(with_head, SMALL, samples) < TOLERANCE


def test_without_head_motion(without_head: Loaded) -> None:
    assert without_head.model.spec.d_motion == 51
    assert compare(without_head, SMALL, 2 * WINDOW + 700) < TOLERANCE


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 0.9},
        {"threshold": 0.99, "audio_guidance": 2.0},
        {"audio_guidance": 1.0, "style_guidance": 1.0},
        {"audio_guidance": 1.0, "style_guidance": 2.0},
        {"audio_guidance": 3.0, "style_guidance": 3.0},
    ],
)
def test_guidance_and_thresholding(with_head: Loaded, settings: dict[str, float]) -> None:
    assert compare(with_head, SMALL, WINDOW + 1280, **settings) < TOLERANCE


def test_all_500_steps(tmp_path: Path) -> None:
    sizes = dataclasses.replace(SMALL, steps=500)
    assert compare(loaded(tmp_path, sizes=sizes), sizes, WINDOW + 700, threshold=0.99) < TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_official_size(tmp_path: Path) -> None:
    """Every size as released but the number of steps, which would take minutes: two windows."""
    sizes = dataclasses.replace(Sizes(), steps=20)
    files = write(tmp_path / "files", sizes)
    ours = Loaded.of(
        import_released(
            Files(
                files / "denoiser.pt", files / "stats_train.npz", files / "se.pt", files / "styles"
            ),
            tmp_path / "bundle",
        )
    )
    assert compare(ours, sizes, 640 * 104 + 5) < TOLERANCE


def test_the_style_encoder_is_the_released_one(with_head: Loaded) -> None:
    motion = torch.from_numpy(np.random.default_rng(0).normal(size=(100, 54)).astype(np.float32))
    with torch.inference_mode():
        ours = with_head.bundle.style_encoder()(motion[None])[0]
        theirs = official_reference.encode_style(make_style_encoder(SMALL), motion)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_raw_motion_is_denormalised(with_head: Loaded) -> None:
    audio, statistics = speech(WINDOW), with_head.bundle.statistics
    raw = animate_clip(with_head, audio, seed=3)
    normal = animate_clip(with_head, audio, seed=3, normalised=True)
    np.testing.assert_allclose(
        raw, normal * statistics.motion_std + statistics.motion_mean, atol=1e-6
    )
    assert not np.array_equal(raw, animate_clip(with_head, audio, seed=4))


def test_a_batch_of_clips_is_each_clip_alone(with_head: Loaded) -> None:
    clips = [
        PaperClip(speech(samples, seed=index), style=style, seed=index)
        for index, (samples, style) in enumerate(
            [(WINDOW * 2 + 5, "normal"), (700, "happy"), (WINDOW + 640, "normal*0.5+happy*0.5")]
        )
    ]
    seen: list[float] = []
    for settings in (PaperSettings(), PaperSettings("dpm++", steps=3)):
        together = animate_clips(with_head, clips, settings, progress=seen.append)
        for clip, motion in zip(clips, together, strict=True):
            np.testing.assert_allclose(
                animate_clips(with_head, [clip], settings)[0], motion, atol=1e-3
            )
    assert seen[-1] == 1.0 and all(0 < part <= 1 for part in seen)


@pytest.mark.parametrize("sampler", ["ancestral", "dpm++"])
def test_the_starter_runs_in_paper_mode(sampler: str) -> None:
    bundle = load_bundle("starter")
    if sampler == "ancestral":  # the whole schedule takes seconds: a shorter one proves as much
        model = bundle.model()
        model.schedule = type(model.schedule)(model.schedule.betas[:13])
        model.spec = dataclasses.replace(
            model.spec, diffusion=dataclasses.replace(model.spec.diffusion, steps=12)
        )
        ours = Loaded(bundle, model)
    else:
        ours = Loaded.of(bundle)
    motion = animate_clip(ours, speech(640 * 110), sampler=sampler)  # type: ignore[arg-type]
    assert motion.shape == (110, 54) and np.isfinite(motion).all() and motion.std() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": np.zeros(639)}, "one frame takes 640"),
        ({"samples": np.zeros((640, 2))}, "mono"),
        ({"samples": np.full(6400, np.nan)}, "finite"),
        ({"shape": np.zeros(99)}, r"shape is \(99,\), it must be \(100,\)"),
        ({"style": np.zeros(3)}, r"style is \(3,\)"),
        ({"style": "angry"}, "no style 'angry'"),
        ({"initial_noise": np.zeros((3, 54))}, "initial noise is"),
        ({"step_noise": np.zeros((1, 500, 12, 54))}, r"step noise is .* must be \(1, 25"),
        ({"sampler": "ddim"}, "no sampler 'ddim'"),
        ({"sampler": "ancestral", "steps": 20}, "takes all 25 steps"),
        ({"sampler": "dpm++", "steps": 0}, "choose 1 to 23"),
        ({"sampler": "dpm++", "steps": 24}, "choose 1 to 23"),
        ({"sampler": "dpm++", "step_noise": np.zeros((1, 25, 12, 54))}, "leave the step noise"),
        ({"threshold": 2.0}, "a quantile is 0 to 1"),
    ],
)
def test_bad_input_gets_one_line(
    with_head: Loaded, change: dict[str, object], message: str
) -> None:
    given: dict[str, object] = {"samples": speech(6400), **change}
    with pytest.raises(ValueError, match=message) as error:
        animate_clip(with_head, **given)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


# --- the command ----------------------------------------------------------------------------------
@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))  # no head `flame` there
    monkeypatch.chdir(tmp_path)
    soundfile = pytest.importorskip("soundfile", reason="not run: soundfile is not installed")
    soundfile.write(tmp_path / "talk.wav", speech(640 * 30), 16000)
    return tmp_path / "talk.wav"


def test_the_command_writes_motion_without_a_head(
    with_head: Loaded, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    animate = ["animate", str(sound), "--bundle", str(with_head.bundle.folder), "--seed", "3"]
    np.save("me.npy", np.ones((2, 100), np.float32))
    arguments = ["--mode", "paper", "--style", "happy*0.5+normal*0.5", "--shape", "me.npy"]
    code, _, messages = call([*animate, *arguments, "-o", "m.npz"], capsys)
    assert code == 0 and "m.npz: 1.2 s" in messages, messages
    motion = Motion.load("m.npz")
    assert len(motion) == 30 and motion.head == "flame" and (motion.shape == 1).all()
    assert call([*animate, "--shape", "m.npz", "-o", "live.npz"], capsys)[0] == 0
    assert (Motion.load("live.npz").shape == 1).all()
    code, _, messages = call([*animate, "--mode", "paper", "-o", "m.mp4"], capsys)
    assert code == 1 and "moves the head 'flame', which is not here" in messages
    few = [*animate, "--mode", "paper", "--steps", "3", "--threshold", "0.99", "-o", "few.npz"]
    assert call(few, capsys)[0] == 0 and len(Motion.load("few.npz")) == 30


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--sampler", "dpm++"], 2, "--sampler goes with --mode paper"),
        (["--mode", "paper", "--hop", "2"], 2, "--lookahead go with --mode live"),
        (["--mode", "paper", "--backend", "fake"], 2, "paper mode runs on torch"),
        (["--mode", "paper", "--sampler", "ancestral", "--steps", "5"], 1, "takes all 25 steps"),
        (["--mode", "paper", "--shape", "talk.wav"], 1, "an identity is (100,) finite numbers"),
        (["--mode", "paper", "--style", "nobody"], 1, "no style 'nobody'"),
        (["--mode", "paper", "--threshold", "7"], 1, "a quantile is 0 to 1"),
    ],
)
def test_wrong_use_gets_one_line(
    with_head: Loaded,
    sound: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    animate = ["animate", str(sound), "--bundle", str(with_head.bundle.folder), "-o", "m.npz"]
    got, _, messages = call([*animate, *arguments], capsys)
    assert got == code and message in messages and len(messages.splitlines()) == 1
    assert not Path("m.npz").exists()


def test_the_product_in_python_has_paper_mode(with_head: Loaded, sound: Path) -> None:
    folder = str(with_head.bundle.folder)
    motion = posetalk.animate(sound, "m.npz", bundle=folder, mode="paper", steps=3, seed=5)
    assert len(motion) == 30 and motion.head == "flame"
    assert (Motion.load("m.npz").exp == motion.exp).all()
    again = posetalk.animate(sound, bundle=folder, mode="paper", sampler="dpm++", steps=3, seed=5)
    assert (again.exp == motion.exp).all()
    for wrong in ({"hop": 2}, {"steps": 99}, {"sampler": "ancestral", "steps": 3}):
        with pytest.raises(ValueError):
            posetalk.animate(sound, "n.npz", bundle=folder, mode="paper", **wrong)
    assert not Path("n.npz").exists()
