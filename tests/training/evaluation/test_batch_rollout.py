"""Many sessions in step are what each is alone, and figures of live settings mean something."""

from __future__ import annotations

import dataclasses
import math
import os

import numpy as np
import pytest

from diffposetalk.spec import LiveDefaults, ModelSpec
from head.rig import builtin_head
from stream.backends.fake import FakeBackend
from stream.backends.protocol import FloatArray, SamplerCall
from stream.core.options import SessionOptions
from stream.core.session import Session
from training.evaluation import live_figures as lf
from training.evaluation.batch_rollout import Rollout, RolloutError, rollout
from training.evaluation.clips import ClipError, EvaluationClip, held_out_clips
from training.evaluation.face import Face
from training.labels.phones import Phone

FRAMES = 30
RNG = np.random.default_rng(0)
VOICES = [
    (RNG.standard_normal(640 * FRAMES) * np.linspace(0.0, loud, 640 * FRAMES)).astype(np.float32)
    for loud in (0.1, 0.4)
]


class NoisyBackend(FakeBackend):
    """The loudness follower plus its noise, with a context; counts what it encodes and samples."""

    def __init__(self) -> None:
        super().__init__()
        live = LiveDefaults(
            hop=4,
            lookahead=2,
            steps=1,
            window_rule="adjacent",
            audio_guidance=1.0,
            style_guidance=1.0,
        )
        self.spec: ModelSpec = dataclasses.replace(self.spec, T_p=3, live=live)
        self.encoded, self.sampled, self.missing = 0, 0, set[int]()

    def encode(self, pcm: FloatArray, state: object) -> tuple[FloatArray, object]:
        self.encoded += 1
        return super().encode(pcm, state)

    def sample(self, call: SamplerCall) -> FloatArray:
        self.missing.add(call.missing)
        return super().sample(call) + 0.01 * call.noise_scale * call.noise

    def sample_many(self, calls: object) -> list[FloatArray]:
        self.sampled += 1
        return [self.sample(call) for call in calls]  # type: ignore[attr-defined]


def test_sessions_in_step_are_the_sessions_alone() -> None:
    backend = NoisyBackend()
    rollouts = [Rollout(voice, "neutral", seed) for voice in VOICES for seed in (0, 7)]
    together = rollout(backend, rollouts)
    assert together.shape == (4, FRAMES, backend.spec.d_motion)
    # 7 hops (to frames 6, 10, ... 30) and the rest, for all in one call each; one encoding a voice.
    assert backend.sampled == 8 and backend.encoded == 2 * 7
    for each, motion in zip(rollouts, together, strict=True):
        session = Session(NoisyBackend(), style="neutral", seed=each.seed)
        alone = session.feed(each.samples) + session.finish()
        np.testing.assert_array_equal(motion, np.stack([frame.motion for frame in alone]))
    assert not np.array_equal(together[0], together[1])  # seeds differ


def test_less_context_is_told_to_the_model() -> None:
    backend = NoisyBackend()
    rollout(backend, [Rollout(VOICES[0], None, 0)], context=1)
    assert backend.missing == {2, 3}  # T_p - 1, and all three at the very start
    backend = NoisyBackend()
    rollout(backend, [Rollout(VOICES[0], "unknown", 0)])
    assert backend.missing == {0, 3}


def test_takes_that_do_not_fit_are_one_line() -> None:
    backend = FakeBackend()
    with pytest.raises(RolloutError, match="one length"):
        rollout(backend, [Rollout(VOICES[0], None, 0), Rollout(VOICES[1][:-640], None, 0)])
    with pytest.raises(RolloutError, match="context of 9 frames"):
        rollout(backend, [Rollout(VOICES[0], None, 0)], context=9)
    with pytest.raises(RolloutError, match="shorter than a frame"):
        rollout(backend, [Rollout(VOICES[0][:100], None, 0)])
    with pytest.raises(ValueError, match="must fit a window"):
        rollout(backend, [Rollout(VOICES[0], None, 0)], SessionOptions(hop=500))
    backend.statistics.motion_mean[0] = np.nan
    with pytest.raises(RolloutError, match="not finite"):
        rollout(backend, [Rollout(VOICES[0], None, 0)])


def moving(blink_at: tuple[int, ...], jump_every: int = 0, frames: int = 100) -> np.ndarray:
    """A label: lids that blink, a head that sways, a jaw that opens, jumps at hops if asked for."""
    motion = np.zeros((frames, 54), np.float32)
    for at in blink_at:
        motion[at : at + 4, lf.BLINK] = 0.9
    motion[:, 50] = 0.1 * np.sin(np.arange(frames) / 9)
    motion[:, 53] = 0.12 + 0.1 * np.sin(np.arange(frames) / 4)
    if jump_every:
        motion[:, 53] += 0.2 * (np.arange(frames) // jump_every % 2)
    return motion


def test_blinks_range_and_jitter_by_hand() -> None:
    assert lf.blinks(moving((10, 30, 31, 80))) == 3  # 30 and 31 are one
    assert lf.blinks(moving(())) == 0
    still = moving(())
    still[:, 50] = 0.0
    assert lf.head_range(still) == 0.0 and lf.head_jitter(still) == 0.0
    ramp = still.copy()
    ramp[:, 51] = np.linspace(0.0, math.radians(10.0), 100)
    assert lf.head_range(ramp) == pytest.approx(9.0, rel=1e-3)  # 5th to 95th percentile
    assert lf.head_jitter(ramp) == pytest.approx(0.0, abs=1e-4)


def test_a_seam_shows_and_none_does_not() -> None:
    steps = np.ones(40)
    steps[3::4] = 3.0  # the jump from frame 4 k - 1 to 4 k
    assert lf.seam([steps], hop=4) == pytest.approx(3.0)
    assert lf.seam([np.ones(40)], hop=4) == 1.0
    assert math.isnan(lf.seam([np.ones(40)], hop=1)) and math.isnan(lf.seam([np.ones(40)], 100))


def test_live_figures_of_the_label_are_perfect_and_of_worse_motion_worse() -> None:
    face, label = Face.of(builtin_head()), moving((10, 60))
    phones = (Phone("AA", 0.0, 3.0), Phone("SIL", 3.0, 1.0))
    clip = EvaluationClip("a", "sentences", "neutral", VOICES[0], label, phones)
    worse = moving((), jump_every=4)
    motion = np.stack([label, worse])[None]
    best, mixed = (lf.live_figures(face, m, [clip], 4) for m in (motion[:, :1], motion))
    assert best["lve"][0] == 0.0 and best["jaw_r"][0] == pytest.approx(1.0)
    assert best["head_range"][0] == best["head_jitter"][0] == pytest.approx(1.0)
    assert best["blinks"][0] == 30.0 and mixed["blinks"][0] == 15.0
    assert mixed["seam"][0] > best["seam"][0] and mixed["lve"][0] > 1.0
    away = (face.vertices(worse) - face.vertices(label))[:, face.lips]
    millimetres = 1000.0 * np.sqrt((away**2).sum(-1)).max(-1).mean()
    assert mixed["lve"][0] == pytest.approx(millimetres / 2, rel=1e-4), "half of the seeds are off"
    assert math.isnan(best["closures"][0])  # nothing to close
    assert lf.counts(face, [clip]) == {"closures": 0, "vowels": 1}


def test_clips_that_cannot_be_had_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, told in (
        ((["songs"], 1), "no evaluation set 'songs'"),
        ((["words"], 0), "at least"),
        ((["words"], 1, 100, ["angry"]), "no label style 'angry'"),
    ):
        with pytest.raises(ClipError, match=told):
            held_out_clips(*arguments)  # type: ignore[arg-type]
    monkeypatch.delenv("POSETALK_DATA", raising=False)
    with pytest.raises(OSError, match="set POSETALK_DATA"):
        held_out_clips(["words"], 1)


@pytest.mark.slow
def test_clips_are_of_one_length_and_begin_with_speech() -> None:
    if not os.environ.get("POSETALK_DATA"):
        pytest.skip("not run: POSETALK_DATA names no data folder")
    clips, again = (held_out_clips(["sentences"], 2, 75) for _ in range(2))
    assert [len(clip.samples) for clip in clips] == [75 * 640] * 2
    assert [clip.label.shape for clip in clips] == [(75, 54)] * 2
    assert len({clip.style for clip in clips}) == 2
    for clip, same in zip(clips, again, strict=True):
        assert any(p.name != "SIL" and p.start < 0.5 for p in clip.phones)
        np.testing.assert_array_equal(same.label, clip.label)
    with pytest.raises(ClipError, match="clips of 75 frames, not 9999"):
        held_out_clips(["sentences"], 9999, 75)
