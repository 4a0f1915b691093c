"""TensorRT: engines are built on every run; they are run only where there is a GPU."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from diffposetalk.bundle import Bundle, load_bundle, save_bundle
from diffposetalk.graphs import read_manifest
from diffposetalk.model import DiffPoseTalk
from diffposetalk.spec import LiveDefaults, ModelSpec, Statistics
from export.onnx_export import ExportError, build_graphs
from export.tensorrt import build, export_engines, ranges
from stream.backends import load_backend
from stream.backends.onnx_session import RuntimeProblem
from stream.backends.tensorrt_session import check_key

trt = pytest.importorskip("tensorrt_rtx", reason="not run: tensorrt-rtx is not installed")
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="not run: no GPU (engines were built, never run)"
)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the starter with engines for one step."""
    home = tmp_path_factory.mktemp("engines") / "starter"
    export_engines(load_bundle("starter"), [1], target="tensorrt-rtx", precision="fp16", out=home)
    return home


def test_the_starters_engines_build_and_say_what_they_are(engines: Path) -> None:
    folder = engines / "tensorrt-rtx"
    manifest = read_manifest(folder)
    assert set(manifest.graphs) == {"speech", "sampler_1"}
    assert manifest.precision == "fp16" and manifest.tools["tensorrt_rtx"] == trt.__version__
    assert manifest.ranges["frames"] == [1, 100] and manifest.ranges["batch"] == [1, 8]
    half = load_bundle("starter").folder / "model.safetensors"
    sizes = [(folder / graph.file).stat().st_size for graph in manifest.graphs.values()]
    assert sum(sizes) > 0.9 * half.stat().st_size  # the weights are inside


def official(folder: Path) -> Bundle:
    """A bundle of the official network's size with random weights: HuBERT, 8 layers of 512."""
    spec = dataclasses.replace(ModelSpec(), live=LiveDefaults(hop=10, lookahead=2, steps=4))
    torch.manual_seed(0)
    sizes = (spec.d_motion, 0), (spec.d_motion, 1), (spec.n_shape, 0), (spec.n_shape, 1)
    plain = Statistics(*(np.full(n, value, np.float32) for n, value in sizes))
    styles = {"neutral": np.zeros(spec.style.d_style, np.float32)}
    save_bundle(
        folder, DiffPoseTalk(spec), spec, plain, styles, "posetalk-head-1", "", {}, half=True
    )
    return load_bundle(folder)


def test_an_official_size_engine_builds(tmp_path: Path) -> None:
    bundle = official(tmp_path / "official")
    graphs = build_graphs(bundle, [1], precision="bf16", refer=False)
    bounds = ranges(bundle.spec)
    sizes = {name: len(build(trt, graphs.pop(name), bounds)) for name in tuple(graphs)}
    assert sizes["speech"] > 150e6 and sizes["sampler_1"] > 50e6  # HuBERT-base; 8 layers of 512


@pytest.mark.parametrize(("precision", "steps"), [("int8", [1]), ("fp8", [1]), ("fp32", [None])])
def test_what_has_no_engine_is_refused_in_one_line(
    tmp_path: Path, precision: str, steps: list[int | None]
) -> None:
    with pytest.raises(ExportError, match="choose") as refused:
        export_engines(
            load_bundle("starter"), steps, target="tensorrt-rtx", precision=precision,
            out=tmp_path / "no",
        )
    assert "\n" not in str(refused.value) and not (tmp_path / "no").exists()


def test_without_a_gpu_engines_are_refused_and_the_fallback_is_named(engines: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("not run: there is a GPU here")
    with pytest.raises(RuntimeProblem, match="no CUDA GPU here: choose `--backend onnxruntime`"):
        load_backend("tensorrt-rtx", str(engines))


def test_the_full_library_is_refused_where_it_is_missing(tmp_path: Path) -> None:
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorrt') is None)"
    if subprocess.run([sys.executable, "-c", probe], env={**os.environ}).returncode == 0:
        pytest.skip("not run: tensorrt is installed here")
    with pytest.raises(ExportError, match=r"posetalk\[trt\]"):
        export_engines(load_bundle("starter"), [1], target="tensorrt", out=tmp_path / "no")


@needs_gpu
def test_engines_of_another_version_are_not_trusted(engines: Path) -> None:
    manifest = read_manifest(engines / "tensorrt-rtx")
    other = dataclasses.replace(manifest, tools={**manifest.tools, "tensorrt_rtx": "0.0"})
    with pytest.raises(RuntimeProblem, match="build them again"):
        check_key(other)


@needs_gpu
def test_engines_give_the_motion_of_the_graphs(engines: Path) -> None:
    from stream.session import Session, SessionOptions

    sound = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    motion = []
    for name in ("onnxruntime", "tensorrt-rtx"):
        backend = load_backend(name, str(engines) if name != "onnxruntime" else "starter")
        session = Session(backend, options=SessionOptions(steps=1))
        frames = session.feed(sound) + session.finish()
        motion.append(np.stack([frame.motion for frame in frames]) / backend.statistics.motion_std)
    assert np.abs(motion[0] - motion[1]).max() < 0.05  # fp16
