"""The starter's training from its command: begun from a bundle, and the same again to the bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.saving import save_bundle
from training.loop.checkpoint import load
from training.starter import average, train

PARTS = ("speech", "style", "denoiser", "distilled", "scales")


@pytest.fixture
def tracks(tmp_path: Path) -> Path:
    """Noise for sound and motion, two tracks of it."""
    folder, rng, n = tmp_path / "tracks", np.random.default_rng(0), 600
    folder.mkdir()
    np.save(folder / "columns.npy", rng.normal(size=(2, 4 * n, 80)).astype(np.float16))
    np.save(folder / "motion.npy", rng.normal(size=(n, 54)).astype(np.float32))
    np.save(folder / "phone.npy", rng.integers(0, 40, n).astype(np.uint8))
    spans = [{"start": 300 * i, "end": 300 * i + 300, "style": i, "set": "a"} for i in range(2)]
    about = {"spans": spans, "styles": [{}, {}], "named": ["x", "y"], "settings": {}}
    (folder / "tracks.json").write_text(json.dumps(about))
    return folder


def trained(tracks: Path, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    train.main(
        train.StarterSettings(
            tracks=tracks,
            folder=folder,
            start="starter",
            threads=1,
            speech_steps=1,
            denoiser_steps=1,
            distil_steps=1,
            scales_steps=1,
        )
    )
    states = {part: load(folder / part) for part in PARTS}
    return {part: dict(state["average"]) for part, state in states.items() if state is not None}


def test_a_run_from_a_bundle_keeps_its_language_and_can_be_had_again(
    tracks: Path, tmp_path: Path
) -> None:
    first, again = (trained(tracks, tmp_path / name) for name in ("first", "again"))
    assert first.keys() == set(PARTS)
    for part, weights in first.items():
        assert all(torch.equal(value, again[part][name]) for name, value in weights.items()), part
    bundle = load_bundle("starter")
    style = bundle.style_encoder().state_dict()
    assert all(torch.equal(value, first["style"][name]) for name, value in style.items())
    with np.load(tracks / "statistics.npz") as units:
        np.testing.assert_allclose(units["std"], bundle.statistics.motion_std)
    told = json.loads((tmp_path / "first" / "settings.json").read_text())
    assert told["start_hash"] == bundle.hash
    assert (told["speech_steps"], told["style_steps"]) == (1, 0)
    assert not any(str(tmp_path) in str(value) for value in told.values())


def test_a_part_alone_tells_its_own_steps_and_leaves_those_of_the_others(tmp_path: Path) -> None:
    train.note(train.StarterSettings(folder=tmp_path, speech_steps=1, distil_steps=2))
    train.note(
        train.StarterSettings(folder=tmp_path, part="distil", distil_steps=3, scales_steps=4)
    )
    told = json.loads((tmp_path / "settings.json").read_text())
    assert (told["speech_steps"], told["distil_steps"], told["scales_steps"]) == (1, 3, 4)


def test_tracks_in_other_units_are_refused(tracks: Path) -> None:
    train.keep_units(tracks, "starter")
    with np.load(tracks / "statistics.npz") as found:
        units = dict(found)
    for name in units:
        np.savez(tracks / "statistics.npz", **{**units, name: np.ones(54)})
        with pytest.raises(ValueError, match="not the normalisation"):
            train.keep_units(tracks, "starter")


def test_halfway_between_two_bundles(tmp_path: Path) -> None:
    bundle = load_bundle("starter")
    model = bundle.model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0)
    thrice = save_bundle(
        tmp_path / "thrice",
        model,
        bundle.spec,
        bundle.statistics,
        bundle.styles,
        bundle.head_id,
        "",
        {},
        style_encoder=bundle.style_encoder(),
    )
    average.main(average.AverageSettings("starter", str(thrice.folder), tmp_path / "between"))
    between = load_bundle(tmp_path / "between")
    assert between.provenance["of"] == [bundle.hash, thrice.hash]
    for weight, once in zip(between.model().parameters(), bundle.model().parameters(), strict=True):
        torch.testing.assert_close(weight, 2.0 * once, rtol=2e-3, atol=1e-6)  # kept in 16 bits


def test_bundles_in_other_units_have_no_middle(tmp_path: Path) -> None:
    bundle = load_bundle("starter")
    units = replace(bundle.statistics, motion_std=2.0 * bundle.statistics.motion_std)
    other = save_bundle(
        tmp_path / "other",
        bundle.model(),
        bundle.spec,
        units,
        bundle.styles,
        bundle.head_id,
        "",
        {},
    )
    with pytest.raises(ValueError, match="other units"):
        average.main(average.AverageSettings("starter", str(other.folder), tmp_path / "between"))


def test_the_steps_of_the_starters_parts() -> None:
    settings = train.StarterSettings()
    assert (settings.speech_steps, settings.style_steps) == (6000, 700)
    assert (settings.denoiser_steps, settings.distil_steps, settings.scales_steps) == (
        10_500,
        1800,
        150,
    )
    assert (settings.rate, settings.seed, settings.part, settings.bf16) == (1.0, 0, "all", True)
    run = settings.run("speech", 7, 2e-3)
    assert (run.steps, run.learning_rate, run.minutes) == (7, 2e-3, float("inf"))
    assert run.folder == settings.folder / "speech" and run.bf16
