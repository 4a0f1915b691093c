"""What the networks of the table are asked and graded by, recomputed from what they were given."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from head.rig import builtin_head
from training.labels.label_styles import STYLES
from training.loop.losses import FaceGeometry, Weights, motion_losses
from training.paper import ablations
from training.paper.ablations import VARIANTS, VariantLosses
from training.speech.track_batches import Tracks
from training.starter.adjacent_windows import Training
from training.starter.mel_pretraining import SpeechPretraining

FRAMES, BATCHES = 300, 12
NOWHERE = 77.0
"""What stands in the learned start features and null conditions here."""


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    """Two tracks of noise; every frame's first channel is unlike all others."""
    folder, rng = tmp_path_factory.mktemp("tracks"), np.random.default_rng(0)
    motion = rng.standard_normal((2 * FRAMES, 54)).astype(np.float32)
    np.save(folder / "columns.npy", rng.normal(size=(1, 8 * FRAMES, 80)).astype(np.float16))
    np.save(folder / "motion.npy", motion)
    np.save(folder / "phone.npy", np.zeros(2 * FRAMES, np.uint8))
    spans = [{"start": FRAMES * i, "end": FRAMES * (i + 1), "style": i, "set": ""} for i in (0, 1)]
    styles = [asdict(STYLES[name]) for name in ("neutral", "lively")]
    told = {"spans": spans, "styles": styles, "named": ["neutral", "lively"]}
    (folder / "tracks.json").write_text(json.dumps(told))
    return Tracks(folder)


@dataclass
class Asked:
    """Of all windows, one below the other."""

    x_t: list[Tensor] = field(default_factory=list)
    t: list[Tensor] = field(default_factory=list)
    speech: list[Tensor] = field(default_factory=list)
    person: list[Tensor] = field(default_factory=list)
    context: list[Tensor] = field(default_factory=list)
    predicted: list[Tensor] = field(default_factory=list)
    target: list[Tensor] = field(default_factory=list)


def asked(
    name: str, tracks: Tracks, monkeypatch: pytest.MonkeyPatch
) -> tuple[Asked, VariantLosses, list[float], list[float]]:
    """What a variant's network is given in some batches of whole windows, and their losses: as
    they come, and as they are by hand."""
    torch.manual_seed(0)
    [variant] = [each for each in VARIANTS if each.name == name]
    training = Training(variant.spec(), SpeechPretraining(variant.spec()))
    model, seen = training.model, Asked()
    with torch.no_grad():
        for part in ("start_motion_feat", "start_audio_feat", "null_audio_feat", "null_style_feat"):
            if hasattr(model, part):
                getattr(model, part).fill_(NOWHERE)
    net = model.denoising_net
    audio_terms = net.audio_terms

    def heard(features: Tensor) -> Any:
        seen.speech.append(features[:, model.spec.T_p :])
        return audio_terms(features)

    def denoise(x_t: Tensor, t: Tensor, terms: Any, person: Tensor, context: Tensor) -> Tensor:
        for kept, value in zip(
            (seen.x_t, seen.t, seen.person, seen.context), (x_t, t, person, context), strict=True
        ):
            kept.append(value)
        return 0.1 * torch.randn_like(x_t)

    by_hand: list[float] = []

    def graded(predicted: Tensor, target: Tensor, face: FaceGeometry, weights: Weights) -> Any:
        seen.predicted.append(predicted)
        seen.target.append(target)
        own = Weights() if variant.geometric else Weights().without_geometry()
        by_hand.append(float(motion_losses(predicted, target, face, own)[0]))
        return motion_losses(predicted, target, face, weights)

    speech: list[float] = []
    feature_losses = training.speech.feature_losses

    def spoken(*given: Any) -> Any:
        loss, terms = feature_losses(*given)
        speech.append(float(loss))
        return loss, terms

    monkeypatch.setattr(net, "audio_terms", heard)
    monkeypatch.setattr(net, "denoise", denoise)
    monkeypatch.setattr(training.speech, "feature_losses", spoken)
    monkeypatch.setattr(ablations, "motion_losses", graded)
    monkeypatch.setattr(ablations, "window_length", lambda rng: 12)
    geometry = FaceGeometry(builtin_head(), tracks.mean, tracks.std, others=5, lips=10)
    losses = VariantLosses(variant, training, tracks, geometry, torch.randn(2, 3, 64))
    rng = np.random.default_rng(1)
    with torch.no_grad():
        totals = [float(losses(rng, step)[0]) for step in range(BATCHES)]
    hand = [a + 0.15 * b for a, b in zip(by_hand, speech, strict=True)]
    return seen, losses, totals, hand


@pytest.mark.parametrize("name", [variant.name for variant in VARIANTS])
def test_what_each_is_asked(name: str, tracks: Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, losses, totals, hand = asked(name, tracks, monkeypatch)
    assert totals == pytest.approx(hand, rel=1e-5)
    x_t, t, x0 = torch.cat(seen.x_t), torch.cat(seen.t), torch.cat(seen.target)[:, 1:]
    assert len(x_t) == BATCHES * 48
    bars = torch.from_numpy(losses.schedule.alpha_bar[t.numpy()]).float()[:, None, None]
    if name == "regression":
        assert not x_t.any() and set(t.tolist()) == {498}
    else:
        noise = (x_t - bars.sqrt() * x0) / (1 - bars).sqrt()
        assert float(noise.mean()) == pytest.approx(0.0, abs=0.01)
        assert float(noise.std()) == pytest.approx(1.0, abs=0.01)
        assert t.min() >= 1 and t.max() <= 500 and len(t.unique()) > 100
    # The frame before joins both sides, as it is in the track.
    place = {float(row[0]): k for k, row in enumerate(tracks.normalised(0, 2 * FRAMES))}
    for predicted, target in zip(seen.predicted, seen.target, strict=True):
        assert torch.equal(predicted[:, 0], target[:, 0])
        for row in target[:5]:
            first = place[float(row[0, 0])]
            assert [place[float(value)] for value in row[:, 0]] == list(range(first, first + 13))
    # Conditions: one in ten loses both, a third more its style; one in eight has no whole past.
    guided, styled = name not in ("no-guidance", "regression"), name != "no-style"
    deaf = (torch.cat(seen.speech) == NOWHERE).all(2).all(1)
    assert float(deaf.float().mean()) == pytest.approx(0.1 * guided, abs=0.04)
    if styled:
        faceless = (torch.cat(seen.person)[:, 0, 100:] == NOWHERE).all(1)
        assert float(faceless.float().mean()) == pytest.approx(0.45 * guided, abs=0.07)
        assert bool(faceless[deaf].all())
    context = torch.cat(seen.context)
    begun = (context == NOWHERE).all(2)
    assert float(begun.any(1).float().mean()) == pytest.approx(0.12, abs=0.05)
    true = torch.from_numpy(tracks.normalised(0, 2 * FRAMES))
    far = torch.cdist(context[~begun][:500], true).min(1).values
    assert float((far > 0.1).float().mean()) > 0.5, "pasts are as wrong as they can be live"
