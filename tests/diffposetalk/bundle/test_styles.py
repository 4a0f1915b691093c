"""Styles: mixes, files, what a clip's style is nearest to, and switching without a jump."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli import call

import posetalk
from diffposetalk.bundle.bundle import bundle_folder
from diffposetalk.bundle.styles import (
    StyleError,
    check_name,
    encoder_of,
    own_folder,
    own_styles,
    read_style,
    resolve,
    write_style,
)
from head.rig import builtin_head
from head.skinning import motion_to_parameters, skin
from posetalk.app.style_extraction import cosine, extract, open_clip, samples, windows
from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.backends.registry import load_backend
from stream.core.options import SessionOptions
from stream.core.session import Session

A, B = np.array([1.0, 0.0, 2.0], np.float32), np.array([0.0, 4.0, -2.0], np.float32)
STYLES = {"a": A, "b": B, "very-calm": A + B}

_Seen = tuple[FakeBackend, list[np.ndarray]]


@pytest.fixture
def style_seen(monkeypatch: pytest.MonkeyPatch) -> _Seen:
    """A backend that takes styles, and the style of every call."""
    backend, seen = FakeBackend(), []
    spec = backend.spec
    style = dataclasses.replace(spec.style, d_style=3)
    backend.spec = dataclasses.replace(spec, use_style=True, style=style)
    backend.styles = STYLES
    sample = backend.sample

    def watched(call: SamplerCall) -> np.ndarray:
        seen.append(call.conditions.style)
        return sample(call)

    monkeypatch.setattr(backend, "sample", watched)
    return backend, seen


@pytest.fixture(autouse=True)
def nobody_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or writes the styles of who runs it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", A),
        ("a*0.7+b*0.3", 0.7 * A + 0.3 * B),
        (" 0.7 * a + .3*b ", 0.7 * A + 0.3 * B),
        ("a*7+b*3", 0.7 * A + 0.3 * B),
        ("a+b", 0.5 * A + 0.5 * B),
        ("a*1.5+b*-0.5", 1.5 * A - 0.5 * B),
        ("very-calm*1", A + B),
    ],
)
def test_a_mix_is_the_weighted_mean(text: str, expected: np.ndarray) -> None:
    mixed = resolve(text, STYLES)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "text", ["a*" + "9" * 400, "a*" + "9" * 400 + "+b", "a*1+b*-0.999999", "a*30+b*-29"]
)
def test_a_mix_without_a_finite_or_sane_weight_is_refused(text: str) -> None:
    with pytest.raises(StyleError) as caught:
        resolve(text, STYLES)
    assert len(str(caught.value)) < 250, "what was sent is not repeated whole"


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e300])
def test_a_vector_that_is_not_finite_never_becomes_a_style(
    wrong: float, style_seen: _Seen, tmp_path: Path
) -> None:
    vector = np.array([0.0, wrong, 1.0])
    session = Session(style_seen[0], style="a")
    with pytest.raises(StyleError, match="finite"):
        session.set_style(vector)
    assert session.style_name == "a"
    np.save(tmp_path / "wrong.npy", vector)
    with pytest.raises(StyleError, match="finite"):
        read_style(tmp_path / "wrong.npy")


def test_a_shape_and_noise_that_are_not_finite_are_refused(style_seen: _Seen) -> None:
    backend = style_seen[0]
    with pytest.raises(ValueError, match="finite"):
        Session(backend, shape=np.full(backend.spec.n_shape, np.nan))
    for name in ("lip_noise", "head_noise", "face_noise"):
        for scale in (np.nan, np.inf, -1.0):
            with pytest.raises(ValueError, match=name):
                Session(backend, options=SessionOptions(**{name: scale}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("c", "no style 'c': there are a, b"),
        ("a*0.7+c*0.3", "no style 'c'"),
        ("a*x", "write NAME"),
        ("a*0.5*0.5", "write NAME"),
        ("a*nan+b", "write NAME"),
        ("a*inf", "write NAME"),
        ("a+", "write NAME"),
        ("", "write NAME"),
        ("a*1+b*-1", "sum to zero"),
        ("a" * 10_000, "no style"),
    ],
)
def test_what_is_no_style_is_refused(text: str, reason: str) -> None:
    with pytest.raises(StyleError, match=reason.replace("*", r"\*")):
        resolve(text, STYLES)


def test_a_style_file_is_read_only_where_files_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "ada.npz"
    write_style(path, A, encoder="x", source="somewhere")
    np.testing.assert_array_equal(resolve(str(path), STYLES, files=True), A)
    mixed = resolve(f"{path}*0.5+b*0.5", STYLES, files=True, encoder="x")
    np.testing.assert_allclose(mixed, 0.5 * A + 0.5 * B)
    with pytest.raises(StyleError, match="no style"):
        resolve(str(path), STYLES)  # as a client on the network would ask
    with pytest.raises(StyleError, match="another bundle's style encoder"):
        resolve(str(path), STYLES, files=True, encoder="y")
    with pytest.raises(FileNotFoundError):
        resolve(str(tmp_path / "nobody.npz"), STYLES, files=True)


def test_a_released_npy_is_a_style_file(tmp_path: Path) -> None:
    write_style(tmp_path / "b.npy", B)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), B)
    np.testing.assert_array_equal(read_style(tmp_path / "b.npy", encoder="any"), B)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"PK\x03\x04nothing",
        b"not numpy",
        np.array([[1.0]]),
        np.array([1.0, np.nan]),
        np.array([{"a": 1}], object),
        np.array(["a"]),
    ],
)
def test_what_is_no_style_file_is_said_in_a_line(tmp_path: Path, bad: bytes | np.ndarray) -> None:
    path = tmp_path / "bad.npy"
    if isinstance(bad, bytes):
        path.write_bytes(bad)
    else:
        np.save(path, bad, allow_pickle=True)
    with pytest.raises(StyleError) as caught:
        read_style(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".hidden", "a*b", "a+b", " a", "x" * 100, "a\\b"]
)
def test_names_that_mixes_or_folders_use_are_refused(name: str) -> None:
    with pytest.raises(StyleError):
        check_name(name)


def test_windows_cover_a_clip_to_its_end() -> None:
    assert windows(100, None) == [0]
    assert windows(160, None) == [0, 25, 50, 60]
    assert windows(160, 60) == [60]
    for length, start in [(99, None), (160, 61), (160, -1)]:
        with pytest.raises(StyleError):
            windows(length, start)


def test_a_clip_of_a_named_style_is_nearest_to_it() -> None:
    """Retrieval: every sample clip finds the style that it was made in, among all named ones."""
    assert len(samples()) >= 3
    for name, path in samples().items():
        assert path.stat().st_size <= 150_000
        made = extract(open_clip(path), "starter")
        likeness = {other: cosine(made.vector, v) for other, v in made.named.items()}
        assert max(likeness, key=likeness.__getitem__) == name.removeprefix("motion_")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exp": np.zeros((120, 49), np.float32)}, "give (L, 50) and (L, 6)"),
        ({"pose": np.zeros((119, 6), np.float32)}, "give (L, 50) and (L, 6)"),
        ({"exp": np.full((120, 50), np.nan, np.float32)}, "not finite"),
        ({"fps": 30}, "resample it to 25"),
        ({"head": "somebody"}, "moves"),
        ({"exp": np.array([{}], object)}, "not a motion file"),
    ],
)
def test_motion_that_cannot_be_read_is_refused(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    arrays: dict[str, object] = {
        "exp": np.zeros((120, 50), np.float32),
        "pose": np.zeros((120, 6), np.float32),
    }
    np.savez(tmp_path / "clip.npz", **(arrays | change))  # type: ignore[arg-type]
    with pytest.raises(StyleError) as caught:
        extract(open_clip(tmp_path / "clip.npz"), "starter")
    assert reason in str(caught.value)


def test_extract_list_and_speak_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, messages = call(["style", "extract", "motion_calm", "-o", "ada"], capsys)
    assert code == 0 and "nearest to calm" in messages
    code, listed, _ = call(["style", "list"], capsys)
    assert code == 0 and "  ada\n" in listed and str(own_folder()) in listed
    encoder = encoder_of(bundle_folder("starter"))
    assert list(own_styles(encoder)) == ["ada"]
    speech = np.zeros(16_000, np.float32)
    mixed = posetalk.animate(speech, style="ada*0.5+lively*0.5")
    session = posetalk.Session(style="lively")
    session.set_style("ada")
    own = own_styles(encoder)["ada"] * 0.5 + session.backend.styles["lively"] * 0.5
    session.set_style(own.astype(np.float32))
    frames = session.feed(speech) + session.finish()
    np.testing.assert_array_equal(mixed.exp, np.stack([f.motion for f in frames])[:, :50])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nobody.npz", "-o", "x"], "no such file, nor a clip so called"),
        (["motion_calm", "-o", "lively"], "choose another name"),
        (["motion_calm", "-o", "a/b"], "cannot name a style"),
        (["motion_calm", "-o", "x", "--start", "9999"], "choose 0 to"),
        (["motion_calm", "-o", "/nowhere/x.npz"], "No such file"),
    ],
)
def test_extraction_says_what_is_wrong(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, messages = call(["style", "extract", *arguments], capsys)
    assert code == 1 and reason in messages and messages.count("\n") <= 1


def test_a_switch_while_speaking_is_no_jump() -> None:
    """In the frame of a switch no vertex moves otherwise than without it, within 0.5 mm."""
    backend = load_backend("torch", "starter")
    sound = soundfile.read(posetalk.demo_speech(), frames=4 * 16_000, dtype="float32")[0]
    for seed, (before, after, at) in enumerate(
        [("shy", "theatrical", 62), ("theatrical", "mumbling*2", 70)]
    ):
        switched, same = (Session(backend, style=before, seed=seed) for _ in range(2))
        frames, others = (s.feed(sound[: at * 640]) for s in (switched, same))
        seam = len(frames)
        switched.set_style(after)
        assert switched.style_name == after
        frames += switched.feed(sound[at * 640 :]) + switched.finish()
        others += same.feed(sound[at * 640 :]) + same.finish()
        one, other = (
            skin(builtin_head(), expression, global_rotation=rotation, jaw_pose=jaw)
            for motion in (frames, others)
            for expression, rotation, jaw in [
                motion_to_parameters(np.stack([f.motion for f in motion]))
            ]
        )
        apart = np.linalg.norm(one - other, axis=-1).max(-1)
        assert apart[seam - 1] == 0 and apart[seam] < 5e-4, (before, after)
        assert apart.max() > 5e-3, "another style is another motion"


def test_a_style_is_eased_into_while_speaking_and_at_once_before(style_seen: _Seen) -> None:
    backend, seen = style_seen
    session = Session(backend, style="a")
    session.set_style("a*0.5+b*0.5")
    session.feed(np.zeros(12 * 640, np.float32))
    assert {tuple(style) for style in seen} == {tuple(0.5 * A + 0.5 * B)}
    seen.clear()
    session.set_style("b")
    session.feed(np.zeros(40 * 640, np.float32))
    away = [float(np.abs(style - B).max()) for style in seen]
    assert away == sorted(away, reverse=True) and len(set(away)) >= 4
    np.testing.assert_array_equal(seen[-1], B)
    with pytest.raises(ValueError, match="no style"):
        session.set_style("nobody")
    assert session.style_name == "b"


def test_a_session_reads_no_style_files(tmp_path: Path, style_seen: _Seen) -> None:
    write_style(tmp_path / "x.npz", A)
    with pytest.raises(ValueError, match="no style"):
        Session(style_seen[0], style=str(tmp_path / "x.npz"))
