"""Small files that ask for much: each was made to hang a reader or to take its memory.

Every function writes into a folder and gives the arguments of the command that reads it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from flame_files import Raw, Sparse, code, reference, text

from diffposetalk.bundle.bundle import PACKAGED

Maker = Callable[[Path], list[str]]
HOSTILE: dict[str, tuple[Maker, str]] = {}
"""Name -> what writes it, and a part of what is said of it."""
KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")


def hostile(says: str) -> Callable[[Maker], Maker]:
    """Enter a maker into the list."""

    def enter(maker: Maker) -> Maker:
        HOSTILE[maker.__name__] = maker, says
        return maker

    return enter


# --- pickles of heads -----------------------------------------------------------------------------
def _head_import(folder: Path, data: bytes, name: str = "flame.pkl") -> list[str]:
    (folder / name).write_bytes(data)
    return ["head", "import", str(folder / name), "-o", str(folder / "out.npz")]


def _flame(first: Any) -> bytes:
    """A model whose first part is this one."""
    parts = {key: np.zeros((2, 2)) for key in KEYS}
    return b"\x80\x02" + code(parts | {"v_template": first}) + b"."


def _nested_tuples(times: int) -> bytes:
    """A tuple that holds a tuple twice, which holds one twice ..."""
    return b")q\x00" + b"".join(b"h" + bytes([k]) + b"\x86q" + bytes([k + 1]) for k in range(times))


def _nested_lists(width: int, times: int) -> bytes:
    """A list that holds a list `width` times, which ..."""
    data = b"]K\x01aq\x00"
    for k in range(times):
        again = (b"h" + bytes([k])) * (width - 1)
        data = b"](" + data + again + b"eq" + bytes([k + 1])
    return data


@hostile("a key that is a tuple")
def nested_tuple_as_key(folder: Path) -> list[str]:
    return _head_import(folder, b"\x80\x02}" + _nested_tuples(60) + b"K\x01s.")


@hostile("larger than any of a head")
def list_by_reference(folder: Path) -> list[str]:
    return _head_import(folder, _flame(Raw(_nested_lists(10, 8))))


@hostile("larger than any of a head")
def long_list_of_one_list(folder: Path) -> list[str]:
    inner = b"](" + b"K\x01" * 2000 + b"eq\x01"
    return _head_import(folder, _flame(Raw(b"](" + inner + b"h\x01" * 2000 + b"e")))


def _sparse(**state: Any) -> Raw:
    whole = {"data": np.ones(2), "indices": np.zeros(2, np.int32)} | state
    made = code(Sparse(np.eye(2)))
    return Raw(made[: made.index(b"}(")] + code(whole) + b"b")


@hostile("does not fit together")
def sparse_with_long_columns(folder: Path) -> list[str]:
    indptr = np.array([0, 1 << 29, 0, 1 << 29, 2], np.int64)
    return _head_import(folder, _flame(_sparse(_shape=(5, 4), indptr=indptr)))


@hostile("of a size that no head has")
def sparse_that_is_huge(folder: Path) -> list[str]:
    shape = (30_000, 30_000)
    return _head_import(folder, _flame(_sparse(_shape=shape, indptr=np.zeros(3, np.int32))))


@hostile("more bytes than it has")
def bytes_encoded_again_and_again(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 4_000_000) + b"a" * 4_000_000 + b"q\x01"
    again = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    return _head_import(folder, b"\x80\x02(" + long + again * 2000 + b"l.")


@hostile("instructions")
def instructions_without_end(folder: Path) -> list[str]:
    return _head_import(folder, b"\x80\x02" + b"N0" * 4_000_000 + b"N.")


@hostile("nested too deeply")
def chumpy_in_chumpy(folder: Path) -> list[str]:
    opening = reference("copy_reg", "_reconstructor") + reference("chumpy.ch", "Ch")
    opening += reference("__builtin__", "object") + b"N\x87R}" + text("x")
    return _head_import(folder, _flame(Raw(opening * 400 + b"K\x01" + b"sb" * 400)))


@hostile("cut short")
def bytes_that_are_only_claimed(folder: Path) -> list[str]:
    return _head_import(folder, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.")


@hostile("do not fill its shape")
def array_of_an_enormous_shape(folder: Path) -> list[str]:
    made = code(np.zeros((3, 7)))
    big = made.replace(code((3, 7)), code((2**31 - 1, 2**31 - 1)))
    return _head_import(folder, _flame(Raw(big)))


# --- names that are no files ----------------------------------------------------------------------
@hostile("is a device, not a regular file")
def head_from_a_device(folder: Path) -> list[str]:
    return ["head", "import", "/dev/zero", "-o", str(folder / "out.npz")]


@hostile("is a pipe, not a regular file")
def head_from_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "flame.pkl")
    return ["head", "import", str(folder / "flame.pkl"), "-o", str(folder / "out.npz")]


@hostile("is a device, not a regular file")
def head_that_links_to_a_device(folder: Path) -> list[str]:
    (folder / "head.npz").symlink_to("/dev/zero")
    return ["head", "show", str(folder / "head.npz")]


@hostile("is a device, not a regular file")
def obj_that_links_to_a_device(folder: Path) -> list[str]:
    (folder / "generic_neutral_mesh.obj").symlink_to("/dev/zero")
    return ["head", "import", str(folder), "-o", str(folder / "out.npz")]


@hostile("is a device, not a regular file")
def checkpoint_from_a_device(folder: Path) -> list[str]:
    return ["import", "/dev/zero", "-o", str(folder / "bundle")]


@hostile("is a pipe, not a regular file")
def motion_from_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "motion.npz")
    return ["style", "extract", str(folder / "motion.npz"), "-o", str(folder / "out.npz")]


# --- archives and arrays --------------------------------------------------------------------------
@hostile("larger than any file of a head")
def tar_with_an_endless_header(folder: Path) -> list[str]:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    with gzip.open(folder / "kit.tar.gz", "wb", 1) as file:
        file.write(info.tobuf())
        for _ in range(96):
            file.write(bytes(1 << 20))
    return ["head", "import", str(folder / "kit.tar.gz"), "-o", str(folder / "out.npz")]


@hostile("MB of .obj files")
def zip_of_many_large_files(folder: Path) -> list[str]:
    piece = b"v 0 0 0\n" * 2_000_000
    with zipfile.ZipFile(folder / "kit.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as kit:
        for k in range(60):
            kit.writestr(f"identity{k:03d}.obj", piece)
    return ["head", "import", str(folder / "kit.zip"), "-o", str(folder / "out.npz")]


@hostile("more lines than any head")
def obj_of_empty_lines(folder: Path) -> list[str]:
    (folder / "generic_neutral_mesh.obj").write_bytes(b"\n" * 15_000_000)
    return ["head", "import", str(folder), "-o", str(folder / "out.npz")]


def npy(shape: tuple[int, ...] | str, kind: str = "<f4", data: bytes = b"") -> bytes:
    """An npy file with any header."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _npz(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


@hostile("too large")
def head_that_unpacks_to_gigabytes(folder: Path) -> list[str]:
    size = 400 << 20
    with (
        zipfile.ZipFile(folder / "head.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("template.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy((size // 4,)))
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return ["head", "show", str(folder / "head.npz")]


@hostile("of which 0 are there")
def array_that_only_claims(folder: Path) -> list[str]:
    _npz(folder / "head.npz", {"template": npy((10_000_000, 3))})
    return ["head", "show", str(folder / "head.npz")]


@hostile("cut short or damaged")
def header_nested_without_end(folder: Path) -> list[str]:
    _npz(folder / "head.npz", {"template": npy("(" * 3000 + ")" * 3000)})
    return ["head", "show", str(folder / "head.npz")]


def _packaged_head() -> dict[str, np.ndarray]:
    import head

    with np.load(Path(head.__file__).parent / "data" / "builtin.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@hostile(r"shape_basis of \d+ vertices")
def head_with_a_million_channels(folder: Path) -> list[str]:
    arrays = _packaged_head()
    arrays["shape_basis.scale"] = np.zeros(1_000_000, np.float32)
    np.savez_compressed(folder / "head.npz", **arrays)
    return ["head", "show", str(folder / "head.npz")]


@hostile("holds no posetalk head")
def head_with_deep_words(folder: Path) -> list[str]:
    about = np.frombuffer(b"[" * 100_000, np.uint8)
    np.savez_compressed(folder / "head.npz", **_packaged_head() | {"about": about})
    return ["head", "show", str(folder / "head.npz")]


@hostile("too large")
def motion_that_unpacks_to_gigabytes(folder: Path) -> list[str]:
    _npz(folder / "motion.npz", {"exp": npy((90_000_000,), data=bytes(360_000_000))})
    return ["style", "extract", str(folder / "motion.npz"), "-o", str(folder / "out.npz")]


@hostile("not a style file")
def style_that_only_claims(folder: Path) -> list[str]:
    (folder / "style.npy").write_bytes(npy((1 << 40,)))
    style = ["--style", str(folder / "style.npy")]
    return ["animate", "demo", *style, "-o", str(folder / "out.npz")]


# --- checkpoints ----------------------------------------------------------------------------------
def _checkpoint(folder: Path, description: bytes) -> list[str]:
    with zipfile.ZipFile(folder / "denoiser.pt", "w") as archive:
        archive.writestr("archive/data.pkl", description)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return ["import", str(folder / "denoiser.pt"), "-o", str(folder / "bundle")]


@hostile("more memory or time than any checkpoint")
def checkpoint_with_a_nested_key(folder: Path) -> list[str]:
    return _checkpoint(folder, b"\x80\x02}" + _nested_tuples(60) + b"K\x01s.")


@hostile("a path that no system has")
def checkpoint_with_long_paths(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000 + b"q\x01"
    paths = b"cpathlib\nPosixPath\n(" + b"h\x01" * 5000 + b"tR"
    return _checkpoint(folder, b"\x80\x02}(" + long + b"K\x01" + b"K\x02" + paths + b"u.")


@hostile("more memory than any checkpoint")
def checkpoint_with_an_empty_giant(folder: Path) -> list[str]:
    giant = b"cbuiltins\nbytearray\n\x8a\x05" + (1 << 36).to_bytes(5, "little") + b"\x85R"
    return _checkpoint(folder, b"\x80\x02}K\x01" + giant + b"s.")


@hostile("too large for a checkpoint")
def checkpoint_of_lists_by_reference(folder: Path) -> list[str]:
    return _checkpoint(folder, b"\x80\x02}K\x01" + _nested_lists(10, 9) + b"s.")


@hostile("too large for a checkpoint")
def checkpoint_of_texts_by_reference(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 500_000) + b"a" * 500_000 + b"q\x01"
    return _checkpoint(folder, b"\x80\x02}K\x01](" + long + b"h\x01" * 50_000 + b"es.")


@hostile("io.open")
def checkpoint_that_asks_for_code(folder: Path) -> list[str]:
    opened = b"cio\nopen\nX\x04\x00\x00\x00trapX\x01\x00\x00\x00w\x86R"
    return _checkpoint(folder, b"\x80\x02}K\x01" + opened + b"s.")


# --- datasets -------------------------------------------------------------------------------------
def _dataset(folder: Path, value: bytes, **files: str) -> list[str]:
    where = folder / "set"
    with lmdb.open(str(where), map_size=1 << 24) as env, env.begin(write=True) as change:
        change.put(b"metadata", pickle.dumps({"seg_len": 100}, 3))
        change.put(b"ada/000/metadata", pickle.dumps({"n_frames": 100}, 3))
        change.put(b"ada/000/000", value)
    for name in ("train", "val", "test", "keys"):
        (where / f"{name}.txt").write_text("ada/000\n" if name in ("train", "keys") else "")
    return ["dataset", "check", str(where)]


@hostile("problem")
def value_of_lists_by_reference(folder: Path) -> list[str]:
    return _dataset(folder, b"\x80\x02" + _nested_lists(100, 6) + b".")


@hostile("problem")
def value_of_bytes_made_again(folder: Path) -> list[str]:
    long = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000 + b"q\x01"
    again = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    return _dataset(folder, b"\x80\x02(" + long + again * 4000 + b"l.")


@hostile("problem")
def list_of_videos_that_never_ends(folder: Path) -> list[str]:
    arguments = _dataset(folder, b"N.")
    (folder / "set" / "train.txt").unlink()
    (folder / "set" / "train.txt").symlink_to("/dev/zero")
    return arguments


# --- bundles --------------------------------------------------------------------------------------
def _bundle(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """A copy of the starter with another configuration."""
    copy = folder / "bundle"
    shutil.copytree(PACKAGED / "starter", copy)
    config = json.loads((copy / "config.json").read_text())
    change(config)
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def _animate(bundle: Path) -> list[str]:
    return ["animate", "demo", "--bundle", str(bundle), "-o", str(bundle.parent / "out.npz")]


@hostile("no head's id")
def bundle_whose_head_is_a_device(folder: Path) -> list[str]:
    return _animate(_bundle(folder, lambda c: c.update(head="/dev/zero")))


@hostile("no head's id")
def bundle_whose_head_is_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe")
    return _animate(_bundle(folder, lambda c: c.update(head=str(folder / "pipe"))))


@hostile("no head's id")
def bundle_whose_head_climbs(folder: Path) -> list[str]:
    return _animate(_bundle(folder, lambda c: c.update(head="../../posetalk-head-1")))


@hostile("nested too deeply")
def bundle_with_deep_words(folder: Path) -> list[str]:
    copy = _bundle(folder)
    (copy / "config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    return _animate(copy)


@hostile("is a device, not a regular file")
def bundle_whose_words_never_end(folder: Path) -> list[str]:
    # A pipe or a device as config.json itself is no bundle; through its graphs it is read later.
    copy = _bundle(folder)
    (copy / "onnx" / "manifest.json").unlink()
    (copy / "onnx" / "manifest.json").symlink_to("/dev/zero")
    return [*_animate(copy), "--backend", "onnxruntime"]


@hostile("something else than text")
def bundle_with_styles_of_another_kind(folder: Path) -> list[str]:
    return _animate(_bundle(folder, lambda c: c.update(styles=[["calm"], 3])))


@hostile("something else than text")
def bundle_with_checksums_of_another_kind(folder: Path) -> list[str]:
    return _animate(_bundle(folder, lambda c: c["files"].update({"model.safetensors": {}})))


@hostile("is no file's name")
def bundle_with_files_elsewhere(folder: Path) -> list[str]:
    return _animate(_bundle(folder, lambda c: c["files"].update({"../../etc/passwd": "0"})))


@hostile("is not between 0 and 100")
def bundle_with_a_thousand_million_layers(folder: Path) -> list[str]:
    return _animate(_bundle(folder, lambda c: c["model"]["denoiser"].update(n_layers=10**9)))


@hostile("for a model of another size")
def bundle_with_wide_layers(folder: Path) -> list[str]:
    copy = _bundle(folder, lambda c: c["model"]["denoiser"].update(d_model=16384))
    return [*_animate(copy), "--backend", "torch"]


@hostile("no number in JSON")
def bundle_with_guidance_that_is_none(folder: Path) -> list[str]:
    return _animate(_bundle(folder, lambda c: c["model"]["live"].update(audio_guidance=np.nan)))


def _tensors(folder: Path, name: str, change: Callable[[str, np.ndarray], None]) -> list[str]:
    """The starter with changed tensors, and checksums that agree."""
    from safetensors.numpy import load_file, save_file

    copy = folder / "bundle"
    shutil.copytree(PACKAGED / "starter", copy)
    arrays = load_file(copy / name)
    for key, array in arrays.items():
        change(key, array)
    save_file(arrays, copy / name)
    return _animate(_signed(copy, name))


def _signed(copy: Path, name: str) -> Path:
    config = json.loads((copy / "config.json").read_text())
    config["files"][name] = hashlib.sha256((copy / name).read_bytes()).hexdigest()
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def _nan(_: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f":
        array.reshape(-1)[:1] = np.nan


@hostile("not finite")
def bundle_of_weights_that_are_none(folder: Path) -> list[str]:
    return _tensors(folder, "model.safetensors", _nan)


@hostile("not finite")
def bundle_of_statistics_that_are_none(folder: Path) -> list[str]:
    return _tensors(folder, "statistics.safetensors", _nan)


@hostile("not finite")
def bundle_of_styles_that_are_none(folder: Path) -> list[str]:
    return _tensors(folder, "styles.safetensors", _nan)


@hostile("header is too long")
def tensors_with_a_long_header(folder: Path) -> list[str]:
    copy = _bundle(folder)
    (copy / "styles.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    return _animate(_signed(copy, "styles.safetensors"))


@hostile("impossible place or shape")
def tensors_that_only_claim(folder: Path) -> list[str]:
    copy = _bundle(folder)
    place = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}
    header = json.dumps({"calm": place}).encode()
    (copy / "styles.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return _animate(_signed(copy, "styles.safetensors"))


@hostile("is not a regular file|lacks style_encoder")
def tensors_that_never_end(folder: Path) -> list[str]:
    copy = _bundle(folder)
    (copy / "style_encoder.safetensors").unlink()
    (copy / "style_encoder.safetensors").symlink_to("/dev/zero")
    return _animate(copy)


def _graphs(folder: Path, location: str) -> list[str]:
    """The starter's graphs with weights from somewhere else, and checksums that agree."""
    import onnx

    copy = _bundle(folder)
    manifest = json.loads((copy / "onnx" / "manifest.json").read_text())
    for graph in manifest["graphs"].values():
        path = copy / "onnx" / graph["file"]
        model = onnx.load(str(path), load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        path.write_bytes(model.SerializeToString())
        graph["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (copy / "onnx" / "manifest.json").write_text(json.dumps(manifest))
    return [*_animate(copy), "--backend", "onnxruntime"]


@hostile("no file beside it")
def graphs_with_weights_from_a_device(folder: Path) -> list[str]:
    return _graphs(folder, "/dev/zero")


@hostile("no file beside it")
def graphs_with_weights_from_elsewhere(folder: Path) -> list[str]:
    (folder / "secret").write_bytes(bytes(1 << 22))
    return _graphs(folder, "../secret")


@hostile("no file in its bundle")
def graphs_with_weights_by_a_link(folder: Path) -> list[str]:
    arguments = _graphs(folder, "weights")
    (folder / "bundle" / "weights").symlink_to("/dev/zero")
    return arguments


@hostile("no file beside it")
def graphs_that_lie_elsewhere(folder: Path) -> list[str]:
    copy = _bundle(folder)
    path = copy / "onnx" / "manifest.json"
    manifest = json.loads(path.read_text())
    for graph in manifest["graphs"].values():
        graph["file"] = f"../../{graph['file']}"
    path.write_text(json.dumps(manifest))
    return [*_animate(copy), "--backend", "onnxruntime"]


# --- sound ----------------------------------------------------------------------------------------
def _wav(channels: int, rate: int, claimed: int, data: bytes) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2 & 0xFFFF, 16)
    head = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", claimed) + data


@hostile("")
def sound_of_too_many_channels(folder: Path) -> list[str]:
    (folder / "x.wav").write_bytes(_wav(65535, 4_000_000_000 // 131070, 0xFFFFFF00, bytes(4096)))
    return ["animate", str(folder / "x.wav"), "-o", str(folder / "out.npz")]


@hostile("")
def sound_from_a_device(folder: Path) -> list[str]:
    return ["animate", "/dev/zero", "-o", str(folder / "out.npz")]


@hostile("not a statistics file|no file of statistics|holds no")
def statistics_that_unpack_to_gigabytes(folder: Path) -> list[str]:
    arrays = io.BytesIO()
    np.savez_compressed(arrays, exp_mean=np.zeros(4 << 20, np.float32))
    (folder / "stats.npz").write_bytes(arrays.getvalue())
    arguments = _checkpoint(folder, b"\x80\x02}K\x01K\x01s.")
    return [*arguments, "--stats", str(folder / "stats.npz")]
