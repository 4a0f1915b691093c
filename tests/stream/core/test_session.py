"""A session gives the same frames whatever the blocks, never looks ahead, and forgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffposetalk.spec import WindowRule
from stream.backends.fake import FakeBackend, loudness
from stream.backends.protocol import SamplerCall
from stream.backends.registry import load_backend
from stream.core.level_normaliser import RunningLevel
from stream.core.options import SessionOptions
from stream.core.session import Session
from stream.core.windows import plan

FRAME = 640


def speech(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that swells and fades, so that every frame differs."""
    rng = np.random.default_rng(seed)
    swell = np.abs(np.sin(np.arange(samples) / 4000.0))
    return (0.2 * swell * rng.standard_normal(samples)).astype(np.float32)


def motions(frames: list) -> np.ndarray:
    return np.stack([f.motion for f in frames])


@settings(max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 5000), min_size=1, max_size=30),
    hop=st.integers(1, 7),
    lookahead=st.integers(0, 5),
    rule=st.sampled_from(["adjacent", "sliding"]),
)
def test_any_blocks_give_the_frames_of_one_call(cuts, hop, lookahead, rule) -> None:
    audio = speech(sum(cuts))
    options = SessionOptions(hop=hop, lookahead=lookahead, window_rule=rule)
    whole = Session(load_backend("fake"), options=options)
    expected = whole.feed(audio) + whole.finish()
    pieces = Session(load_backend("fake"), options=options)
    frames = []
    at = 0
    for cut in cuts:
        frames += pieces.feed(audio[at : at + cut])
        at += cut
    frames += pieces.finish()
    assert len(frames) == len(audio) // FRAME
    assert [f.sequence for f in frames] == list(range(len(frames)))
    assert [f.sample for f in frames] == [FRAME * f.sequence for f in frames]
    if frames:
        assert np.array_equal(motions(frames), motions(expected))


def test_future_audio_never_changes_a_committed_frame() -> None:
    audio = speech(FRAME * 60)
    other = audio.copy()
    cut = FRAME * 30
    other[cut:] = speech(len(audio) - cut, seed=9)
    a, b = (Session(load_backend("fake")) for _ in range(2))
    lookahead, hop = a.lookahead, a.hop
    first, second = a.feed(audio), b.feed(other)
    committed = (30 - lookahead) // hop * hop
    assert np.array_equal(motions(first)[:committed], motions(second)[:committed])
    assert not np.array_equal(motions(first)[30:], motions(second)[30:])


def test_a_frame_is_emitted_as_soon_as_hop_and_lookahead_allow() -> None:
    session = Session(load_backend("fake"), options=SessionOptions(hop=2, lookahead=3))
    emitted = [len(session.feed(np.zeros(FRAME, np.float32))) for _ in range(9)]
    assert emitted == [0, 0, 0, 0, 2, 0, 2, 0, 2]
    assert len(session.finish()) == 3


def test_merged_hops_lose_nothing() -> None:
    session = Session(load_backend("fake"), options=SessionOptions(hop=2, lookahead=2))
    session.append(speech(FRAME * 42))
    assert session.pending_hops == 20
    frames = session.step(7) + session.step(13)
    assert [f.sequence for f in frames] == list(range(40))
    with pytest.raises(AssertionError):
        session.step(1)


def test_reset_starts_again_with_the_same_frames() -> None:
    audio = speech(FRAME * 30)
    session = Session(load_backend("fake"))
    first = session.feed(audio) + session.finish()
    session.reset()
    again = session.feed(audio) + session.finish()
    assert np.array_equal(motions(first), motions(again))


def stored(session: Session) -> list[int]:
    """How much a session remembers: motion, what it heard, audio."""
    state = session.state
    rows = state.front_end.rows
    assert rows is not None
    return [len(state.motion), len(rows), len(state.audio._buffer)]


@pytest.mark.parametrize("backend", [FakeBackend, lambda: WindowBackend()])
@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_a_copied_state_goes_its_own_way(
    rule: WindowRule, backend: Callable[[], FakeBackend]
) -> None:
    """What a session remembers is a value: another one goes on from it with the same bits."""
    options, audio = SessionOptions(window_rule=rule), speech(FRAME * 60)
    session = Session(backend(), options=options, seed=5)
    session.feed(audio[: FRAME * 33 + 7])
    held = session.copy_state()
    rest = motions(session.feed(audio[FRAME * 33 + 7 :]) + session.finish())
    other = Session(backend(), options=options, seed=5)
    for _ in range(2):  # the copy is not used up by who goes on from a copy of it
        other.go_on_from(held.copy())
        again = motions(other.feed(audio[FRAME * 33 + 7 :]) + other.finish())
        assert np.array_equal(rest, again)


@pytest.mark.parametrize(("rule", "minutes"), [("adjacent", 30), ("sliding", 3)])
def test_a_long_stream_does_not_grow_a_session(rule: WindowRule, minutes: int) -> None:
    session = Session(load_backend("fake"), options=SessionOptions(window_rule=rule))
    block = speech(FRAME * 25)
    sizes = []
    for second in range(minutes * 60):
        session.feed(block)
        if second % (minutes * 10) == 10:
            sizes.append(stored(session))
    assert all(size == sizes[0] for size in sizes), sizes


class WindowBackend(FakeBackend):
    """A backend that hears each window anew, and writes down what it was given."""

    incremental = False

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, T_p=3, T_w=20)
        self.heard: list[np.ndarray] = []
        self.calls: list[SamplerCall] = []

    def encode(self, pcm: np.ndarray, state: object) -> tuple[np.ndarray, object]:
        raise AssertionError("features of a window are not kept for the next one")

    def encode_window(self, pcm: np.ndarray) -> np.ndarray:
        self.heard.append(pcm.copy())
        return loudness(pcm)[:, None]

    def sample(self, call: SamplerCall) -> np.ndarray:
        self.calls.append(call)
        return super().sample(call)


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, 9000), min_size=1, max_size=20),
    hop=st.integers(1, 7),
    lookahead=st.integers(0, 5),
    rule=st.sampled_from(["adjacent", "sliding"]),
)
def test_a_backend_that_hears_windows_gets_each_whole(cuts, hop, lookahead, rule) -> None:
    audio = speech(sum(cuts))
    options = SessionOptions(hop=hop, lookahead=lookahead, window_rule=rule)
    whole = Session(WindowBackend(), options=options)
    expected = whole.feed(audio) + whole.finish()
    backend = WindowBackend()
    session = Session(backend, options=options)
    frames, ends, at = [], [], 0
    for cut in cuts:
        session.append(audio[at : at + cut])
        at += cut
        while session.pending_hops:
            frames += session.step()
            ends.append(session.end)
    frames += session.finish()
    if len(backend.calls) > len(ends):
        ends.append(len(audio) // FRAME)
    assert [f.sequence for f in frames] == list(range(len(audio) // FRAME))
    if frames:
        assert np.array_equal(motions(frames), motions(expected))

    T_p, T_w = backend.spec.T_p, backend.spec.T_w
    before = np.zeros(T_p * FRAME, np.float32)
    whole_frames = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    normal = RunningLevel().apply(whole_frames).reshape(-1)
    assert len(backend.heard) == len(backend.calls) == len(ends)
    for pcm, call, end in zip(backend.heard, backend.calls, ends, strict=True):
        length = len(call.features)
        assert length == (T_w if rule == "sliding" else call.valid)
        assert len(pcm) == (T_p + length) * FRAME
        # The context and the window end with frame `end`; there is silence before 0 and after it.
        heard, rest = np.split(pcm, [(T_p + call.valid) * FRAME])
        heard_of = np.concatenate([before, normal[: end * FRAME]])[-len(heard) :]
        assert np.array_equal(heard, heard_of)
        assert not rest.any()
        assert np.array_equal(call.context_features[:, 0], loudness(pcm)[:T_p])
        assert np.array_equal(call.features[:, 0], loudness(pcm)[T_p:])


@pytest.mark.parametrize("rule", ["adjacent", "sliding"])
def test_a_session_without_kept_features_does_not_grow(rule: WindowRule) -> None:
    session = Session(WindowBackend(), options=SessionOptions(window_rule=rule))
    sizes = []
    for second in range(120):
        session.feed(speech(FRAME * 25))
        if second % 20 == 10:
            sizes.append(stored(session))
    assert all(size == sizes[0] for size in sizes), sizes


def test_what_is_not_a_number_is_silence_and_audio_after_the_end_is_refused() -> None:
    session = Session(load_backend("fake"))
    frames = session.feed(np.full(FRAME * 10, np.nan, np.float32)) + session.finish()
    assert np.isfinite(motions(frames)).all()
    with pytest.raises(ValueError, match="reset"):
        session.feed(np.zeros(10, np.float32))


@pytest.mark.parametrize(
    "options, message",
    [
        (SessionOptions(hop=0), "hop 0"),
        (SessionOptions(lookahead=99, hop=2), "window of 100"),
        (SessionOptions(steps=21), "21 steps"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        Session(load_backend("fake"), options=options)


def test_the_shape_is_the_statistics_mean_unless_given() -> None:
    backend = load_backend("fake")
    assert np.array_equal(Session(backend).shape, backend.statistics.shape_mean)
    asked = np.linspace(-1, 1, backend.spec.n_shape)
    assert np.array_equal(Session(backend, shape=asked).shape, asked.astype(np.float32))


@pytest.mark.parametrize("use_style", [True, False])
def test_a_style_vector_of_another_size_is_refused(use_style: bool) -> None:
    backend = FakeBackend()
    backend.spec = replace(backend.spec, use_style=use_style)
    size = backend.spec.style.d_style if use_style else 0
    session = Session(backend, style=np.zeros(size, np.float32))
    for wrong in (np.zeros(size + 1), np.zeros((1, size)), np.float32(0)):
        with pytest.raises(ValueError, match=rf"a style is \({size},\), got") as raised:
            session.set_style(wrong)
        assert "\n" not in str(raised.value)
    assert session.conditions.at(0).style.shape == (size,)


def test_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="neutral"):
        Session(load_backend("fake"), style="nobody")


@given(
    rule=st.sampled_from(["adjacent", "sliding"]),
    hop=st.integers(1, 30),
    lookahead=st.integers(0, 20),
    T_p=st.integers(1, 30),
)
@settings(max_examples=60)
def test_every_window_is_whole_and_every_frame_is_emitted_once(rule, hop, lookahead, T_p) -> None:
    committed = 0
    for call in range(1, 40):
        end = lookahead + call * hop
        window = plan(rule, committed, end, lookahead, 100, T_p)
        assert window.start <= window.committed < window.emit_end <= window.end
        assert window.end <= window.start + window.length <= window.start + 100
        # The context is all learned or, past the first T_p frames, all real under `sliding`.
        assert window.missing in ((0, T_p) if rule == "sliding" else range(T_p + 1))
        assert window.start - T_p + window.missing >= 0
        committed = window.emit_end
    assert committed == 39 * hop


def test_guidance_changes_from_the_next_call_on() -> None:
    backend = WindowBackend()
    session = Session(backend, options=SessionOptions(audio_guidance=1.5))
    session.feed(speech(FRAME * 4))
    session.set_guidance(style=3.0)
    session.feed(speech(FRAME * 2))
    with pytest.raises(ValueError, match="audio guidance nan: choose a number from 0 to 20"):
        session.set_guidance(audio=float("nan"), style=2.0)
    session.set_guidance(audio=1.0)
    session.feed(speech(FRAME * 2))
    scales = [
        (call.conditions.audio_guidance, call.conditions.style_guidance) for call in backend.calls
    ]
    assert scales == [(1.5, 1.0), (1.5, 3.0), (1.0, 3.0)]


def test_a_call_in_parts_is_a_step() -> None:
    audio, backend = speech(FRAME * 31), FakeBackend()
    whole, parts = Session(backend), Session(backend)
    expected = whole.feed(audio) + whole.finish()
    parts.append(audio)
    parts.end_audio()
    frames: list = []
    while parts.pending:
        call = parts.begin()
        if call is not None:
            parts.set_features(*backend.encode(call.pcm, call.state))
        frames += parts.commit(backend.sample(parts.prepare()))
    assert np.array_equal(motions(frames), motions(expected))


def test_a_call_that_failed_is_made_again() -> None:
    class Shaky(FakeBackend):
        failures = 3

        def sample(self, call: SamplerCall) -> np.ndarray:
            self.failures -= 1
            if self.failures >= 0:
                raise RuntimeError("no")
            return super().sample(call)

    session, audio = Session(Shaky()), speech(FRAME * 20)
    session.append(audio)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            session.step()
    frames = session.feed(np.zeros(0, np.float32)) + session.finish()
    plain = Session(FakeBackend())
    assert np.array_equal(motions(frames), motions(plain.feed(audio) + plain.finish()))


class Restless(FakeBackend):
    """Answers with its noise, so that everything moves all the time."""

    def __init__(self, head_inertia: float) -> None:
        super().__init__()
        live = replace(self.spec.live, head_inertia=head_inertia)
        self.spec = replace(self.spec, live=live)

    def sample(self, call: SamplerCall) -> np.ndarray:
        return call.noise


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 3000), min_size=5, max_size=20))
def test_a_shown_head_has_mass_and_the_rest_has_none(cuts: list[int]) -> None:
    audio = speech(sum(cuts))
    light, heavy = Session(Restless(0.0)), Session(Restless(0.4))
    expected = motions(light.feed(audio) + light.finish()) if sum(cuts) >= FRAME else np.empty(0)
    frames, at = [], 0
    for cut in cuts:
        frames += heavy.feed(audio[at : at + cut])
        at += cut
    frames += heavy.finish()
    assert len(frames) == len(expected)
    if not frames:
        return
    shown, head = motions(frames), slice(50, 53)
    assert expected[:, head].all()
    for k in range(1, len(expected)):
        expected[k, head] = 0.4 * expected[k - 1, head] + 0.6 * expected[k, head]
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    np.testing.assert_array_equal(heavy.state.motion, light.state.motion)
