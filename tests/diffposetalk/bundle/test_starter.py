"""The bundle that ships: it streams exactly, keeps quiet in silence, and speaks with speech."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import posetalk
from head.geometry.measure import lip_gap
from head.rig import builtin_head
from head.skinning import motion_to_parameters, skin
from stream.backends.fake import loudness
from stream.backends.protocol import Backend
from stream.backends.registry import load_backend
from stream.core.session import Session

Floats = NDArray[np.float32]
RATE, FRAME = 16_000, 640


@pytest.fixture(scope="module")
def starter() -> Backend:
    return load_backend("torch", "starter")


@pytest.fixture(scope="module")
def speech() -> Floats:
    """Six seconds of the demo speech."""
    samples: Floats = soundfile.read(posetalk.demo_speech(), frames=6 * RATE, dtype="float32")[0]
    return samples


def animate(backend: Backend, sound: Floats, style: str | None = None) -> Floats:
    session = Session(backend, style=style)
    return np.stack([frame.motion for frame in session.feed(sound) + session.finish()])


def test_any_blocks_give_the_same_frames_bit_for_bit(starter: Backend, speech: Floats) -> None:
    sound = speech[: 3 * RATE]
    session, rng, frames, at = Session(starter), np.random.default_rng(0), [], 0
    while at < len(sound):
        size = int(rng.choice([1, 160, 333, 640, 5000]))
        frames += session.feed(sound[at : at + size])
        at += size
    frames += session.finish()
    streamed = np.stack([frame.motion for frame in frames])
    assert len(streamed) == 75
    np.testing.assert_array_equal(streamed, animate(starter, sound))


@pytest.mark.parametrize("level", [0.0, 1e-3])
def test_silence_keeps_the_lips_closed(starter: Backend, level: float) -> None:
    """Digital silence, and a quiet room (-60 dB)."""
    noise = np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32)
    motion = animate(starter, level * noise)
    expression, rotation, jaw = motion_to_parameters(motion)
    head = builtin_head()
    vertices = skin(head, expression, global_rotation=rotation, jaw_pose=jaw)
    assert lip_gap(head, vertices)[12:].max() < 2e-3


def test_the_jaw_moves_with_the_speech(starter: Backend, speech: Floats) -> None:
    jaw = animate(starter, speech)[:, -1]
    loud = loudness(speech[: len(jaw) * FRAME])
    assert np.corrcoef(jaw, loud)[0, 1] > 0.2
    assert np.ptp(jaw) > 0.05


def test_every_style_is_another(starter: Backend, speech: Floats) -> None:
    names = list(starter.styles)
    assert len(names) >= 2
    motions = [animate(starter, speech[: 2 * RATE], name) for name in names]
    for i, first in enumerate(motions):
        for j in range(i):
            assert np.abs(first - motions[j]).max() > 0.01, (names[i], names[j])
