"""TensorRT: engines are built on every run; they are run only where there is a GPU."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.bundle.graphs import read_manifest
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.bundle.tensor_file import TensorFile
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import LiveDefaults, ModelSpec, Statistics, WindowRule
from export import tensorrt as export_tensorrt
from export.calibration import Calibration, calibrate
from export.graphs.builder import FLOAT16
from export.graphs.hop import hop_graph
from export.onnx_export import ExportError, build_graphs
from export.parity import babble
from export.shipped_graphs import STEPS
from export.tensorrt import export_engines, readable, typed_graphs
from stream.backends.protocol import RuntimeProblem
from stream.backends.registry import load_backend
from stream.backends.tensorrt.build import BATCHES, Dims, build_engine, ranges
from stream.backends.tensorrt.engine_store import ANY_GPU

trt = pytest.importorskip("tensorrt_rtx", reason="not run: tensorrt-rtx is not installed")
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="not run: no GPU (engines were built, never run)"
)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the starter with engines for one step, a whole hop's among them."""
    home = tmp_path_factory.mktemp("engines") / "starter"
    export_engines(
        load_bundle("starter"),
        [1],
        target="tensorrt-rtx",
        precision="fp16",
        out=home,
        whole_hops=True,
    )
    return home


def inputs(model: onnx.ModelProto) -> Dims:
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }


def test_the_starters_engines_build_and_say_what_they_are(engines: Path) -> None:
    folder = engines / "tensorrt-rtx"
    manifest = read_manifest(folder)
    assert set(manifest.graphs) == {"speech", "sampler_1", "hop_1"}
    live = load_bundle("starter").spec.live
    hop = {"hop": live.hop, "lookahead": live.lookahead, "window_rule": live.window_rule}
    assert manifest.hop == hop
    assert manifest.precision == "fp16" and manifest.tools["tensorrt_rtx"] == trt.__version__
    assert manifest.ranges["frames"] == [1, 100] and manifest.ranges["batch"] == [1, 64]
    assert not manifest.calibration
    (built,) = [path for path in folder.iterdir() if path.is_dir()]
    record = json.loads((built / "engines.json").read_text())
    assert record["key"]["version"] == trt.__version__ and record["key"]["gpu"] == ANY_GPU
    half = load_bundle("starter").folder / "model.safetensors"
    sizes = [(built / f"{name}.engine").stat().st_size for name in manifest.graphs]
    assert sum(sizes) > 1.8 * half.stat().st_size  # the weights are inside, in a hop's as well
    # Graphs that others are built from are small: they refer to the bundle's weights.
    assert sum((folder / graph.file).stat().st_size for graph in manifest.graphs.values()) < 1.1e5


@functools.cache
def calibrated(bundle_name: str) -> Calibration:
    return calibrate(load_bundle(bundle_name), babble(16_000 * 3))


@pytest.mark.parametrize(
    "precision",
    ["int8", "fp8", *(pytest.param(p, marks=pytest.mark.slow) for p in ("fp32", "bf16"))],
)
def test_the_starter_builds_in_every_precision(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole hop: every operator that the other two graphs have."""
    monkeypatch.setattr(export_tensorrt, "calibrate", lambda *_: calibrated("starter"))
    bundle = load_bundle("starter")
    graphs, calibration = typed_graphs(
        bundle, [1], precision, babble(16_000 * 3), whole_hops=True, target="tensorrt-rtx"
    )
    assert (calibration is not None) == (precision in ("int8", "fp8"))
    model = graphs["hop_1"]
    engine = build_engine(
        trt, model.SerializeToString(), inputs(model), ranges(bundle.spec), bundle.folder, (1,)
    )
    assert len(engine) > 1e7


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_number_of_steps_that_ships_builds_with_whole_hops(tmp_path: Path) -> None:
    """With all profiles, as a server's rounds take them."""
    bundle, steps = load_bundle("starter"), [k for k in STEPS if k is not None]
    folder, manifest = export_engines(
        bundle,
        steps,
        target="tensorrt-rtx",
        precision="fp16",
        out=tmp_path / "starter",
        whole_hops=True,
    )
    names = {f"{kind}_{k}" for kind in ("sampler", "hop") for k in steps}
    assert set(manifest.graphs) == {"speech", *names} and len(steps) == 4
    assert len([*folder.rglob("*.engine")]) == 9


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4])
def test_whole_hops_build_in_the_sliding_rule(steps: int) -> None:
    bundle = load_bundle("starter")
    spec = dataclasses.replace(
        bundle.spec, live=dataclasses.replace(bundle.spec.live, window_rule="sliding")
    )
    weights = TensorFile(bundle.folder / "model.safetensors")
    model = readable(hop_graph(spec, weights, steps, precision=FLOAT16))
    graph = model.SerializeToString()
    assert build_engine(trt, graph, inputs(model), ranges(spec), bundle.folder)


def official(folder: Path, *, head: bool = True, rule: WindowRule = "sliding") -> Bundle:
    """A bundle like an imported one, with random weights: HuBERT, 8 layers of 512, a threshold,
    with head motion or without.
    """
    live = LiveDefaults(hop=10, lookahead=2, steps=4, window_rule=rule, threshold_quantile=0.99)
    spec = dataclasses.replace(ModelSpec(), head_rotation=head, live=live)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sizes = (spec.d_motion, 0.0), (spec.d_motion, 1.0), (spec.n_shape, 0.0), (spec.n_shape, 1.0)
    plain = Statistics(*(mean + rng.uniform(0.5, 0.9, n).astype(np.float32) for n, mean in sizes))
    styles = {"neutral": np.zeros(spec.style.d_style, np.float32)}
    save_bundle(
        folder, DiffPoseTalk(spec), spec, plain, styles, "posetalk-head-1", "", {}, half=True
    )
    return load_bundle(folder)


@pytest.mark.parametrize("head", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_an_official_size_engine_builds(tmp_path: Path, head: bool) -> None:
    bundle = official(tmp_path / "official", head=head)
    bounds, sizes = ranges(bundle.spec), {}
    graphs = build_graphs(bundle, [1], precision="bf16")
    for name, model in graphs.items():
        graph = readable(model).SerializeToString()
        sizes[name] = len(build_engine(trt, graph, inputs(model), bounds, bundle.folder, (1, 8)))
    assert sizes["speech"] > 150e6 and sizes["sampler_1"] > 50e6  # HuBERT-base; 8 layers of 512


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("head", "rule", "precision"),
    [
        (True, "sliding", "fp16"),
        (True, "sliding", "bf16"),
        (True, "adjacent", "fp16"),
        (False, "sliding", "fp16"),
        (False, "adjacent", "fp16"),
        (True, "sliding", "fp8"),
    ],
)
def test_an_official_size_hop_builds_as_one_engine(
    tmp_path: Path, head: bool, rule: WindowRule, precision: str
) -> None:
    """Speech and four steps of three branches, with the least and the largest profile."""
    bundle = official(tmp_path / "official", head=head, rule=rule)
    assert bundle.spec.live.window_rule == rule and bundle.spec.head_rotation == head
    assert bundle.spec.live.threshold_quantile and bundle.spec.live.style_guidance != 1.0
    sound = babble(16_000 * 3)
    graphs, _ = typed_graphs(bundle, [4], precision, sound, whole_hops=True)
    model = graphs["hop_4"]
    sizes = BATCHES[:: len(BATCHES) - 1]
    engine = build_engine(
        trt, model.SerializeToString(), inputs(model), ranges(bundle.spec), bundle.folder, sizes
    )
    assert len(engine) > 100e6 and sizes == (1, 64)


@pytest.mark.parametrize(("precision", "steps"), [("int8", [1]), ("fp64", [1]), ("fp32", [None])])
def test_what_has_no_engine_is_refused_in_one_line(
    tmp_path: Path, precision: str, steps: list[int | None]
) -> None:
    with pytest.raises(ExportError, match="choose") as refused:
        export_engines(
            load_bundle("starter"),
            steps,
            target="tensorrt-rtx",
            precision=precision,
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
def test_engines_give_the_motion_of_the_graphs(engines: Path) -> None:
    from stream.core.options import SessionOptions
    from stream.core.session import Session

    sound = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    motion = []
    for name in ("onnxruntime", "tensorrt-rtx"):
        backend = load_backend(name, str(engines) if name != "onnxruntime" else "starter")
        session = Session(backend, options=SessionOptions(steps=1))
        frames = session.feed(sound) + session.finish()
        motion.append(np.stack([frame.motion for frame in frames]) / backend.statistics.motion_std)
    assert np.abs(motion[0] - motion[1]).max() < 0.05  # fp16
