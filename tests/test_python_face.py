"""The product in Python: the examples of the documentation run as they stand."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

import posetalk

ROOT = Path(__file__).resolve().parent.parent


def documented_examples() -> dict[str, str]:
    """Every python block of docs/python.md, by its heading."""
    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    pattern = re.compile(r"^## (.+?)$.*?^```python\n(.*?)^```", re.M | re.S)
    return {heading: code for heading, code in pattern.findall(text)}


@pytest.mark.parametrize("heading", documented_examples())
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
    tone = np.sin(np.arange(16000) * 0.1).astype(np.float32) * 5
    tone[::7] = np.nan
    tone[5000:5100] = np.inf
    motion = posetalk.animate(tone, backend="fake")
    assert len(motion) == 25 and np.isfinite(motion.exp).all() and np.isfinite(motion.pose).all()


@pytest.mark.parametrize("samples", [0, 1, 639])
def test_sound_too_short_for_a_frame_gets_one_line(samples: int) -> None:
    with pytest.raises(ValueError, match="one frame takes 640"):
        posetalk.animate(np.zeros(samples, np.float32), backend="fake")
