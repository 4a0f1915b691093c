"""An imported bundle runs live under both window rules, and streaming is one call of feed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from official_checkpoint import write

from diffposetalk.importing.released import Files, import_released
from diffposetalk.spec import HubertSpec, SpeechEncoderSpec
from stream.backends.torch_backend import TorchBackend
from stream.core.options import SessionOptions
from stream.core.session import Session

SMALL_HUBERT = SpeechEncoderSpec(
    d_out=32, hubert=HubertSpec(n_layers=2, n_heads=2, d_hidden=48, d_conv=16, position_groups=4)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An imported bundle whose head is not here."""
    place = tmp_path_factory.mktemp("imported")
    made = write(place / "files")
    files = Files(
        made / "denoiser.pt", made / "stats_train.npz", styles=made / "styles", speech=SMALL_HUBERT
    )
    import_released(files, place / "bundle")
    return place / "bundle"


@pytest.fixture(scope="module")
def backend(folder: Path) -> TorchBackend:
    return TorchBackend.load(str(folder), device="cpu", threads=1)


def speech(frames: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    swell = np.abs(np.sin(np.arange(640 * frames) / 3000.0))
    return (0.2 * swell * rng.standard_normal(640 * frames)).astype(np.float32)


def run(backend: TorchBackend, audio: np.ndarray, cuts: list[int], **options) -> np.ndarray:
    session = Session(backend, options=SessionOptions(**options), style="normal", seed=3)
    frames, at = [], 0
    for cut in [*cuts, len(audio)]:
        frames += session.feed(audio[at : at + cut])
        at = min(len(audio), at + cut)
    return np.stack([f.motion for f in frames + session.finish()])


@given(
    cuts=st.lists(st.integers(0, 9000), max_size=8), rule=st.sampled_from(["adjacent", "sliding"])
)
@settings(max_examples=6)
def test_streaming_is_one_call_of_feed_bit_for_bit(backend, cuts, rule) -> None:
    audio = speech(32)
    options = {"window_rule": rule, "hop": 4, "lookahead": 2}
    whole = run(backend, audio, [], **options)
    assert whole.shape == (32, 54) and np.isfinite(whole).all()
    assert np.array_equal(run(backend, audio, cuts, **options), whole)


@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_future_audio_changes_no_committed_frame(backend, rule) -> None:
    a, b = speech(30), speech(30)
    b[640 * 16 :] = speech(14, seed=8)
    ours, theirs = (run(backend, x, [], window_rule=rule, hop=4) for x in (a, b))
    assert np.array_equal(ours[:12], theirs[:12])  # the calls at 6, 10 and 14 heard the same
    assert not np.array_equal(ours[16:], theirs[16:])


def test_its_own_live_defaults(backend) -> None:
    session = Session(backend)
    assert (session.window_rule, session.steps, session.hop) == ("sliding", 4, 10)
    assert (session.audio_guidance, session.style_guidance) == (1.15, 3.0)
    assert session.style_name == "happy"  # the first of those that came along


def test_a_merged_hop_hears_the_same_level(backend) -> None:
    """A late loop begins a call anew over more hops: each frame is still normalised once."""
    audio = speech(24)
    plain, late = (Session(backend, options=SessionOptions(hop=3)) for _ in range(2))
    for session in (plain, late):
        session.append(audio)
    late.begin(1)
    heard = late.begin(2)
    plain.begin(1)
    again = plain.begin(2)
    assert np.array_equal(heard.pcm, again.pcm)
    fresh = Session(backend, options=SessionOptions(hop=3))
    fresh.append(audio)
    assert np.array_equal(fresh.begin(2).pcm, heard.pcm)
