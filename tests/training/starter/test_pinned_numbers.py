"""Numbers of the starter's and the table's recipes, and spans that just fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from training.paper.ablations import NEW_FRAMES, SMALL, window_length
from training.starter import style_pairs, train


def test_the_small_network_of_the_table_is_what_the_page_says() -> None:
    denoiser, style = SMALL.denoiser, SMALL.style
    assert (denoiser.d_model, denoiser.n_heads, denoiser.n_layers) == (128, 4, 3)
    assert (style.d_style, style.n_heads, style.n_layers) == (64, 4, 2)
    assert (SMALL.live.steps, SMALL.live.audio_guidance, SMALL.live.style_guidance) == (
        2,
        1.15,
        3.0,
    )


def test_a_pair_just_fits_its_span() -> None:
    length = 2 * style_pairs.WINDOW_FRAMES + style_pairs.GAP_FRAMES
    spans = np.array([(0, length, 0), (length, 2 * length, 1)])
    asked: list[tuple[int, int]] = []

    def normalised(first: int, last: int) -> Any:
        asked.append((first, last))
        return np.ones((last - first, 3), np.float32) * (first + 1)

    tracks: Any = SimpleNamespace(spans=spans, normalised=normalised)
    encoder: Any = lambda motion: torch.stack([motion.mean((1, 2)), motion.std((1, 2))], -1)  # noqa: E731
    for seed in range(5):
        style_pairs.pair_losses(encoder, tracks, 2, np.random.default_rng(seed))
    half, gap = style_pairs.WINDOW_FRAMES, style_pairs.GAP_FRAMES
    whole = {(s, s + half) for s in (0, length)} | {
        (s + half + gap, s + length) for s in (0, length)
    }
    assert set(asked) == whole


def test_windows_of_the_table_are_whole_but_for_some() -> None:
    """Every length occurs, and whole ones in 85 of 100."""
    rng = np.random.default_rng(0)
    drawn = [window_length(rng) for _ in range(4000)]
    assert set(drawn) == set(range(1, NEW_FRAMES + 1))
    assert np.mean([n == NEW_FRAMES for n in drawn]) == pytest.approx(0.85, abs=0.02)


def test_the_starters_network_and_live_settings() -> None:
    spec = train.STARTER
    assert (spec.T_p, spec.speech.kind, spec.speech.d_out, spec.speech.n_mels) == (
        12,
        "mel",
        512,
        80,
    )
    assert (spec.speech.d_hidden, spec.speech.history_frames, spec.speech.input_gain) == (
        256,
        26,
        True,
    )
    assert (spec.denoiser.d_model, spec.denoiser.n_heads, spec.denoiser.n_layers) == (256, 4, 4)
    assert (spec.style.d_style, spec.style.n_heads, spec.style.n_layers) == (64, 4, 2)
    live = spec.live
    assert (live.hop, live.lookahead, live.steps, live.window_rule) == (1, 2, 2, "adjacent")
    assert (live.audio_guidance, live.style_guidance) == (1.0, 1.0)
    assert (live.lip_noise, live.face_noise, live.head_noise) == (0.3, 1.2, 1.2)
    assert (live.head_noise_frames, live.head_inertia) == (25, 0.4)
    assert (live.gaze_time_constant_frames, live.max_blink_interval_frames) == (60, 175)
    assert train.DISTILLED.denoiser.guidance_input and train.DISTILLED.live.steps == 1
    assert not spec.denoiser.guidance_input


def test_every_part_of_the_starter_learns_at_its_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slower run slows what comes before the distillation, and that alone."""
    runs: dict[str, Any] = {}

    def note(model: Any, losses: Any, run: Any) -> None:
        runs[run.folder.name] = run

    monkeypatch.setattr(train, "train", note)
    for name in ("StyleEncoder", "SpeechPretraining", "Training", "Student"):
        monkeypatch.setattr(train, name, lambda *_, **__: SimpleNamespace(model=None))
    for name in ("WindowLosses", "DistilLosses"):
        monkeypatch.setattr(train, name, lambda *_, **__: None)
    monkeypatch.setattr(train, "scales_alone", lambda student: student)
    monkeypatch.setattr(train, "style_vectors", lambda *_: None)
    monkeypatch.setattr(train, "geometry", lambda *_: None)
    any_tracks: Any = SimpleNamespace(teacher=None)
    settings, nothing = train.StarterSettings(rate=0.5), Any
    train.train_speech(settings, any_tracks)
    train.train_style(settings, any_tracks)
    train.train_denoiser(settings, any_tracks, nothing, nothing)
    train.distil(settings, any_tracks, SimpleNamespace(model=None), nothing)  # type: ignore[arg-type]
    told = {name: (run.learning_rate, run.warm_up, run.ema) for name, run in runs.items()}
    assert told == {
        "speech": (5e-4, 200, 0.999),
        "style": (5e-4, 200, 0.999),
        "denoiser": (3e-4, 300, 0.999),
        "distilled": (2e-4, 100, 0.998),
        "scales": (1e-2, 20, 0.97),
    }
    assert not runs["style"].bf16 and runs["denoiser"].bf16
    assert (runs["distilled"].seed, runs["scales"].seed) == (0, 1)
    assert runs["denoiser"].slow == ("model.audio_encoder", "speech")
