"""Bundles whose words, tensors and graphs lie, and sound whose header does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.table import hostile
from diffposetalk.bundle.bundle import PACKAGED


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


def _wav(channels: int, rate: int, claimed: int, data: bytes) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2 & 0xFFFF, 16)
    head = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", claimed) + data


@hostile("")
def sound_of_too_many_channels(folder: Path) -> list[str]:
    (folder / "x.wav").write_bytes(_wav(65535, 4_000_000_000 // 131070, 0xFFFFFF00, bytes(4096)))
    return ["animate", str(folder / "x.wav"), "-o", str(folder / "out.npz")]


@hostile("cannot be read as a film")
def film_that_is_a_list_of_others(folder: Path) -> list[str]:
    import av

    with av.open(str(folder / "other.mp4"), "w") as film:
        stream: Any = film.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(25):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            film.mux(stream.encode(picture))
        film.mux(stream.encode())
    (folder / "x.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    return ["track", str(folder / "x.mp4"), "-o", str(folder / "out.npz")]


@hostile("is a pipe, not a regular file")
def certificate_from_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "x.pem")
    return ["serve", "--source", "none", "--backend", "fake", "--tls-cert", str(folder / "x.pem")]


@hostile("")
def sound_from_a_device(folder: Path) -> list[str]:
    return ["animate", "/dev/zero", "-o", str(folder / "out.npz")]
