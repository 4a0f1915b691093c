"""Bundles: what is saved is what is loaded, and every broken folder gets one clear line."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from diffposetalk.bundle.bundle import (
    Bundle,
    BundleError,
    Statistics,
    bundle_folder,
    load_bundle,
    read_spec,
)
from diffposetalk.bundle.saving import save_bundle
from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.spec import (
    DenoiserSpec,
    LiveDefaults,
    ModelSpec,
    SpeechEncoderSpec,
    StyleEncoderSpec,
)
from head.library import head_path
from head.rig import builtin_head, save_head

SPEC = ModelSpec(
    T_w=8,
    T_p=4,
    n_shape=3,
    style=StyleEncoderSpec(d_style=8, n_layers=1),
    speech=SpeechEncoderSpec(kind="mel", d_out=16, d_hidden=8, history_frames=26),
    denoiser=DenoiserSpec(d_model=16, n_heads=2, n_layers=2),
)


def statistics(spec: ModelSpec = SPEC) -> Statistics:
    rng = np.random.default_rng(0)
    return Statistics(
        *(
            rng.uniform(0.5, 2.0, n).astype(np.float32)
            for n in (spec.d_motion, spec.d_motion, spec.n_shape, spec.n_shape)
        )
    )


STYLES = {name: np.full(8, i, np.float32) for i, name in enumerate(("warm", "calm", "brisk"))}


@pytest.fixture(scope="module")
def model() -> DiffPoseTalk:
    torch.manual_seed(0)
    return DiffPoseTalk(SPEC)


def save(folder: Path, model: DiffPoseTalk, **changes: object) -> Bundle:
    values: dict[str, object] = {
        "model": model,
        "spec": SPEC,
        "statistics": statistics(),
        "styles": STYLES,
        "head_id": "test-head",
        "card": "# Test\n",
        "provenance": {"data": "none"},
        **changes,
    }
    return save_bundle(folder, **values)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, model: DiffPoseTalk) -> Path:
    save(tmp_path / "b", model)
    return tmp_path / "b"


def test_round_trip(tmp_path: Path, model: DiffPoseTalk) -> None:
    live = dataclasses.replace(SPEC, live=LiveDefaults(hop=2, steps=1))
    encoder = StyleEncoder(SPEC)
    save(tmp_path / "b", model, spec=live, style_encoder=encoder)
    bundle = load_bundle(tmp_path / "b")
    assert (bundle.spec, bundle.head_id, bundle.card) == (live, "test-head", "# Test\n")
    assert bundle.provenance == {"data": "none"}
    assert list(bundle.styles) == ["warm", "calm", "brisk"]  # the first is the default
    for name, array in dataclasses.asdict(statistics()).items():
        np.testing.assert_array_equal(getattr(bundle.statistics, name), array)
    loaded = bundle.model()
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    motion = torch.randn(1, 20, SPEC.d_motion)
    with torch.no_grad():
        assert torch.equal(bundle.style_encoder()(motion), encoder.eval()(motion))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b"]


def test_half_precision_halves_the_file_and_keeps_buffers(
    tmp_path: Path, model: DiffPoseTalk
) -> None:
    full = save(tmp_path / "full", model)
    half = save(tmp_path / "half", model, half=True)
    sizes = [(b.folder / "model.safetensors").stat().st_size for b in (full, half)]
    stored = sum(p.numel() for p in model.parameters())
    assert sizes[0] - sizes[1] == pytest.approx(2 * stored, rel=0.1)
    state, loaded = model.state_dict(), half.model().state_dict()
    for name, tensor in loaded.items():
        assert tensor.dtype == state[name].dtype
        torch.testing.assert_close(tensor, state[name], rtol=1e-3, atol=1e-6)
    assert torch.equal(loaded["diffusion_sched.alpha_bars"], state["diffusion_sched.alpha_bars"])
    assert full.hash != half.hash


def test_hash_covers_configuration_and_weights(tmp_path: Path, model: DiffPoseTalk) -> None:
    a = save(tmp_path / "a", model)
    assert save(tmp_path / "b", model).hash == a.hash
    other = dataclasses.replace(SPEC, live=LiveDefaults(hop=3))
    assert save(tmp_path / "c", model, spec=other).hash != a.hash
    louder = {**STYLES, "calm": STYLES["calm"] + 1}
    assert save(tmp_path / "d", model, styles=louder).hash != a.hash


def test_saving_replaces_a_bundle_and_nothing_else(tmp_path: Path, model: DiffPoseTalk) -> None:
    save(tmp_path / "b", model)
    save(tmp_path / "b", model, head_id="second")
    assert load_bundle(tmp_path / "b").head_id == "second"
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.txt").write_text("words")
    with pytest.raises(BundleError, match="thesis is not a bundle"):
        save(precious, model)
    assert (precious / "chapter1.txt").read_text() == "words"


def test_a_failed_save_leaves_the_old_bundle(folder: Path, model: DiffPoseTalk) -> None:
    before = load_bundle(folder).hash
    with pytest.raises(BundleError, match="holds the styles"):
        save(folder, model, styles={})
    bad = DiffPoseTalk(SPEC)
    with torch.no_grad():
        bad.audio_feature_map.bias[0] = float("nan")
    with pytest.raises(BundleError, match=r"audio_feature_map.bias holds values that are not fin"):
        save(folder, bad)
    assert load_bundle(folder).hash == before
    assert [p.name for p in folder.parent.iterdir()] == ["b"]


def break_missing_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def break_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def break_config_text(folder: Path) -> None:
    (folder / "config.json").write_text('{"format": "posetalk-bundle", "ver')


def break_other_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"name": "something else"}')


def edit(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def break_version(folder: Path) -> None:
    edit(folder, version=9)


def break_unknown_key(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(folder, model={**config["model"], "temperature": 1})


def break_no_files(folder: Path) -> None:
    edit(folder, files={})


def break_truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def break_renamed(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "weights.safetensors")


def break_statistics(folder: Path) -> None:
    shutil.copy(folder / "styles.safetensors", folder / "statistics.safetensors")


def break_styles(folder: Path) -> None:
    edit(folder, styles=["warm", "calm", "brisker"])


@pytest.mark.parametrize(
    "damage,message",
    [
        (break_missing_folder, "there is no such folder"),
        (break_no_config, "there is no config.json in it"),
        (break_config_text, "config.json cannot be read"),
        (break_other_json, "not the configuration of a posetalk bundle"),
        (break_version, "version 9, this program reads 1: update"),
        (break_unknown_key, "unknown keys temperature"),
        (break_no_files, "'files' does not list model.safetensors"),
        (break_truncated, "model.safetensors is damaged"),
        (break_renamed, "lacks model.safetensors"),
        (break_statistics, "statistics.safetensors is damaged"),
        (break_styles, "brisker"),
    ],
)
def test_damage(folder: Path, damage: object, message: str) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def resign(folder: Path) -> None:
    """Make the checksums right again, so that only the content is wrong."""
    import hashlib

    files = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.safetensors")
    }
    edit(folder, files=files)


def test_weights_of_another_size(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    wider = {**config["model"]["denoiser"], "mlp_ratio": 2}
    edit(folder, model={**config["model"], "denoiser": wider})
    with pytest.raises(BundleError, match=r"linear1\.\w+ is \(64.*says \(32"):
        load_bundle(folder).model()
    edit(folder, model={**config["model"], "denoiser": {**wider, "n_layers": 3}})
    with pytest.raises(BundleError, match=r"lacks denoising_net.transformer.layers.2"):
        load_bundle(folder).model()


def test_weights_that_are_not_finite_or_not_safetensors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["start_motion_feat"][0, 0, 0] = float("inf")
    save_file(tensors, path)
    resign(folder)
    with pytest.raises(BundleError, match="start_motion_feat holds values that are not finite"):
        load_bundle(folder).model()
    path.write_bytes(b"PK\x03\x04 a pickle in a zip")
    resign(folder)
    with pytest.raises(BundleError, match="cannot be read as safetensors"):
        load_bundle(folder).model()


def test_statistics_must_fit(tmp_path: Path, model: DiffPoseTalk) -> None:
    short = dataclasses.replace(statistics(), motion_std=np.ones(51, np.float32))
    with pytest.raises(BundleError, match=r"does not hold motion_mean \(54,\)"):
        save(tmp_path / "b", model, statistics=short)
    flat = dataclasses.replace(statistics(), motion_std=np.zeros(54, np.float32))
    with pytest.raises(BundleError, match="standard deviation is not positive"):
        save(tmp_path / "b", model, statistics=flat)
    with pytest.raises(BundleError, match=r"style 'odd' is \(7,\), the model takes \(8,\)"):
        save(tmp_path / "b", model, styles={"odd": np.zeros(7)})
    with pytest.raises(BundleError, match="only live defaults may differ"):
        save(tmp_path / "b", model, spec=dataclasses.replace(SPEC, T_w=9))
    assert list(tmp_path.iterdir()) == []


def test_wrong_head_and_no_style_encoder(folder: Path) -> None:
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match="moves the head 'test-head', which is not here: no head"):
        bundle.require_head()
    with pytest.raises(BundleError, match="no style encoder: use one of its styles, warm, calm"):
        bundle.style_encoder()


def test_a_bundle_finds_its_head_and_no_other(
    tmp_path: Path, model: DiffPoseTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = builtin_head()
    assert save(tmp_path / "ours", model, head_id=ours.id).require_head() is ours
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    head_path("other").parent.mkdir(parents=True)
    save_head(ours, head_path("other"))
    bundle = save(tmp_path / "theirs", model, head_id="other")
    with pytest.raises(BundleError, match=f"'other', not '{ours.id}': choose the head"):
        bundle.require_head()
    for path in ("../other", "/dev/zero", "heads/other", "", ".hidden"):
        with pytest.raises(BundleError, match="no head's id"):
            save(tmp_path / "path", model, head_id=path)


def test_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle 'no-such-bundle'"):
        bundle_folder("no-such-bundle")


def test_reading_a_bundle_needs_no_torch(folder: Path) -> None:
    program = (
        "import sys; from diffposetalk.bundle.bundle import load_bundle, read_spec\n"
        "assert read_spec(sys.argv[1]).T_w == 8 and len(load_bundle(sys.argv[1]).styles) == 3\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        check=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert read_spec(folder) == SPEC
