"""A session gives the same frames whatever the blocks, never looks ahead, and forgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.backends import load_backend
from stream.noise import frame_noise
from stream.session import Session, SessionOptions
from stream.timeline import Timeline
from stream.windows import plan

FRAME = 640


def speech(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that swells and fades, so that every frame differs."""
    rng = np.random.default_rng(seed)
    swell = np.abs(np.sin(np.arange(samples) / 4000.0))
    return (0.2 * swell * rng.standard_normal(samples)).astype(np.float32)


def motions(frames: list) -> np.ndarray:
    return np.stack([f.motion for f in frames])


@settings(max_examples=40, deadline=None)
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


def test_thirty_minutes_do_not_grow_a_session() -> None:
    session = Session(load_backend("fake"))
    block = speech(FRAME * 25)
    sizes = []
    for second in range(30 * 60):
        session.feed(block)
        if second % 300 == 10:
            sizes.append((len(session._motion), len(session._audio._buffer)))
    assert len(set(sizes)) == 1, sizes


def test_what_is_not_a_number_is_silence_and_audio_after_the_end_is_refused() -> None:
    session = Session(load_backend("fake"))
    frames = session.feed(np.full(FRAME * 10, np.nan, np.float32)) + session.finish()
    assert np.isfinite(motions(frames)).all()
    with pytest.raises(ValueError, match="reset"):
        session.feed(np.zeros(10, np.float32))


@pytest.mark.parametrize(
    "options, message",
    [(SessionOptions(hop=0), "hop 0"), (SessionOptions(lookahead=99, hop=2), "window of 100"),
     (SessionOptions(steps=21), "21 steps")],
)
def test_settings_that_cannot_be_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        Session(load_backend("fake"), options=options)


def test_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="neutral"):
        Session(load_backend("fake"), style="nobody")


@given(st.lists(st.integers(0, 3000), max_size=40), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_timeline_returns_what_was_appended(sizes, seed) -> None:
    rng = np.random.default_rng(seed)
    audio = rng.uniform(-1, 1, sum(sizes)).astype(np.float32)
    line = Timeline()
    at = 0
    for size in sizes:
        line.append(audio[at : at + size])
        at += size
        low = int(rng.integers(line.start, at + 1))
        assert np.array_equal(line.read(low, at), audio[low:at])
        line.drop_before(low)
    assert np.array_equal(line.read(-5, 0), np.zeros(5, np.float32)[: 5])
    line.close()
    assert np.array_equal(line.read(at, at + 7), np.zeros(7, np.float32))


def test_timeline_says_what_is_gone_and_what_has_not_come() -> None:
    line = Timeline()
    line.append(np.ones(100, np.float32))
    line.drop_before(50)
    with pytest.raises(IndexError, match="gone"):
        line.read(49, 60)
    with pytest.raises(IndexError, match="have arrived"):
        line.read(60, 101)


@given(seed=st.integers(0, 2**64), start=st.integers(-50, 2**40), cut=st.integers(1, 20))
def test_noise_belongs_to_the_frame(seed, start, cut) -> None:
    start = max(start, 0)
    whole = frame_noise(seed, start, start + 20, 54)
    assert np.array_equal(whole[cut:], frame_noise(seed, start + cut, start + 20, 54))


@given(
    rule=st.sampled_from(["adjacent", "sliding"]),
    hop=st.integers(1, 30), lookahead=st.integers(0, 20), T_p=st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
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
