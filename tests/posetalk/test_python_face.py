"""The product in Python: the examples of the documentation run as they stand."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import posetalk
from head.skinning import skin
from posetalk.app.animate import run
from posetalk.app.outputs import open_outputs
from posetalk.app.serving import open_server
from posetalk.app.settings.stream import StreamSettings
from posetalk.formats.motion_file import MotionWriter, split
from stream.backends.fake import FakeBackend
from stream.core.session import Session as StreamSession
from stream.frames import Frame

ROOT = Path(__file__).resolve().parents[2]


def documented_examples() -> dict[str, str]:
    """Every python block of docs/python.md, by its heading."""
    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    pattern = re.compile(r"^## (.+?)$.*?^```python\n(.*?)^```", re.M | re.S)
    return {heading: code for heading, code in pattern.findall(text)}


@pytest.mark.parametrize("heading", sorted({*documented_examples()} - {"A client"}))
def test_documented_example_runs(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = documented_examples()[heading]
    assert len(code.strip().splitlines()) <= 11
    exec(compile(code, heading, "exec"), {})


@pytest.mark.parametrize(
    ("subject", "heading"), [(posetalk.animate, "A file"), (posetalk.Session, "A stream")]
)
def test_docstring_and_page_show_the_same_example(subject: object, heading: str) -> None:
    indented = textwrap.indent(documented_examples()[heading], "    ").rstrip()
    assert indented in (inspect.getdoc(subject) or "")


def test_everything_public_is_there_and_documented() -> None:
    assert set(posetalk.__all__) <= set(dir(posetalk))
    for name in posetalk.__all__:
        assert inspect.getdoc(getattr(posetalk, name)), name
    with pytest.raises(AttributeError, match="no attribute 'dance'"):
        _ = posetalk.dance


def test_motion_survives_the_disk(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    motion = posetalk.Motion(
        exp=generator.random((7, 50), np.float32),
        pose=generator.random((7, 6), np.float32),
        shape=generator.random(100, np.float32),
        fps=25,
        head="some-head",
    )
    motion.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"exp", "pose", "shape", "fps", "head"}
    again = posetalk.Motion.load(tmp_path / "m.npz")
    for name in ("exp", "pose", "shape"):
        np.testing.assert_array_equal(getattr(again, name), getattr(motion, name))
    assert (again.fps, again.head, len(again)) == (25, "some-head", 7)
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_file_that_is_no_motion_gets_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.npz"
    if content is None:
        np.savez(path, exp=np.zeros((3, 50)))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="not a motion file") as error:
        posetalk.Motion.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000, 96000, 192000])
def test_sound_of_any_rate_and_number_of_channels_is_animated(rate: int) -> None:
    time = np.arange(rate) / rate
    tone = 0.3 * np.sin(2 * np.pi * 220 * time) * (time > 0.5)
    motion = posetalk.animate(np.stack([tone, tone], axis=1), sample_rate=rate, backend="fake")
    assert len(motion) == 25
    jaw = motion.pose[:, 3]
    assert jaw[:10].max() < 0.01 < 0.1 < jaw[15:].min()


def test_broken_samples_do_no_harm() -> None:
    tone = np.sin(np.arange(16000) * 0.1).astype(np.float32) * 3
    tone[::7] = np.nan
    tone[5000:5100] = np.inf
    motion = posetalk.animate(tone, backend="fake")
    assert len(motion) == 25 and np.isfinite(motion.exp).all() and np.isfinite(motion.pose).all()


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "float64"])
def test_samples_of_any_type_have_one_scale(kind: str) -> None:
    """To the rounding of their type; in one call, and fed piece by piece."""
    time = np.arange(16000) / 16000
    sound = (0.05 * np.sin(2 * np.pi * 220 * time) * (np.sin(12 * time) > 0)).astype(np.float32)
    if kind != "float64":
        half = 2.0 ** (8 * np.dtype(kind).itemsize - 1)
        samples = np.rint(sound * half + half * kind.startswith("u")).astype(kind)
        sound = ((samples - half * kind.startswith("u")) / half).astype(np.float32)
    else:
        samples = sound.astype(kind)
    expected = posetalk.animate(sound, backend="fake")
    found = posetalk.animate(samples, backend="fake")
    np.testing.assert_array_equal(found.exp, expected.exp)
    np.testing.assert_array_equal(found.pose, expected.pose)
    session = posetalk.Session(backend="fake")
    frames = [frame for part in np.split(samples, 10) for frame in session.feed(part)]
    frames += session.finish()
    jaws = np.array([frame.motion[-1] for frame in frames])
    np.testing.assert_allclose(jaws, expected.pose[:, 3], atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (b"\1\2" * 200_000, "400,000 bytes are no samples"),
        (bytearray(1000), "1,000 bytes are no samples"),
        (32768 * np.sin(np.arange(16000)), "samples reach 32,76.: floats go from -1 to 1"),
        (np.arange(16000), "type int64 have no known scale"),
        (np.zeros(16000, bool), "type bool have no known scale"),
        (["a", "b"], "no known scale"),
        ([[0.0, 0.1], [0.0]], "an array"),
        (None, "no known scale"),
    ],
)
def test_what_is_no_sound_gets_one_short_line(samples: object, reason: str) -> None:
    session = posetalk.Session(backend="fake")
    for take in (lambda: posetalk.animate(samples, backend="fake"), lambda: session.feed(samples)):
        with pytest.raises(ValueError, match=reason) as raised:
            take()
        assert len(str(raised.value)) < 200 and "\n" not in str(raised.value)


@pytest.mark.parametrize("shape", [(2, 48000), (3, 100, 2), (100, 0)])
def test_arrays_that_are_no_channels_get_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(n,\) or \(n, channels\)"):
        posetalk.animate(np.zeros(shape, np.float32), backend="fake")


def test_the_channel_with_the_speech_is_animated() -> None:
    time = np.arange(16000) / 16000
    tone = 0.4 * np.sin(2 * np.pi * 440 * time) * (time > 0.5)
    silence = np.zeros(16000)
    one = posetalk.animate(tone, backend="fake")
    sixteen = np.stack([silence] * 9 + [tone] + [silence] * 6, axis=1)
    for sound in (np.stack([tone, -tone], axis=1), sixteen):
        found = posetalk.animate(sound, backend="fake")
        np.testing.assert_array_equal(found.pose, one.pose)
    mixed = posetalk.animate(sixteen, backend="fake", channel="mix")
    assert mixed.pose[:, 3].max() < one.pose[:, 3].max()


@pytest.mark.parametrize("samples", [0, 1, 639])
def test_sound_too_short_for_a_frame_gets_one_line(samples: int) -> None:
    with pytest.raises(ValueError, match="one frame takes 640"):
        posetalk.animate(np.zeros(samples, np.float32), backend="fake")


class _FullDisk:
    """An output whose file cannot be finished."""

    path = Path("full")

    def __init__(self) -> None:
        self.closed = 0

    def write_audio(self, samples: np.ndarray) -> None:
        """Room enough so far."""

    def show(self, frames: Sequence[Frame]) -> None:
        """Room enough so far."""

    def close(self) -> None:
        self.closed += 1
        raise OSError("no space left")


def test_outputs_are_closed_beside_one_that_cannot_be(tmp_path: Path) -> None:
    session = posetalk.Session(backend="fake")
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    one, other = open_outputs([first, second], head_id="h", shape=session.shape)
    full = [_FullDisk(), _FullDisk()]
    with pytest.raises(OSError, match="no space left"):
        run(session, [np.zeros(6400, np.float32)], [full[0], one, full[1], other])
    assert [output.closed for output in full] == [1, 1]
    assert len(posetalk.Motion.load(first)) == len(posetalk.Motion.load(second)) == 10


def test_the_shape_is_the_sessions_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle's mean, or what was asked for: returned, written and told to viewers."""
    rng = np.random.default_rng(5)
    mean, other = rng.normal(size=(2, 100)).astype(np.float32)
    backend = FakeBackend()
    backend.statistics = dataclasses.replace(backend.statistics, shape_mean=mean)
    monkeypatch.setattr("stream.backends.registry.load_backend", lambda *_: backend)
    for asked, meant in ((None, mean), (other, other)):
        motion = posetalk.animate(np.zeros(6400), tmp_path / "m.npz", shape=asked)
        written = posetalk.Motion.load(tmp_path / "m.npz")
        np.testing.assert_array_equal(motion.shape, meant)
        np.testing.assert_array_equal(written.shape, meant)
        server = open_server(StreamSettings(), StreamSession(backend, shape=asked))
        np.testing.assert_array_equal(np.float32(server._broadcast.hello.shape), meant)
        vertices = np.frombuffer(
            server.encoder.frame(Frame(0, 0, np.zeros(54, np.float32)), "vertices", False)[24:],
            np.float32,
        )
        head = posetalk.builtin_head()
        own = skin(head, np.zeros(50, np.float32), shape=meant[: head.shape_count])
        np.testing.assert_allclose(vertices.reshape(-1, 3), own, atol=1e-6)


def test_motion_without_head_rotation_is_written_with_a_still_head(tmp_path: Path) -> None:
    rows = np.random.default_rng(6).random((4, 51), np.float32)
    exp, pose = split(list(rows))
    assert (exp == rows[:, :50]).all() and (pose[:, 3] == rows[:, 50]).all()
    assert pose.shape == (4, 6) and not pose[:, :3].any() and not pose[:, 4:].any()
    writer = MotionWriter(tmp_path / "m.npz", shape=None, head="h")
    writer.append(exp, pose)
    with pytest.raises(ValueError, match="`pose`"):
        writer.append(exp, pose[:, :4])
    with pytest.raises(ValueError, match="`exp`"):
        writer.append(rows, pose)
    writer.close()
    assert (posetalk.Motion.load(tmp_path / "m.npz").exp == exp).all()
    with pytest.raises(ValueError, match="53 channels"):
        split([np.zeros(53, np.float32)])
