"""Released checkpoints become bundles: their content, the files beside them, folder and command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from cli import brings, call
from official_checkpoint import SMALL, make_denoiser, make_statistics, make_style_encoder, write
from released_files import SMALL_HUBERT, Content, changed, download, files, refused, rewrite

from diffposetalk.bundle.bundle import BundleError, load_bundle
from diffposetalk.importing.checkpoint import read_checkpoint
from diffposetalk.importing.released import import_released


@pytest.fixture(scope="module", autouse=True)
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as somebody has it who downloaded everything."""
    return download(tmp_path_factory.mktemp("released"))


# --- what is right --------------------------------------------------------------------------------
def test_a_bundle_holds_everything(released: Path, tmp_path: Path) -> None:
    import_released(files(released), tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    assert list(bundle.styles) == ["happy", "normal", "none"] and bundle.head_id == "flame"
    np.testing.assert_array_equal(
        bundle.styles["happy"], np.load(released / "styles" / "happy.npy")
    )
    state, ours = make_denoiser(SMALL)["model"], bundle.model().state_dict()
    assert ours.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(ours[name], tensor), name
    np.testing.assert_array_equal(bundle.styles["none"], state["null_style_feat"].numpy()[0, 0])
    encoder = make_style_encoder(SMALL)["encoder"]
    for name, tensor in bundle.style_encoder().state_dict().items():
        assert torch.equal(tensor, encoder[name]), name
    stats = make_statistics()
    np.testing.assert_array_equal(bundle.statistics.motion_mean[50:], stats["pose_mean"][:4])
    np.testing.assert_array_equal(bundle.statistics.motion_std[:50], stats["exp_std"])
    np.testing.assert_array_equal(bundle.statistics.shape_std, stats["shape_std"])
    live = bundle.spec.live
    assert (live.window_rule, live.steps, live.audio_guidance, live.style_guidance) == (
        "sliding",
        4,
        1.15,
        3.0,
    )
    assert live.threshold_quantile == 0.99
    assert bundle.provenance["denoiser"]["iterations"] == 110000
    assert bundle.provenance["arguments"]["data_root"] == "'datasets/HDTF_TFHP/lmdb'"
    assert "terms" in bundle.card


def test_a_model_without_head_motion(tmp_path: Path) -> None:
    folder = write(tmp_path / "files", head=False)
    bundle = import_released(files(folder), tmp_path / "bundle")
    assert bundle.spec.d_motion == 51 and bundle.spec.live.threshold_quantile is None
    assert bundle.statistics.motion_mean[50] == make_statistics()["pose_mean"][3]


def test_a_model_without_style(tmp_path: Path) -> None:
    given = changed(tmp_path, lambda _: None, style_encoder=None, styles=None)
    torch.save(make_denoiser(SMALL, style_checkpoint=None), given.denoiser)
    bundle = import_released(given, tmp_path / "bundle")
    assert not bundle.spec.use_style and list(bundle.styles) == ["none"]
    assert "takes no style" in refused(files(given.denoiser.parent), tmp_path / "other")


def test_without_styles_and_style_encoder_there_is_the_null_style(
    released: Path, tmp_path: Path
) -> None:
    bundle = import_released(files(released, style_encoder=None, styles=None), tmp_path / "bundle")
    assert list(bundle.styles) == ["none"]


def old_argument_names(content: Content) -> None:
    args = vars(content["args"])
    for name in ("align_mask_width", "no_head_pose", "no_use_learnable_pe"):
        del args[name]
    args |= {"use_alignment_mask": True, "predict_head_pose": True, "use_learnable_pe": True}


def old_weight_norm(content: Content) -> None:
    state, conv = content["model"], "audio_encoder.encoder.pos_conv_embed.conv."
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        state[conv + old] = state.pop(f"{conv}parametrizations.weight.{new}")


def no_tables(content: Content) -> None:
    state = content["model"]
    for name in [name for name in state if "diffusion_sched" in name or "TE.pe" in name]:
        del state[name]
    del state["denoising_net.alignment_mask"]


def half_precision(content: Content) -> None:
    content["model"] = {
        name: tensor.half() if tensor.is_floating_point() and "sched" not in name else tensor
        for name, tensor in content["model"].items()
    }


def parameters(content: Content) -> None:
    content["model"]["start_audio_feat"] = torch.nn.Parameter(content["model"]["start_audio_feat"])


@pytest.mark.parametrize(
    "change", [old_argument_names, old_weight_norm, no_tables, half_precision, parameters]
)
def test_other_spellings(tmp_path: Path, change: Callable[[Content], None]) -> None:
    bundle = import_released(changed(tmp_path, change), tmp_path / "bundle")
    assert bundle.spec.head_rotation and bundle.spec.denoiser.align_mask_width == 1
    wanted, state = make_denoiser(SMALL)["model"], bundle.model().state_dict()
    for name, tensor in state.items():
        tolerance = 2e-3 if change in (half_precision, no_tables) else 0.0
        torch.testing.assert_close(tensor, wanted[name], rtol=tolerance, atol=tolerance)


def test_checkpoints_from_windows_and_of_later_pythons(tmp_path: Path) -> None:
    given = changed(tmp_path, lambda _: None)
    rewrite(given.denoiser, lambda _, data: data.replace(b"pathlib\nPosix", b"pathlib\nWindows"))
    kept = vars(read_checkpoint(given.denoiser).content["args"])
    assert kept["style_enc_ckpt"] == PureWindowsPath("experiments/SE/head-L4H4/checkpoints/") / (
        "iter_0026000.pt"
    )
    import_released(given, tmp_path / "bundle")
    torch.save(make_denoiser(SMALL), given.denoiser)
    rewrite(given.denoiser, lambda _, data: data.replace(b"cpathlib\n", b"cpathlib._local\n"))
    kept = vars(read_checkpoint(given.denoiser).content["args"])
    assert kept["data_root"] == PurePosixPath("datasets/HDTF_TFHP/lmdb")


def test_views_of_one_storage(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {"whole": base, "part": base[1:3, ::2], "turned": base.T, "none": torch.zeros(0, 3)}
    torch.save({"state": state}, tmp_path / "x.pt")
    tensors = read_checkpoint(tmp_path / "x.pt").content["state"]
    for name, tensor in state.items():
        assert torch.equal(tensors[name], tensor)


def test_what_a_file_does_not_say_can_be_added(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        del content["args"].audio_model

    given = changed(tmp_path, change, given={"audio_model": "hubert", "fps": "25"})
    import_released(given, tmp_path / "bundle")
    contradicted = changed(tmp_path, change, given={"audio_model": "hubert", "fps": "30"})
    assert "says fps = 25, not 30" in refused(contradicted, tmp_path / "other")


# --- statistics and styles ------------------------------------------------------------------------
def test_missing_statistics_say_why_and_what_to_do(released: Path, tmp_path: Path) -> None:
    line = refused(files(released, stats=None), tmp_path / "bundle")
    assert "checkpoints do not hold them" in line and "--stats stats_train.npz" in line
    assert "datasets/HDTF_TFHP/lmdb" in line and "on request" in line
    absent = files(released, stats=released / "absent.npz")
    assert "absent.npz" in refused(absent, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exp_std": np.ones(100)}, "exp_std is (100,), not (50,)"),
        ({"pose_mean": np.ones((1, 6))}, "pose_mean is (1, 6), not (6,)"),
        ({"exp_std": np.zeros(50)}, "deviation of motion channel 0 is not positive"),
        ({"shape_std": -np.ones(100)}, "deviation of shape channel 0 is not positive"),
        ({"exp_mean": np.full(50, np.nan)}, "motion statistics hold values that are not finite"),
        ({"exp_mean": np.array(["a"] * 50)}, "no file of statistics"),
        ({"exp_mean": None}, "no file of statistics"),
        ({"shape_mean": np.zeros(1 << 19)}, "no file of statistics"),
    ],
)
def test_statistics_that_cannot_be_used(
    released: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arrays = {k: v for k, v in (make_statistics() | change).items() if v is not None}
    np.savez_compressed(tmp_path / "stats.npz", **arrays)
    line = refused(files(released, stats=tmp_path / "stats.npz"), tmp_path / "out" / "bundle")
    assert message in line


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 cut", b"\x93NUMPY\x01\x00", b"x" * 3_000_000]
)
def test_statistics_that_are_none(released: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stats.npz").write_bytes(content)
    line = refused(files(released, stats=tmp_path / "stats.npz"), tmp_path / "bundle")
    assert "file of statistics" in line


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(7, np.float32), "odd.npy has 7 numbers, the model's styles 16"),
        (np.full(16, np.inf), "a style is one row of finite numbers"),
        (np.array([{}]), "odd.npy: not a style file"),
        (None, "holds no .npy file"),
    ],
)
def test_style_vectors_that_are_none(
    released: Path, tmp_path: Path, vector: Any, message: str
) -> None:
    folder = tmp_path / "styles"
    folder.mkdir()
    if vector is not None:
        np.save(folder / "odd.npy", vector, allow_pickle=True)
    assert message in refused(files(released, styles=folder), tmp_path / "bundle")
    assert "is no folder" in refused(files(released, styles=tmp_path / "no"), tmp_path / "bundle")


# --- writing --------------------------------------------------------------------------------------
def test_a_folder_that_is_something_else_is_kept(released: Path, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "one.txt").write_text("words")
    with pytest.raises(BundleError, match="thesis is not a bundle"):
        import_released(files(released), precious)
    assert (precious / "one.txt").read_text() == "words"


def test_too_little_room_is_seen_before_the_work(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert "has 0 MB left: make room" in refused(files(released), tmp_path / "bundle")


@pytest.mark.skipif(sys.platform == "win32", reason="not run: no file size limits on Windows")
def test_a_disk_that_fills_up_leaves_nothing(released: Path, tmp_path: Path) -> None:
    """The system refuses to write on, in the middle of the weights."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        line = refused(files(released), tmp_path / "bundle")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in line and "bundle" in line and list(tmp_path.iterdir()) == []


# --- the command ----------------------------------------------------------------------------------
def test_the_command(
    released: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("diffposetalk.importing.arguments.SpeechEncoderSpec", lambda: SMALL_HUBERT)
    bundle = tmp_path / "bundle"
    arguments = ["import", str(released / "denoiser.pt"), "-o", str(bundle)]
    code, _, messages = call(arguments, capsys)
    assert code == 1 and "--stats stats_train.npz" in messages and messages.count("\n") == 1
    arguments += ["--stats", str(released / "stats_train.npz")]
    arguments += ["--style-encoder", str(released / "se.pt"), "--styles", str(released / "styles")]
    assert call([*arguments, "--set", "audio_model"], capsys)[0] == 2
    code, _, messages = call(arguments, capsys)
    assert code == 0 and "styles happy, normal, none" in messages and bundle.is_dir()


def test_without_torch_the_command_says_what_to_install(
    released: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("released", "checkpoint", "tensors"):
        monkeypatch.delitem(sys.modules, f"diffposetalk.importing.{name}")
    code, _, messages = call(["import", str(released / "denoiser.pt"), "-o", "x"], capsys)
    assert code == 1 and "needs torch: run `" in messages and brings("torch", messages)
    paper = ["animate", "demo", "--mode", "paper", "-o", "x.npz"]
    code, _, messages = call(paper, capsys)
    assert code == 1 and "paper mode needs torch: run `" in messages and brings("torch", messages)
