"""Engines are kept by what they were built for, and built again where that is not what is here."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import pytest
from bundles_for_export import PLAIN, save_random
from fake_tensorrt import FakeTensorrt

from diffposetalk.bundle.bundle import Bundle, load_bundle
from diffposetalk.bundle.graphs import read_manifest
from export import tensorrt as export_tensorrt
from export.onnx_export import ExportError
from export.tensorrt import export_engines
from stream.backends.protocol import RuntimeProblem
from stream.backends.tensorrt.build import network_flags, ranges
from stream.backends.tensorrt.engine_store import EngineStore, Gpu

ADA, AMPERE, TURING = Gpu("Ada", 8.9), Gpu("Ampere", 8.6), Gpu("Turing", 7.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle with `tensorrt` engines for one GPU."""
    home = tmp_path_factory.mktemp("bundles") / "tiny"
    bundle = save_random(home, PLAIN, half=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_tensorrt, "library", lambda target: FakeTensorrt("11.4.0"))
        patch.setattr(export_tensorrt, "gpu_here", lambda: ADA)
        export_engines(bundle, [1], target="tensorrt", precision="bf16")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def store(home: Path, trt: FakeTensorrt, gpu: Gpu | None = ADA) -> EngineStore:
    bundle: Bundle = load_bundle(home)
    folder = home / "tensorrt"
    return EngineStore(folder, read_manifest(folder), home, ranges(bundle.spec), trt, gpu)


def test_engines_that_fit_are_taken_as_they_are(home: Path) -> None:
    trt = FakeTensorrt("11.4.0")
    assert store(home, trt).get("speech").startswith(b"11.4.0")
    assert not trt.graphs


@pytest.mark.parametrize(
    ("version", "gpu", "words"),
    [
        ("10.16.1", ADA, "tensorrt 10.16.1, Ada (compute capability 8.9)"),
        ("11.4.0", AMPERE, "tensorrt 11.4.0, Ampere (compute capability 8.6)"),
    ],
)
def test_another_version_or_gpu_builds_its_own_once(
    home: Path, caplog: pytest.LogCaptureFixture, version: str, gpu: Gpu, words: str
) -> None:
    trt = FakeTensorrt(version)
    with caplog.at_level(logging.WARNING):
        engine = store(home, trt, gpu).get("sampler_1")
    assert engine.startswith(version.encode())
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"built the engine sampler_1 (bf16) for {words} in ")
    assert str(home / "tensorrt") in line
    ((_, path),) = trt.graphs
    assert path == str(home / "graph.onnx")  # beside the weights
    again = FakeTensorrt(version)
    assert store(home, again, gpu).get("sampler_1") == engine and not again.graphs
    first = FakeTensorrt("11.4.0")  # the others are still there
    assert store(home, first).get("sampler_1") and not first.graphs


def test_damaged_or_foreign_engines_are_not_trusted(home: Path) -> None:
    (folder,) = [path for path in (home / "tensorrt").iterdir() if path.is_dir()]
    good = (folder / "speech.engine").read_bytes()
    (folder / "speech.engine").write_bytes(good[:-1])
    trt = FakeTensorrt("11.4.0")
    assert store(home, trt).get("speech") == good and len(trt.graphs) == 1
    record = json.loads((folder / "engines.json").read_text())
    record["engines"]["speech"]["network"] = "another"
    (folder / "engines.json").write_text(json.dumps(record))
    assert store(home, trt).get("speech") == good and len(trt.graphs) == 2
    (folder / "engines.json").write_text("{")
    assert store(home, trt).get("speech") == good and len(trt.graphs) == 3


def test_where_the_bundle_cannot_be_written_engines_go_into_the_users_cache(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trt = FakeTensorrt("12.0")
    one = store(home, trt)
    (home / "tensorrt" / one.key.folder).write_text("in the way")
    engine = one.get("speech")
    assert list((tmp_path / "cache" / "posetalk" / "tensorrt").rglob("speech.engine"))
    assert store(home, trt).get("speech") == engine and len(trt.graphs) == 1
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way, too")
    with caplog.at_level(logging.WARNING):
        assert store(home, trt).get("speech") == engine
    assert caplog.records[-1].getMessage().endswith("there is no room to keep it")


def test_what_cannot_be_built_again_gets_one_line(home: Path) -> None:
    trt = FakeTensorrt("10.16.1")
    trt.broken = "UNSUPPORTED_NODE:\n  Gelu"
    with pytest.raises(RuntimeProblem, match="cannot read the graph: UNSUPPORTED_NODE: Gelu"):
        store(home, trt).get("speech")
    graph = home / "tensorrt" / "speech.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    with pytest.raises(RuntimeProblem, match="changed after its export: export again"):
        store(home, trt).get("speech")
    graph.unlink()
    with pytest.raises(RuntimeProblem, match=r"no engine speech for tensorrt 10\.16\.1, Ada"):
        store(home, trt).get("speech")
    with pytest.raises(RuntimeProblem, match="there is none here"):
        store(home, trt, None)


def test_a_gpu_without_the_arithmetic_is_said(home: Path) -> None:
    with pytest.raises(RuntimeProblem, match=r"bf16 needs a GPU .* 8\.0 or newer, .* has 7\.5"):
        store(home, FakeTensorrt("11.4.0"), TURING)
    for capability in (8.0, 9.0, 10.0):
        manifest = dataclasses.replace(read_manifest(home / "tensorrt"), target="tensorrt-rtx")
        with pytest.raises(RuntimeProblem, match=rf"7\.5, 8\.6, 8\.9 and 12\.x.* has {capability}"):
            EngineStore(home, manifest, home, {}, FakeTensorrt("1.7"), Gpu("Other", capability))
    manifest = dataclasses.replace(read_manifest(home / "tensorrt"), precision="fp8")
    with pytest.raises(RuntimeProblem, match=r"fp8 needs a GPU .* 8\.9 or newer"):
        EngineStore(home, manifest, home, {}, FakeTensorrt("11.4.0"), AMPERE)


def test_an_export_that_this_gpu_cannot_run_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = save_random(tmp_path / "bundle", PLAIN)
    monkeypatch.setattr(export_tensorrt, "library", lambda target: FakeTensorrt("11.4.0"))
    monkeypatch.setattr(export_tensorrt, "typed_graphs", lambda *args, **kw: 1 / 0)
    for gpu, reason in ((AMPERE, "fp8 needs a GPU"), (None, "there is none here")):
        monkeypatch.setattr(export_tensorrt, "gpu_here", lambda gpu=gpu: gpu)
        with pytest.raises(ExportError, match=reason) as refused:
            export_engines(bundle, [1], target="tensorrt", precision="fp8")
        assert "\n" not in str(refused.value) and not (bundle.folder / "tensorrt").exists()


def test_networks_are_strongly_typed_in_every_version(home: Path) -> None:
    assert network_flags(FakeTensorrt("10.13.3")) == 2
    assert network_flags(FakeTensorrt("11.4.0")) == network_flags(FakeTensorrt("12.0")) == 0
    trt = FakeTensorrt("10.16.1")
    store(home, trt).get("sampler_1")
    assert trt.flags == [2]
    assert [profile.shapes["missing"] for profile in trt.profiles] == [
        ((size,),) * 3 for size in (1, 2, 4, 8, 16, 32, 64)
    ]
    assert trt.profiles[3].shapes["noise"] == ((8, 1, 54), (8, 4, 54), (8, 20, 54))
