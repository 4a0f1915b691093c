"""Exported graphs: what is written, what is refused, and one line for what goes wrong."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import shutil
from pathlib import Path

import bundles_for_export
import numpy as np
import onnx
import pytest
from bundles_for_export import PLAIN, SPECS, random_model, save_random
from cli import call

from diffposetalk.bundle.bundle import PACKAGED, load_bundle
from diffposetalk.bundle.graphs import GraphsError, read_manifest
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import ModelSpec
from export import onnx_export
from export.graphs.sampler import most_sorted
from export.onnx_export import ExportError, build_graphs, export_onnx, home_of
from export.parity import TOLERANCE, answer, babble, closed_loop, describe, random_case
from export.shipped_graphs import write_shipped_graphs
from stream.backends.onnx.backend import OnnxBackend
from stream.backends.protocol import RuntimeProblem
from stream.backends.registry import load_backend
from stream.backends.torch_backend import TorchBackend
from stream.core.options import SessionOptions
from stream.core.session import Session


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    save_random(folder, PLAIN, half=True)
    write_shipped_graphs(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


# what is written


def test_graphs_are_valid_and_hold_no_weights(made: Path) -> None:
    for path in (made / "onnx").glob("*.onnx"):
        model = onnx.load(str(path), load_external_data=False)
        for initializer in model.graph.initializer:
            if initializer.data_location != onnx.TensorProto.EXTERNAL:
                assert np.prod(initializer.dims) < 2000, initializer.name
            else:
                places = {entry.key: entry.value for entry in initializer.external_data}
                assert places["location"] == "model.safetensors"
        # The checker wants the weights beside the graph.
        beside = made / path.name
        shutil.copy(path, beside)
        onnx.checker.check_model(str(beside), full_check=True)
        beside.unlink()


def test_the_same_shapes_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    save_random(tmp_path / "other", PLAIN, seed=2, half=True)
    write_shipped_graphs(tmp_path / "other")
    names = sorted(path.name for path in (made / "onnx").glob("*.onnx"))
    assert names == [
        "sampler.onnx",
        "sampler_1.onnx",
        "sampler_2.onnx",
        "sampler_3.onnx",
        "sampler_4.onnx",
        "speech.onnx",
    ]
    for name in names:
        one, other = (f / "onnx" / name for f in (made, tmp_path / "other"))
        assert one.read_bytes() == other.read_bytes(), name
    manifests = [read_manifest(f / "onnx") for f in (made, tmp_path / "other")]
    assert manifests[0].network != manifests[1].network


def test_the_shipped_graphs_are_the_shipped_bundles() -> None:
    """They are what `posetalk export` writes today, and small."""
    bundle = load_bundle("starter")
    folder = PACKAGED / "starter" / "onnx"
    manifest = read_manifest(folder)
    graphs = build_graphs(bundle, [graph.steps for graph in manifest.graphs.values()][1:])
    for name, model in graphs.items():
        stored = (folder / f"{name}.onnx").read_bytes()
        assert stored == model.SerializeToString(deterministic=True), name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 500_000
    assert load_backend("auto", "starter").name == "onnxruntime"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_copy_holds_its_own_weights(folder: Path, tmp_path: Path, precision: str) -> None:
    bundle = load_bundle(folder)
    where, manifest = export_onnx(bundle, (2,), precision=precision, out=tmp_path / "copy")
    assert where == tmp_path / "copy" / "onnx" and manifest.precision == precision
    assert not list(where.parent.glob(".*"))
    (where.parent / "model.safetensors").rename(tmp_path / "moved")
    import onnxruntime

    for path in where.glob("*.onnx"):  # any program can read them, from where they lie
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (tmp_path / "moved").rename(where.parent / "model.safetensors")
    ours, theirs = OnnxBackend(load_bundle(where.parent)), OnnxBackend(bundle)
    case = random_case(PLAIN, "sliding", 3, 2)
    gap = np.abs(answer(ours, case) - answer(theirs, case)).max()
    assert gap < TOLERANCE[precision]
    assert (gap > 1e-4) == (precision == "int8")
    moves = [describe(closed_loop(b, 60)) for b in (ours, theirs)]
    np.testing.assert_allclose(moves[0].std, moves[1].std, rtol=0.3, atol=0.05)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_well_formed_and_not_for_the_cpu(
    folder: Path, tmp_path: Path, precision: str
) -> None:
    where, _ = export_onnx(load_bundle(folder), (1,), precision=precision, out=tmp_path / "copy")
    for path in where.glob("*.onnx"):
        onnx.checker.check_model(str(path), full_check=True)
    with pytest.raises(GraphsError, match="cannot run on a CPU"):
        OnnxBackend(load_bundle(where.parent))


# what is refused


def test_a_bundle_changed_after_export_is_refused_and_torch_runs_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = folder.parent / "onnx"
    shutil.move(folder / "onnx", kept)
    save_random(folder, PLAIN, seed=9)
    shutil.move(kept, folder / "onnx")
    with pytest.raises(GraphsError, match="exported from another network"):
        load_backend("onnxruntime", str(folder))
    with caplog.at_level(logging.WARNING):
        assert load_backend("auto", str(folder)).name == "torch"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("torch runs the model: the graphs in") and "posetalk export" in line


def test_other_live_settings_need_no_new_export(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model"]["live"]["hop"] = 4
    (folder / "config.json").write_text(json.dumps(config))
    backend = load_backend("auto", str(folder))
    assert backend.name == "onnxruntime" and backend.spec.live.hop == 4


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "speech.onnx").write_bytes(b"x"), "was changed after its export"),
        (lambda f: (f / "speech.onnx").unlink(), "No such file"),
        (lambda f: (f / "manifest.json").unlink(), "no exported graphs: there is no"),
        (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
        (
            lambda f: (f / "manifest.json").write_text(
                '{"format": "posetalk-graphs", "version": 9}'
            ),
            "of another version",
        ),
    ],
)
def test_damaged_graphs_get_one_line(folder: Path, damage, reason: str) -> None:
    damage(folder / "onnx")
    with pytest.raises(GraphsError, match=reason) as caught:
        load_backend("onnxruntime", str(folder))
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_made_by_the_command_that_is_named(tmp_path: Path) -> None:
    for name in ("onnx", "tensorrt", "tensorrt-rtx"):
        line = "" if name == "onnx" else f" --to {name}"
        with pytest.raises(GraphsError) as caught:
            read_manifest(tmp_path / "a bundle" / name)
        assert f"`posetalk export '{tmp_path}/a bundle'{line}` makes them" in str(caught.value)


def test_a_missing_provider_is_said_and_not_replaced(folder: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("not run: this onnxruntime is built for a GPU")
    with pytest.raises(RuntimeProblem, match="no CUDAExecutionProvider here") as caught:
        load_backend("onnxruntime-cuda", str(folder))
    assert "\n" not in str(caught.value)


def test_steps_without_a_graph_are_said(folder: Path, tmp_path: Path) -> None:
    where, _ = export_onnx(load_bundle(folder), (1, 2), out=tmp_path / "copy")
    backend = OnnxBackend(load_bundle(where.parent))
    case = random_case(PLAIN, "adjacent", 1, 3)
    with pytest.raises(RuntimeProblem, match=r"no graph sampler_3 .* sampler_1, sampler_2"):
        answer(backend, case)


def test_inputs_that_do_not_fit_get_one_line(made: Path) -> None:
    backend = OnnxBackend(load_bundle(made))
    with pytest.raises(RuntimeProblem) as caught:
        backend.encode(np.zeros(641, np.float32), backend.speech_state())
    assert "\n" not in str(caught.value)


def test_buffers_on_a_device_are_used_again_and_change_nothing(made: Path) -> None:
    """The path of GPUs, with the CPU's memory in the place of theirs."""
    bound, plain = (OnnxBackend(load_bundle(made)) for _ in range(2))
    for session in (bound._speech, bound._sampler(2)):
        session._memory = "cpu"
    for seed in range(3):
        case = random_case(PLAIN, "adjacent", 2, 2, seed=seed)
        np.testing.assert_array_equal(answer(bound, case), answer(plain, case))
    (sampler,) = bound._samplers.values()
    assert len(sampler._buffers) == 1


@pytest.mark.parametrize("kind", ["plain", "one branch"])
@pytest.mark.parametrize("quantile", [0.5, 0.99])
def test_the_threshold_in_a_graph_is_torchs(
    tmp_path: Path, monkeypatch, quantile: float, kind: str
) -> None:
    """Of branches and of the one that takes the scales itself, over the whole window of each entry.

    The graph sorts what the quantile needs and no more: engines sort at most 3,840 values.
    """

    def loud(spec: ModelSpec, seed: int) -> DiffPoseTalk:
        model = random_model(spec, seed)
        model.denoising_net.motion_dec[2].weight.data *= 8.0  # or there is nothing to clip
        return model

    monkeypatch.setattr(bundles_for_export, "random_model", loud)
    live = dataclasses.replace(PLAIN.live, threshold_quantile=quantile)
    bundle = save_random(tmp_path / "bundle", dataclasses.replace(SPECS[kind], live=live))
    export_onnx(bundle, [2])
    ours, theirs = OnnxBackend(bundle), TorchBackend(bundle)
    for rule in ("adjacent", "sliding"):
        for scales in ((1.0, 1.0), (1.15, 3.0)):
            case = random_case(bundle.spec, rule, 2, 2, scales=scales)
            expected = answer(theirs, case)
            assert np.abs(expected).max() > 0.999
            np.testing.assert_allclose(answer(ours, case), expected, atol=1e-4)
    full = dataclasses.replace(ModelSpec().live, threshold_quantile=0.99)
    assert most_sorted(dataclasses.replace(ModelSpec(), live=full)) <= 3840


def test_an_export_that_fails_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    bundle, empty = load_bundle(folder), tmp_path / "empty"
    empty.mkdir()
    for out in (tmp_path / "new", empty):
        with pytest.raises(ZeroDivisionError), home_of(bundle, out) as home:
            assert (home / "model.safetensors").is_file()
            raise ZeroDivisionError
    assert not (tmp_path / "new").exists() and not list(empty.iterdir())


def test_a_full_disk_leaves_what_was_there(folder: Path, monkeypatch) -> None:
    before = {path.name: path.read_bytes() for path in (folder / "onnx").iterdir()}

    def full(model, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx_export, "save", full)
    with pytest.raises(ExportError, match="No space left on device; make room"):
        write_shipped_graphs(folder)
    assert before == {path.name: path.read_bytes() for path in (folder / "onnx").iterdir()}
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bundle"]


def test_nothing_of_the_users_is_overwritten(folder: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years")
    with pytest.raises(ExportError, match="holds something else"):
        export_onnx(load_bundle(folder), (1,), out=taken)
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]


# the command


def test_the_command_exports_into_the_bundle_and_beside_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(folder / "onnx")
    code, _, messages = call(["export", str(folder)], capsys)
    assert code == 0 and "sampler_4, sampler in fp32" in messages
    assert load_backend("auto", str(folder)).name == "onnxruntime"
    out = tmp_path / "out"
    code, _, messages = call(["export", str(folder), "--steps", "1", "3", "-o", str(out)], capsys)
    assert code == 0 and "speech, sampler_1, sampler_3" in messages
    assert f"posetalk live --bundle {out}" in messages


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--steps", "21"], 2, "choose 1 to 20"),
        (["--precision", "fp8", "-o", "out"], 1, "cannot be in fp8: choose one of fp32"),
        (["--precision", "fp64"], 2, "fp64"),
    ],
)
def test_mistakes_get_one_line(
    arguments: list[str],
    code: int,
    reason: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    got, output, messages = call(["export", str(folder), *arguments], capsys)
    assert got == code and reason in output + messages


def test_graphs_of_other_steps_open_when_they_are_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy with graphs of two steps alone speaks in two; in its own one, torch speaks."""
    folder = tmp_path / "two"
    onnx_export.export_onnx(load_bundle("starter"), (2,), out=folder)
    sound = babble(640 * 8)
    backend = load_backend("auto", str(folder), steps=2)
    assert backend.name == "onnxruntime"
    session = Session(backend, options=SessionOptions(steps=2))
    assert len(session.feed(sound)) == 6
    assert load_backend("auto", str(folder)).name == "torch"
    assert "no graph that samples in 1 steps" in caplog.text
    with pytest.raises(RuntimeProblem, match="no graph sampler_1"):
        Session(load_backend("onnxruntime", str(folder))).feed(sound)


def test_a_case_has_all_that_sessions_may_differ_in() -> None:
    """Padding at the end of every second one, other places filled, other scales."""
    case = random_case(PLAIN, "sliding", 4, 2, scales=(1.1, 1.0))
    n, T_p = PLAIN.T_w, PLAIN.T_p
    assert [call.valid for call in case.calls] == [n, n - 3, n, n - 3]
    assert [call.missing for call in case.calls] == [T_p, T_p - 1, T_p - 2, T_p - 3]
    assert [call.conditions.audio_guidance for call in case.calls] == pytest.approx(
        [1.1, 1.2, 1.3, 1.4]
    )
    assert all(len(call.known) == n // 2 for call in case.calls)
    short = random_case(PLAIN, "adjacent", 3, 2).calls
    assert [(call.valid, len(call.known)) for call in short] == [(min(5, n), 0)] * 3
