"""The mel encoder: causal, streaming equal to one pass, deaf to a silent room's pumping."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from diffposetalk.network.mel import (
    LOWEST,
    TAIL_SAMPLES,
    MelEncoder,
    dropped,
    initial_level,
    mel_columns,
    mel_filterbank,
    normalise,
)
from diffposetalk.spec import ModelSpec, SpeechEncoderSpec
from diffposetalk.spec_json import SpecError

SPEC = ModelSpec(speech=SpeechEncoderSpec(kind="mel", d_out=32, n_mels=40, d_hidden=16))


@pytest.fixture(scope="module")
def encoder() -> MelEncoder:
    torch.manual_seed(0)
    return MelEncoder(SPEC).eval()


def voice(frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, 640 * frames, generator=generator)


@torch.inference_mode()
def test_what_is_kept_gives_what_the_whole_past_gives(encoder) -> None:
    """Streaming against the training's one pass over silence and then speech."""
    pcm = voice(30)
    samples = torch.cat([torch.zeros(1, TAIL_SAMPLES), pcm], -1)
    fresh, _ = normalise(mel_columns(samples, encoder.filters), initial_level())
    silence = torch.full((1, 4 * (SPEC.speech.history_frames - 1), 40), LOWEST)
    whole = encoder(torch.cat([silence, fresh], 1))
    state, parts = encoder.initial_state(), []
    for hop in pcm.split(640 * 2, 1):
        features, state = encoder.encode(hop, state)
        parts.append(features)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=2e-5, rtol=0)


@torch.inference_mode()
def test_hops_of_any_size_give_one_pass(encoder) -> None:
    pcm = voice(40)
    whole, last = encoder.encode(pcm, encoder.initial_state())
    state, parts, at = encoder.initial_state(), [], 0
    for hop in (1, 2, 7, 3, 12, 15):
        features, state = encoder.encode(pcm[:, 640 * at : 640 * (at + hop)], state)
        parts.append(features)
        at += hop
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=2e-5, rtol=0)
    torch.testing.assert_close(state.level, last.level, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_feature_k_reads_only_samples_before_its_frame_ends(encoder) -> None:
    pcm, other = voice(30), voice(30)
    other[:, 640 * 20 :] = voice(10, seed=5)
    a, _ = encoder.encode(pcm, encoder.initial_state())
    b, _ = encoder.encode(other, encoder.initial_state())
    assert torch.equal(a[:, :20], b[:, :20])
    assert not torch.allclose(a[:, 20], b[:, 20])


def test_filters_cover_the_band_and_sum_to_one() -> None:
    filters = mel_filterbank(80)
    assert filters.shape == (257, 80)
    np.testing.assert_allclose(filters.sum(0), 1.0, rtol=1e-5)
    peaks = filters.argmax(0)
    assert (np.diff(peaks) >= 0).all() and peaks[0] <= 4 and peaks[-1] > 220


def level_after(pcm: torch.Tensor) -> float:
    samples = torch.cat([torch.zeros(1, TAIL_SAMPLES), pcm], -1)
    columns = mel_columns(samples, torch.from_numpy(mel_filterbank(40)))
    _, level = normalise(columns, initial_level())
    return float(level[0, 0])


def test_the_level_follows_a_voice_but_not_a_silent_room() -> None:
    prior = float(initial_level()[0, 0])
    hiss = 1e-4 * torch.randn(1, 640 * 250)
    assert level_after(hiss) == pytest.approx(prior, abs=0.5)
    speech = voice(250) * (torch.arange(640 * 250) // 8000 % 2)  # bursts of half a second
    quiet = level_after(0.03 * speech)
    assert quiet < level_after(speech) - 10.0


def test_a_steady_noise_stops_being_taken_for_speech() -> None:
    noise = torch.cat([voice(50) * 1e-3, voice(1500, seed=2) * 0.02], -1)
    samples = torch.cat([torch.zeros(1, TAIL_SAMPLES), noise], -1)
    columns = mel_columns(samples, torch.from_numpy(mel_filterbank(40)))
    normal, early = normalise(columns[:, : 4 * 1000], initial_level())
    _, late = normalise(columns[:, 4 * 1000 :], early)
    assert torch.isfinite(normal).all() and float(normal.min()) >= LOWEST
    assert float(late[0, 1]) == float(early[0, 1]), "the floor has risen to the noise"


def test_a_history_that_the_convolutions_do_not_have_is_refused() -> None:
    wrong = dataclasses.replace(SPEC, speech=dataclasses.replace(SPEC.speech, history_frames=9))
    with pytest.raises(ValueError, match="26 frames"):
        MelEncoder(wrong)


def test_a_spec_round_trips_and_unknown_keys_are_errors() -> None:
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC
    with pytest.raises(SpecError, match="unknown keys hops"):
        ModelSpec.from_json('{"live": {"hops": 2}}')
    with pytest.raises(SpecError, match="T_w"):
        ModelSpec.from_json('{"T_w": "100"}')
    with pytest.raises(SpecError, match="not JSON"):
        ModelSpec.from_json("{")


def test_configurations_of_older_bundles_stay_readable() -> None:
    old = ModelSpec.from_json('{"live": {"gaze_frames": 60, "stare_frames": 175}}')
    live = {"gaze_time_constant_frames": 60.0, "max_blink_interval_frames": 175.0}
    assert dataclasses.asdict(old.live).items() >= live.items()
    assert ModelSpec.from_json(json.dumps({"live": live})) == old
    assert "stare_frames" not in old.to_json()
    with pytest.raises(SpecError, match="former name"):
        ModelSpec.from_json(json.dumps({"live": live | {"gaze_frames": 1}}))


def test_dropout_silences_whole_channels_while_it_trains_alone() -> None:
    dropout, x = torch.nn.Dropout1d(0.5), torch.ones(4, 9, 32)
    out = dropped(x, dropout)
    assert torch.equal(out, out[:, :1].expand_as(out)), "a channel is silent in every frame"
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped(x, dropout.eval()), x)
