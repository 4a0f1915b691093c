"""Losses on a dataset: what counts, what is drawn, what learns, and where HuBERT begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_training_set import SMALL, TINY, two_windows, write_small_set

from diffposetalk.network.hubert import build_hubert
from diffposetalk.network.style_encoder import StyleEncoder
from diffposetalk.spec import SpeechEncoderSpec
from head.rig import builtin_head
from training.faces.crops import CropSource
from training.faces.lmdb_dataset import LmdbSet
from training.loop.losses import PAPER, FaceGeometry, Weights, motion_losses, transition_loss
from training.loop.pretrained import PretrainedError, freeze_hubert, load_hubert
from training.paper.presets import PRESETS, Preset
from training.paper.style_loss import PairLosses


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def crops(data: Path) -> Iterator[CropSource]:
    with LmdbSet(data) as found:
        yield CropSource(found, "train")


# --- losses --------------------------------------------------------------------------------------


def test_what_is_not_valid_does_not_count() -> None:
    geometry = FaceGeometry(builtin_head(), np.zeros(54, np.float32), np.full(54, 0.1, np.float32))
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 9, 54, generator=generator) for _ in range(2))
    valid = torch.arange(9)[None] < 6
    spoiled = torch.where(valid[..., None], b, torch.full_like(b, 7.0))
    _, terms = motion_losses(a, spoiled, geometry, PAPER, valid=valid)
    _, expected = motion_losses(a[:, :6], b[:, :6], geometry, PAPER)
    assert set(terms) == set(expected)
    for name in terms:
        assert float(terms[name]) == pytest.approx(float(expected[name]), rel=1e-4), name
    nothing, _ = motion_losses(a, b, geometry, PAPER, valid=torch.zeros_like(valid))
    assert float(nothing) == 0.0


def test_the_papers_weights_are_per_square_metre() -> None:
    geometry = FaceGeometry(
        builtin_head(), np.zeros(54, np.float32), np.ones(54, np.float32), others=None
    )
    a, b = torch.zeros(1, 3, 54), torch.zeros(1, 3, 54)
    b[..., 53] = 0.1
    metres = (geometry(a) - geometry(b)) / 1000
    _, terms = motion_losses(a, b, geometry, PAPER)
    assert PAPER.vert * float(terms["vert"]) == pytest.approx(2e6 * float((metres**2).mean()))


def test_motion_without_head_rotation_has_no_head_terms() -> None:
    geometry = FaceGeometry(builtin_head(), np.zeros(51, np.float32), np.ones(51, np.float32))
    _, terms = motion_losses(torch.zeros(1, 4, 51), torch.ones(1, 4, 51), geometry, PAPER)
    assert "vert" in terms and "angle" not in terms


def test_the_seam_costs_nothing_where_the_head_goes_on_evenly() -> None:
    line = torch.arange(6.0)[None, :, None].expand(1, 6, 3)
    assert float(transition_loss(line[:, :3], line[:, 3:])) == 0.0
    assert float(transition_loss(line[:, :3], line[:, 3:] + 1.0)) > 0.1


# --- batches and objectives ----------------------------------------------------------------------


def test_pairs_come_from_different_people_and_are_apart(crops: CropSource) -> None:
    torch.manual_seed(0)
    losses = PairLosses(StyleEncoder(TINY.spec), crops, TINY.style)
    batch = losses.draw(np.random.default_rng(0))
    assert batch.motion.shape == (3, 210, 54), "every person once, 100 + 10 + 100 frames"
    heads = {round(float(m[0, 50]), 3) for m in batch.motion}
    assert len(heads) == 3
    _, terms = losses(np.random.default_rng(0), 0, batch)
    assert set(terms) == {"nt_xent", "retrieved"}


def test_the_second_window_reads_the_first_and_the_other_style(crops: CropSource) -> None:
    losses = two_windows(crops, SMALL)
    batch = losses.draw(np.random.default_rng(0))
    first, second = losses._windows(batch, np.random.default_rng(0))
    assert (first.start, first.n, first.missing) == (0, 20, 10)
    assert (second.start, second.n, second.missing) == (20, 20, 0)
    assert losses.style is not None
    with torch.no_grad():
        torch.testing.assert_close(first.style, losses.style(batch.motion[:, 20:]))
        torch.testing.assert_close(second.style, losses.style(batch.motion[:, :20]))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("truncated", [0.0, 1.0])
def test_speech_after_the_end_is_never_heard(
    crops: CropSource, together: bool, truncated: float
) -> None:
    settings = replace(
        SMALL.denoiser, together=together, truncated=(truncated, truncated), both_null=0.0
    )
    losses = two_windows(crops, replace(SMALL, denoiser=settings))
    batch = losses.draw(np.random.default_rng(0))
    for number, window in enumerate(losses._windows(batch, np.random.default_rng(1))):
        assert (window.ends is not None) == bool(truncated)
        end = window.start + (20 if window.ends is None else int(window.ends[0]))
        changed = batch.samples.clone()
        changed[0, end * 640 :] = 0.5
        with torch.no_grad():
            pasts, nows = [], []
            for samples in (batch.samples, changed):
                whole = losses._encode(samples) if together else None
                past, now = losses._features(window, samples, whole)
                pasts.append(past[0])
                nows.append(now[0])
        torch.testing.assert_close(pasts[0], pasts[1])
        torch.testing.assert_close(nows[0], nows[1])
        assert now.shape == (8, 20, 48) and past.shape == (8, 10, 48), number


@pytest.mark.parametrize(
    ("preset", "terms"),
    [
        (SMALL, {"simple", "vert", "vel", "smooth", "gap", "angle", "head_velocity"}),
        (
            replace(SMALL, denoiser=replace(SMALL.denoiser, weights=PAPER, vertices=None)),
            {"vert", "transition"},
        ),
        (replace(SMALL, denoiser=replace(SMALL.denoiser, live=True)), {"simple"}),
        (SMALL.without(("geometry",)), {"simple"}),
        (SMALL.without(("alignment", "style", "guidance")), {"vert"}),
    ],
)
def test_every_setting_makes_a_gradient(crops: CropSource, preset: Preset, terms: set[str]) -> None:
    losses = two_windows(crops, preset)
    batch = losses.draw(np.random.default_rng(0))
    total, parts = losses(np.random.default_rng(0), 0, batch)
    total.backward()  # type: ignore[no-untyped-call]
    assert terms <= set(parts) and all(bool(torch.isfinite(v)) for v in parts.values())
    if preset.denoiser.weights.vert == 0.0:
        assert "vert" not in parts
    gradient = losses.model.denoising_net.feature_proj.weight.grad
    assert gradient is not None and float(gradient.abs().sum()) > 0


def test_ablations_leave_out_what_they_say() -> None:
    for name, preset in PRESETS.items():
        assert preset.without(()) == preset, name
    paper = PRESETS["paper"]
    assert paper.without(("alignment",)).spec.denoiser.align_mask_width == 0
    assert paper.without(("style",)).spec.d_person == 100
    assert paper.without(("head",)).spec.d_motion == 51
    assert paper.without(("geometry",)).denoiser.weights == Weights(1, *[0] * 8)
    unguided = paper.without(("guidance",))
    assert unguided.denoiser.style_null == unguided.denoiser.both_null == 0.0
    assert unguided.spec.live.audio_guidance == unguided.spec.live.style_guidance == 1.0
    assert paper.denoiser.together and not PRESETS["code"].denoiser.together
    assert (paper.style.gap, PRESETS["code"].style.gap) == (0, 10)


# --- HuBERT --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hubert() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_hubert(48)


def test_frozen_layers_of_hubert_stay_as_they_are(
    crops: CropSource, hubert: torch.nn.Module
) -> None:
    spec = replace(SMALL.spec, speech=SpeechEncoderSpec(kind="hubert", d_out=48))
    code = replace(PRESETS["code"].denoiser, run=replace(SMALL.denoiser.run, batch=1), vertices=20)
    losses = two_windows(crops, replace(SMALL, spec=spec, denoiser=code))
    encoder = losses.model.audio_encoder
    encoder.load_state_dict(hubert.state_dict())
    freeze_hubert(encoder, code.frozen_layers)
    losses.model.train()
    total, _ = losses(np.random.default_rng(0), 0, losses.draw(np.random.default_rng(0)))
    total.backward()  # type: ignore[no-untyped-call]
    learned = {name for name, p in encoder.named_parameters() if p.grad is not None}
    frozen = ("feature_extractor", "feature_projection", "encoder.layers.0.", "encoder.layers.1.")
    assert learned and not any(name.startswith(frozen) for name in learned)
    assert any(name.startswith("encoder.pos_conv_embed") for name in learned)


def test_pretrained_weights_are_found_under_old_names(
    tmp_path: Path, hubert: torch.nn.Module
) -> None:
    conv = "encoder.pos_conv_embed.conv."
    old = {
        f"{conv}parametrizations.weight.original0": f"{conv}weight_g",
        f"{conv}parametrizations.weight.original1": f"{conv}weight_v",
    }
    tensors = {f"hubert.{old.get(k, k)}": v for k, v in hubert.state_dict().items()}
    tensors["lm_head.weight"] = torch.zeros(3)
    path = tmp_path / "model.safetensors"
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, path)
    torch.manual_seed(1)
    fresh = build_hubert(48)
    load_hubert(fresh, str(tmp_path))  # the folder of a download
    for name, value in fresh.state_dict().items():
        torch.testing.assert_close(value, hubert.state_dict()[name])
    with pytest.raises(PretrainedError, match="is \\(48,\\), not \\(96,\\)"):
        load_hubert(build_hubert(96), str(path))
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")
    for source, reason in (
        (str(path), "cannot be read as weights"),
        ("", "downloaded beforehand"),
        (str(tmp_path / "nobody"), "no such file"),
    ):
        with pytest.raises(PretrainedError, match=reason):
            load_hubert(fresh, source)
