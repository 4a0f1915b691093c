"""Released checkpoints become bundles; files that are wrong, hostile or cut short get one line."""

from __future__ import annotations

import argparse
import copy
import functools
import io
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from cli import call
from official_checkpoint import SMALL, make_denoiser, make_statistics, make_style_encoder, write

from diffposetalk.bundle import BundleError, load_bundle
from diffposetalk.importing.archive import read_checkpoint, read_tensors
from diffposetalk.importing.pickles import CheckpointError, read_pickle
from diffposetalk.importing.released import Files, import_released
from diffposetalk.spec import HubertSpec, SpeechEncoderSpec

SMALL_HUBERT = SpeechEncoderSpec(
    d_out=32, hubert=HubertSpec(n_layers=2, n_heads=2, d_hidden=48, d_conv=16, position_groups=4)
)
Content = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as somebody has it who downloaded everything."""
    _KEPT[:] = [write(tmp_path_factory.mktemp("released"))]
    return _KEPT[0]


def files(folder: Path, **changes: Any) -> Files:
    given: dict[str, Any] = {
        "denoiser": folder / "denoiser.pt", "stats": folder / "stats_train.npz",
        "style_encoder": folder / "se.pt", "styles": folder / "styles", "speech": SMALL_HUBERT,
    }  # fmt: skip
    return Files(**(given | changes))


def refused(given: Files, folder: Path) -> str:
    """The one line on why there is no bundle; nothing is left behind."""
    before = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    with pytest.raises((CheckpointError, BundleError, OSError)) as caught:
        import_released(given, folder)
    assert "\n" not in str(caught.value)
    assert (sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []) == before
    return str(caught.value)


def changed(tmp_path: Path, change: Callable[[Content], object], **options: Any) -> Files:
    """The released files with a changed denoiser."""
    folder = tmp_path / "files"
    shutil.copytree(_KEPT[0], folder, dirs_exist_ok=True)
    content = copy.deepcopy(_denoiser())
    change(content)
    torch.save(content, folder / "denoiser.pt")
    return files(folder, **options)


_KEPT: list[Path] = []


@functools.cache
def _denoiser() -> Content:
    return make_denoiser(SMALL)


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
        "sliding", 4, 1.15, 3.0,
    )  # fmt: skip
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
    bundle = import_released(
        files(released, style_encoder=None, styles=None), tmp_path / "bundle"
    )
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


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None], **how: Any) -> None:
    """Write an archive again, its members changed or left out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", how.get("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in members.items():
            new = change(name, data)
            if new is not None:
                archive.writestr(name, new)


def test_checkpoints_from_windows_and_of_other_protocols(tmp_path: Path) -> None:
    given = changed(tmp_path, lambda _: None)
    rewrite(given.denoiser, lambda _, data: data.replace(b"pathlib\nPosix", b"pathlib\nWindows"))
    kept = vars(read_checkpoint(given.denoiser).content["args"])
    assert kept["style_enc_ckpt"] == PureWindowsPath("experiments/SE/head-L4H4/checkpoints/") / (
        "iter_0026000.pt"
    )
    import_released(given, tmp_path / "bundle")
    torch.save(make_denoiser(SMALL), given.denoiser, pickle_protocol=4)
    import_released(given, tmp_path / "bundle")
    rewrite(given.denoiser, lambda _, data: data.replace(b"\x07pathlib", b"\x0epathlib._local"))
    kept = vars(read_checkpoint(given.denoiser).content["args"])
    assert kept["data_root"] == PurePosixPath("datasets/HDTF_TFHP/lmdb")


def test_views_of_one_storage(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {"whole": base, "part": base[1:3, ::2], "turned": base.T, "none": torch.zeros(0, 3)}
    torch.save({"state": state}, tmp_path / "x.pt")
    checkpoint = read_checkpoint(tmp_path / "x.pt")
    tensors = read_tensors(tmp_path / "x.pt", checkpoint.content["state"])
    for name, tensor in state.items():
        assert torch.equal(tensors[name], tensor)


# --- arguments ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"audio_model": "wav2vec2"}, "audio_model = 'wav2vec2'; posetalk runs the HuBERT models"),
        ({"audio_model": None}, "does not say its audio_model: add --set audio_model=VALUE"),
        ({"n_heads": None}, "does not say its n_heads"),
        ({"n_heads": "8"}, "n_heads = '8' is no size"),
        ({"fps": 30}, "other than 25 frames per second"),
        ({"cfg_mode": "independent"}, "cfg_mode = 'independent'; posetalk guides audio first"),
        ({"guiding_conditions": "style"}, "needs a model that was trained with audio,style"),
        ({"guiding_conditions": ["a"] * 9}, "needs a model that was trained with audio,style"),
        ({"architecture": "encoder"}, "architecture = 'encoder'"),
        ({"rot_repr": "6d"}, "rot_repr = '6d'"),
        ({"target": "velocity"}, "target = 'velocity'"),
        ({"n_motions": 1}, "a window of 1 frames"),
        ({"n_motions": 10**9}, "n_motions = 1000000000 is no size"),
        ({"feature_dim": 10**5}, "feature_dim = 100000 is no size"),
        ({"feature_dim": 16384}, "by the checkpoint's own arguments it is"),  # 30 GB, never made
        ({"n_heads": 5}, "5 heads do not divide a width of 32"),
        ({"no_head_pose": True}, "se.pt was trained with head motion"),
        ({"use_indicator": False}, r"feature_proj.weight is \(32, 55\), .* is \(32, 54\)"),
        ({"n_layers": 3}, r"lacks denoising_net.transformer.layers.2.*and 17 more"),
        ({"n_layers": 1}, r"has an unknown denoising_net.transformer.layers.1"),
        ({"feature_dim": 64}, "by the checkpoint's own arguments it is"),
        ({"n_diff_steps": 30}, "is not what the checkpoint's own arguments say"),
        ({"diff_schedule": "linear"}, "is not what the checkpoint's own arguments say"),
        ({"align_mask_width": 2}, "alignment_mask is not what the checkpoint's own arguments say"),
        ({"d_style": 8}, "makes styles of 16 numbers, .* takes 8"),
        ({"style_enc_ckpt": "experiments/SE/x/checkpoints/iter_0034000.pt"}, "is iteration 26000"),
    ],
)
def test_arguments_that_posetalk_cannot_follow(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    def change(content: Content) -> None:
        vars(content["args"]).update(arguments)

    import re

    line = refused(changed(tmp_path, change), tmp_path / "bundle")
    assert re.search(message, line), line


def test_what_a_file_does_not_say_can_be_added(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        del content["args"].audio_model

    given = changed(tmp_path, change, given={"audio_model": "hubert", "fps": "25"})
    import_released(given, tmp_path / "bundle")
    contradicted = changed(tmp_path, change, given={"audio_model": "hubert", "fps": "30"})
    assert "says fps = 25, not 30" in refused(contradicted, tmp_path / "other")


# --- tensors --------------------------------------------------------------------------------------
def set_nan(state: Content) -> None:
    state["audio_feature_map.bias"][3] = float("nan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_nan, "audio_feature_map.bias holds values that are not finite"),
        (lambda s: s.pop("null_audio_feat"), "lacks null_audio_feat: its tensors are those of"),
        (lambda s: s.update(extra=torch.zeros(1)), "has an unknown extra: its tensors"),
        (
            lambda s: s.update(null_audio=s.pop("null_audio_feat")),
            "lacks null_audio_feat and has an unknown null_audio",
        ),
        (
            lambda s: [s.update({f"module.{n}": s.pop(n)}) for n in list(s)],
            "DataParallel wrapper; save `model.module`",
        ),
        (
            lambda s: s.update({"null_audio_feat": torch.zeros(1, 1, 31)}),
            r"null_audio_feat is (1, 1, 31), by the checkpoint's own arguments it is (1, 1, 32)",
        ),
        (
            lambda s: s.update({"null_audio_feat": torch.zeros(1, 1, 32).long()}),
            "null_audio_feat holds torch.int64, not real numbers",
        ),
        (lambda s: s.update({"null_audio_feat": 3}), "'null_audio_feat' is no tensor"),
        (lambda s: s["diffusion_sched.betas"].mul_(2), "diffusion_sched.betas is not what"),
        (lambda s: s.clear(), "holds no `model`"),
    ],
)
def test_tensors_that_do_not_fit(
    tmp_path: Path, change: Callable[[Content], object], message: str
) -> None:
    given = changed(tmp_path, lambda content: change(content["model"]))
    assert message in refused(given, tmp_path / "bundle")


def test_files_in_each_others_place(released: Path, tmp_path: Path) -> None:
    denoiser, encoder = released / "denoiser.pt", released / "se.pt"
    target = tmp_path / "bundle"
    assert "give it as --style-encoder" in refused(files(released, denoiser=encoder), target)
    assert "give it as the first file" in refused(files(released, style_encoder=denoiser), target)
    other = write(tmp_path / "other", head=False)
    swapped = files(released, style_encoder=other / "se.pt")
    assert "was trained without head motion" in refused(swapped, target)


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


# --- files that are no checkpoints, or worse ------------------------------------------------------
class _Evil:
    """Would write a file if it were ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    def everywhere(content: Content) -> None:
        content["args"].surprise = _Evil(trap)

    line = refused(changed(tmp_path, everywhere), tmp_path / "bundle")
    assert "asks for 'io.open', which no checkpoint needs: nothing of it was run" in line
    assert not trap.exists()


@pytest.mark.parametrize(
    "value",
    [
        print, len, argparse.ArgumentParser, np.float64(1.0), torch.nn.Linear(2, 2), {1, 2},
        b"bytes", complex(1, 2), torch.device("cpu"), {(1, 2): 3}, slice(1), type,
    ],
)  # fmt: skip
def test_nothing_but_plain_values_is_made(value: Any) -> None:
    with pytest.raises(CheckpointError) as caught:
        made = read_pickle(pickle.dumps({"x": value}, protocol=2), "it")
        assert made == {"x": value}, "a mere mention of a name is no value"
        raise CheckpointError("only plain values came out")
    assert "\n" not in str(caught.value)


def test_only_the_listed_names_can_be_called() -> None:
    from diffposetalk.importing.pickles import _MAKERS

    assert {name.split(".")[0] for name in _MAKERS} == {
        "argparse", "collections", "pathlib", "torch",
    }  # fmt: skip
    assert len(_MAKERS) == 12


def test_a_pickle_cannot_reach_into_what_it_made() -> None:
    """A namespace takes attributes as data; its class stays what it is."""
    data = b"\x80\x02cargparse\nNamespace\n)\x81}X\x09\x00\x00\x00__class__X\x01\x00\x00\x00xsb."
    made = read_pickle(data, "it")
    assert type(made) is argparse.Namespace and vars(made) == {"__class__": "x"}
    for target in (b"]", b"}", b"X\x01\x00\x00\x00a"):  # attributes for a list, a dict, a text
        with pytest.raises(CheckpointError, match="damaged"):
            read_pickle(b"\x80\x02" + target + b"}X\x01\x00\x00\x00aK\x01sb.", "it")


def test_huge_memo_numbers_and_shared_values_cost_nothing() -> None:
    assert read_pickle(b"\x80\x02Nr\xff\xff\xff\xff.", "it") is None
    nested = b"\x80\x02(]q\x00" + b"".join(
        b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(200)
    )
    read_pickle(nested + b"t.", "it")  # 2^200 paths through it, all of them shared


@pytest.mark.parametrize("cut", [0, 1, 5, 100, 400, -1])
def test_descriptions_cut_short(cut: int) -> None:
    data = pickle.dumps({"args": argparse.Namespace(a=1, b=[1, 2.5, "x"] * 30), "iter": 3}, 2)
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        read_pickle(data[:cut], "it")


def test_damaged_descriptions_never_escape() -> None:
    """Random bytes changed: a value or one line, whatever they become."""
    buffer = io.BytesIO()
    torch.save({"args": argparse.Namespace(a=1), "model": {"x": torch.zeros(3)}}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        data = next(archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(3000):
        broken = bytearray(data)
        for place in rng.integers(0, len(broken), rng.integers(1, 4)):
            broken[place] = rng.integers(0, 256)
        try:
            read_pickle(bytes(broken), "it")
            outcomes.add("value")
        except CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 300
            outcomes.add("refused")
    assert outcomes == {"value", "refused"}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def compress(path: Path) -> None:
    rewrite(path, lambda _, data: data, compression=zipfile.ZIP_DEFLATED)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 26))


def without_numbers(path: Path) -> None:
    rewrite(path, lambda name, data: None if name.endswith("/data/0") else data)


def short_numbers(path: Path) -> None:
    rewrite(path, lambda name, data: data[:-4] if name.endswith("/data/0") else data)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"data/0") + 200] ^= 1
    path.write_bytes(data)


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def big_endian(path: Path) -> None:
    rewrite(path, lambda name, data: b"big" if name.endswith("byteorder") else data)


def long_description(path: Path) -> None:
    rewrite(path, lambda name, data: data + bytes(3 << 20) if name.endswith("pkl") else data)


def reach_beyond(path: Path) -> None:
    torch.save(make_denoiser(SMALL) | {"model": {"x": torch.zeros(4, 4)}}, path)
    rewrite(path, lambda _, data: data.replace(b"K\x04K\x04\x86", b"K\x04K\x05\x86"))


def repeat(path: Path) -> None:
    """A tensor that claims 10^12 values from one, by a stride of 0."""
    torch.save(make_denoiser(SMALL) | {"model": {"x": torch.zeros(1).expand(10**6, 10**6)}}, path)


def old_format(path: Path) -> None:
    torch.save(make_denoiser(SMALL), path, _use_new_zipfile_serialization=False)


def a_list(path: Path) -> None:
    torch.save([1, 2], path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "cut short or damaged"),
        (compress, "compressed zip file, which torch.save does not write"),
        (bomb, "compressed zip file"),
        (without_numbers, "lacks the numbers of"),
        (short_numbers, "bytes, not"),
        (flip, "is damaged: download it again"),
        (other_zip, "not one that torch.save wrote"),
        (big_endian, "big-endian"),
        (long_description, "too large for a checkpoint"),
        (reach_beyond, "reaches beyond its numbers"),
        (repeat, "reaches beyond its numbers"),
        (old_format, "format of PyTorch before 1.6"),
        (a_list, "holds no checkpoint, but a list"),
        (lambda path: path.write_bytes(b""), "no checkpoint of PyTorch"),
        (lambda path: path.write_bytes(b"not a zip" * 99), "no checkpoint of PyTorch"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_damaged_files(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    import re

    given = changed(tmp_path, lambda _: None)
    damage(given.denoiser)
    line = refused(given, tmp_path / "bundle")
    assert re.search(message, line), line


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
    assert "cannot be written" in line and list(tmp_path.iterdir()) == []


# --- the command ----------------------------------------------------------------------------------
def test_the_command(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        "diffposetalk.importing.arguments.SpeechEncoderSpec", lambda: SMALL_HUBERT
    )
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
    for name in ("released", "archive", "tensors"):
        monkeypatch.delitem(sys.modules, f"diffposetalk.importing.{name}")
    code, _, messages = call(["import", str(released / "denoiser.pt"), "-o", "x"], capsys)
    assert code == 1 and "needs torch: run `pip install 'posetalk[torch]'`" in messages
    paper = ["animate", "demo", "--mode", "paper", "-o", "x.npz"]
    code, _, messages = call(paper, capsys)
    assert code == 1 and "paper mode needs torch: run `pip install 'posetalk[torch]'`" in messages
