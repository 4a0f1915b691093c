"""Checkpoints that are of another kind, wrong, hostile or cut short get one line."""

from __future__ import annotations

import argparse
import ast
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_checkpoint import SMALL, make_denoiser, write
from released_files import Content, changed, download, files, refused, rewrite

from diffposetalk.importing.archive import CheckpointError
from diffposetalk.importing.checkpoint import read_checkpoint
from diffposetalk.importing.checkpoint_process import limit, stand_ins


@pytest.fixture(scope="module", autouse=True)
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as somebody has it who downloaded everything."""
    return download(tmp_path_factory.mktemp("released"))


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


def described(path: Path, description: bytes) -> Path:
    """A checkpoint with this description and no numbers."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", description)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return path


@pytest.mark.parametrize(
    "value",
    [
        print,
        len,
        argparse.ArgumentParser,
        np.float64(1.0),
        torch.nn.Linear(2, 2),
        {1, 2},
        b"bytes",
        complex(1, 2),
        torch.device("cpu"),
        {(1, 2): 3},
        slice(1),
        type,
    ],
)
def test_nothing_but_plain_values_is_made(value: Any, tmp_path: Path) -> None:
    path = described(tmp_path / "it.pt", pickle.dumps({"x": value}, protocol=2))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and "it.pt" in str(caught.value)


def test_no_stand_in_is_of_more_than_paths_and_namespaces() -> None:
    names = {getattr(x, "__qualname__", x[1] if isinstance(x, tuple) else "") for x in stand_ins()}
    assert len(names) == 9 and {name.split(".")[0] for name in names} == {"Namespace", "pathlib"}


def test_a_pickle_cannot_reach_into_what_it_made(tmp_path: Path) -> None:
    """A namespace takes attributes as data; its class stays what it is."""
    data = b"\x80\x02}X\x01\x00\x00\x00acargparse\nNamespace\n)\x81"
    data += b"}X\x09\x00\x00\x00__class__X\x01\x00\x00\x00xsbs."
    made = read_checkpoint(described(tmp_path / "it.pt", data)).content["a"]
    assert type(made) is argparse.Namespace and vars(made) == {"__class__": "x"}
    for target in (b"]", b"}", b"X\x01\x00\x00\x00a"):  # attributes for a list, a dict, a text
        broken = b"\x80\x02" + target + b"}X\x01\x00\x00\x00aK\x01sb."
        with pytest.raises(CheckpointError, match="damaged"):
            read_checkpoint(described(tmp_path / "it.pt", broken))


def test_huge_memo_numbers_cost_nothing(tmp_path: Path) -> None:
    path = described(tmp_path / "it.pt", b"\x80\x02}r\xff\xff\xff\xff.")
    assert read_checkpoint(path).content == {}


@pytest.mark.parametrize("cut", [1, 5, 100, 400, -1])
def test_descriptions_cut_short(cut: int, tmp_path: Path) -> None:
    data = pickle.dumps({"args": argparse.Namespace(a=1, b=[1, 2.5, "x"] * 30), "iter": 3}, 2)
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        read_checkpoint(described(tmp_path / "it.pt", data[:cut]))


def test_another_protocol_is_named(tmp_path: Path) -> None:
    torch.save(make_denoiser(SMALL), tmp_path / "it.pt", pickle_protocol=4)
    with pytest.raises(CheckpointError, match="another pickle protocol than 2: save it again"):
        read_checkpoint(tmp_path / "it.pt")


def test_damaged_descriptions_never_escape(tmp_path: Path) -> None:
    """Random bytes changed: a value or one line, whatever they become."""
    buffer = io.BytesIO()
    torch.save({"args": argparse.Namespace(a=1), "model": {"x": torch.zeros(3)}}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        data = next(archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(150):
        broken = bytearray(data)
        for place in rng.integers(0, len(broken), rng.integers(1, 4)):
            broken[place] = rng.integers(0, 256)
        try:
            read_checkpoint(described(tmp_path / "it.pt", bytes(broken)))
            outcomes.add("value")
        except CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
            outcomes.add("refused")
    assert "refused" in outcomes


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
        (short_numbers, "bytes of numbers, not another count"),
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
def test_damaged_files(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    import re

    given = changed(tmp_path, lambda _: None)
    damage(given.denoiser)
    line = refused(given, tmp_path / "bundle")
    assert re.search(message, line), line


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process are not had here")
def test_whoever_reads_a_checkpoint_has_little_of_everything() -> None:
    """No file to write, no core, some seconds, and memory for the file, whatever was before."""
    import resource

    what = ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_CPU", "RLIMIT_AS")
    seen, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            limit(1 << 20, 77)
            bounds = [resource.getrlimit(getattr(resource, name)) for name in what]
            os.write(told, repr(bounds).encode())
        finally:
            os._exit(0)
    os.close(told)
    os.waitpid(child, 0)
    with os.fdopen(seen) as file:
        core, files, seconds, memory = ast.literal_eval(file.read())
    assert core == (0, 0) and files == (0, 0)
    before = resource.getrlimit(resource.RLIMIT_CPU)[1]
    assert seconds == ((77, 77) if before == resource.RLIM_INFINITY else (min(77, before),) * 2)
    assert 0 < memory[0] < 1 << 50 and memory[0] == memory[1]
