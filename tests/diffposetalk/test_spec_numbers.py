"""The released sizes, and what follows from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffposetalk.schedule import noise_schedule, sampling_times
from diffposetalk.spec import DenoiserSpec, DiffusionSpec, LiveDefaults, ModelSpec, StyleEncoderSpec


def test_the_released_network_has_the_papers_sizes() -> None:
    denoiser, live = DenoiserSpec(), LiveDefaults()
    assert (denoiser.d_model, denoiser.n_heads, denoiser.n_layers) == (512, 8, 8)
    assert live.lookahead == 2


def test_a_person_is_a_shape_and_a_style_where_there_is_one() -> None:
    spec = ModelSpec(style=StyleEncoderSpec(d_style=64, n_heads=4, n_layers=2))
    assert spec.d_person == spec.n_shape + 64
    assert replace(spec, use_style=False).d_person == spec.n_shape


@pytest.mark.parametrize("calls", [1, 2, 7, 60, 200, 400, 498])
def test_sampling_times_are_the_nearest_to_even_steps_of_lambda(calls: int) -> None:
    schedule = noise_schedule(DiffusionSpec())
    times = sampling_times(schedule, calls)
    assert times[0] == 498 and len(set(times)) == calls and min(times) >= 1
    if calls <= 7:
        top, bottom = schedule.lambda_[498], schedule.lambda_[1]
        for n, t in enumerate(times):
            wanted = top + (bottom - top) * n / calls
            nearest = min(range(1, 499), key=lambda t: abs(schedule.lambda_[t] - wanted))
            assert abs(t - nearest) <= 1


def test_the_least_count_has_each_row_that_a_width_of_speech_adds() -> None:
    """Without layers, one more channel of speech is a row of two projections."""
    spec = ModelSpec()

    def least(d_out: int) -> int:
        hubert = replace(spec.speech.hubert, n_layers=0)
        speech = replace(spec.speech, d_out=d_out, hubert=hubert)
        return replace(spec, speech=speech).least_numbers()

    assert least(13) - least(12) == spec.denoiser.d_model + spec.speech.hubert.d_conv
