"""A real network behind a session: tiny, random, and streamed bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import SPEC, speech, tiny_backend

from diffposetalk.sampling.samplers import SAMPLERS
from stream.backends.protocol import RuntimeProblem, batch_key
from stream.backends.registry import load_backend
from stream.backends.torch_backend import TorchBackend, _no_tf32
from stream.core.options import SessionOptions
from stream.core.session import Session


@pytest.fixture(scope="module")
def backend(tmp_path_factory) -> TorchBackend:
    return tiny_backend(tmp_path_factory.mktemp("bundles") / "tiny")


def run(backend: TorchBackend, audio: np.ndarray, cuts: list[int], **options) -> np.ndarray:
    session = Session(backend, options=SessionOptions(**options), style="calm", seed=3)
    frames, at = [], 0
    for cut in [*cuts, len(audio)]:
        frames += session.feed(audio[at : at + cut])
        at = min(len(audio), at + cut)
    return np.stack([f.motion for f in frames + session.finish()])


@given(
    cuts=st.lists(st.integers(0, 9000), max_size=12),
    rule=st.sampled_from(["adjacent", "sliding"]),
    guidance=st.sampled_from([1.0, 1.5]),
)
@settings(max_examples=12)
def test_streaming_is_one_call_of_feed_bit_for_bit(backend, cuts, rule, guidance) -> None:
    audio = speech(45)
    options = {"window_rule": rule, "audio_guidance": guidance, "hop": 3, "lookahead": 2}
    whole = run(backend, audio, [], **options)
    assert whole.shape == (45, 54) and np.isfinite(whole).all()
    assert np.array_equal(run(backend, audio, cuts, **options), whole)


@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_future_audio_changes_no_committed_frame(backend, rule) -> None:
    a, b = speech(40), speech(40)
    b[640 * 20 :] = speech(20, seed=8)
    ours, theirs = (run(backend, audio, [], window_rule=rule) for audio in (a, b))
    assert np.array_equal(ours[:18], theirs[:18])
    assert not np.array_equal(ours[20:], theirs[20:])


@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_a_single_window_is_the_networks_own_answer(backend, rule) -> None:
    """From the start, one window: the session adds nothing to encoder, sampler and statistics."""
    from diffposetalk.sampling.guidance import guided_denoiser
    from diffposetalk.sampling.samplers import dpm_solver_pp_2m
    from stream.core.noise import frame_noise

    audio = speech(SPEC.T_w)
    ours = run(backend, audio, [], window_rule=rule, hop=SPEC.T_w, lookahead=0)
    model, statistics = backend.model, backend.statistics
    with torch.inference_mode():
        features = model.speech_features(torch.from_numpy(audio)[None])
        terms = model.denoising_net.audio_terms(torch.cat([model.start_audio_feat, features], 1))
        denoise = guided_denoiser(
            model,
            terms,
            torch.zeros(1, 4),
            torch.from_numpy(backend.styles["calm"])[None],
            model.start_motion_feat,
        )
        noise = torch.from_numpy(frame_noise(3, 0, SPEC.T_w, 54))[None]
        x0 = dpm_solver_pp_2m(denoise, noise, 2, model.schedule)[0].numpy()
    expected = x0 * statistics.motion_std + statistics.motion_mean
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_style_and_seed_change_the_motion(backend) -> None:
    audio = speech(20)
    base = run(backend, audio, [])
    for style, seed in (("lively", 3), ("calm", 4)):
        other = Session(backend, style=style, seed=seed)
        frames = other.feed(audio) + other.finish()
        assert not np.array_equal(np.stack([f.motion for f in frames]), base)


def test_each_noise_scales_its_own_channels(backend, monkeypatch) -> None:
    scales = []

    def watched(denoise, noise, *args, noise_scale, **more):
        scales.append(noise_scale.numpy().reshape(-1))
        return noise

    monkeypatch.setitem(SAMPLERS, "dpm++", watched)
    run(backend, speech(6), [], lip_noise=0.25, head_noise=2.0, face_noise=3.0)
    lips, head, face = (set(np.flatnonzero(scales[0] == s)) for s in (0.25, 2.0, 3.0))
    assert {17, 49, 53} < lips and head == {50, 51, 52} and {0, 3, 42} < face
    assert len(lips | head | face) == 54
    run(backend, speech(6), [])
    assert (scales[-1] == 1.0).all()


def test_a_partly_filled_context_holds_start_features(backend) -> None:
    """With hop 2 and T_p 5 the second window starts at 2: its first 3 slots are learned."""
    calls = []

    class Watched(TorchBackend):
        def sample_many(self, asked):
            calls.extend(asked)
            return super().sample_many(asked)

    watched = Watched.__new__(Watched)
    watched.__dict__.update(backend.__dict__)
    run(watched, speech(12), [])
    assert [call.missing for call in calls[:4]] == [5, 3, 1, 0]
    ignored = dataclasses.replace(
        calls[1], context_motion=calls[1].context_motion + np.array([9, 9, 9, 0, 0])[:, None]
    )
    assert np.array_equal(backend.sample(ignored), backend.sample(calls[1]))
    heeded = dataclasses.replace(
        calls[1], context_motion=calls[1].context_motion + np.array([0, 0, 0, 9, 0])[:, None]
    )
    assert not np.array_equal(backend.sample(heeded), backend.sample(calls[1]))


def calls_of(backend: TorchBackend, count: int, **options) -> list:
    """One call each of `count` sessions that differ in all that may differ in a batch."""
    calls = []
    for index in range(count):
        session = Session(
            backend,
            options=SessionOptions(**options),
            style=["calm", "lively"][index % 2],
            seed=index,
            shape=np.full(4, 0.1 * index, np.float32),
        )
        session.feed(speech(4 + 2 * index, seed=index))
        if options.get("audio_guidance", 1.0) != 1.0:
            session.set_guidance(audio=1.5 + 0.25 * index)
        session.append(speech(2))
        calls.append(session.prepare())
    return calls


@pytest.mark.parametrize("guidance", [(1.0, 1.0), (1.5, 1.0), (1.5, 3.0)])
@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_a_batch_gives_each_call_its_own_answer(backend, rule, guidance) -> None:
    calls = calls_of(
        backend, 5, window_rule=rule, audio_guidance=guidance[0], style_guidance=guidance[1]
    )
    assert len({call.missing for call in calls}) > 1 or rule == "sliding"
    for key in {batch_key(call) for call in calls}:
        same = [call for call in calls if batch_key(call) == key]
        for call, x0 in zip(same, backend.sample_many(same), strict=True):
            np.testing.assert_allclose(x0, backend.sample(call), atol=1e-5)
    assert np.array_equal(backend.sample_many(calls[:1])[0], backend.sample(calls[0]))


def test_a_batch_encodes_each_stream_from_its_own_state(backend) -> None:
    streams = [speech(8, seed) for seed in range(3)]
    states = [backend.speech_state() for _ in streams]
    for at in (0, 1280):
        many = backend.encode_many([pcm[at : at + 1280] for pcm in streams], states)
        for pcm, state, (rows, _) in zip(streams, states, many, strict=True):
            alone, _ = backend.encode(pcm[at : at + 1280], state)
            np.testing.assert_allclose(rows, alone, atol=1e-5)
        states = [state for _, state in many]
    windows = backend.encode_window_many(streams)
    np.testing.assert_allclose(windows[2], backend.encode_window(streams[2]), atol=1e-5)


def test_a_gpu_is_chosen_by_number_or_refused_in_one_line(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RuntimeProblem, match=r"there is no GPU 1 here, torch .* sees 1: choose"):
        load_backend("torch", "starter", gpu=1)
    with pytest.raises(RuntimeProblem, match="no GPU 3 here"):  # a GPU is wanted: torch runs it
        load_backend("auto", "starter", gpu=3)
    for name, gpu in (("onnxruntime", 0), ("fake", 0), ("torch", -1)):
        with pytest.raises(ValueError, match=f"--gpu {gpu} goes with a backend that runs on a GPU"):
            load_backend(name, "starter", gpu=gpu)


def test_fp32_on_a_gpu_is_fp32() -> None:
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    try:
        convolutions.fp32_precision = "tf32"
        _no_tf32()
        assert convolutions.fp32_precision == "ieee"
    finally:
        convolutions.fp32_precision = before
