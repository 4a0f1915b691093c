"""A folder of recordings, before it is a dataset: sound and motion of people.

SOURCE/PERSON/NAME.wav (or flac, mp3, ogg, mp4, ...)   what was said
SOURCE/PERSON/NAME.npz                                 how the face moved:
    exp (L, 50), pose (L, 6: global rotation, jaw; axis-angle), fps; perhaps shape and head
SOURCE/val.txt, SOURCE/test.txt                        perhaps: whom to hold out, one a line
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.files.array_file import read_npz
from head.model import HeadError
from head.rig import load_head
from stream.frames import FPS, FRAME_SAMPLES
from stream.sources import SourceError
from stream.sources.file import FileSource
from training.faces.clip_arrays import WIDTHS, FaceClip, SetError

FloatArray = NDArray[np.float32]
SOUNDS = (
    *(".wav", ".flac", ".aiff", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".mka"),
    *(".mp4", ".mkv", ".webm", ".mov", ".avi"),
)
SLACK_FRAMES = 10
"""Sound and motion of one recording may differ by this much; the shorter one counts."""


@dataclass(frozen=True)
class Recording:
    """One recording of a person, as files."""

    person: str
    name: str
    sound: Path
    motion: Path

    def __str__(self) -> str:
        return f"{self.person}/{self.name}"


@dataclass(frozen=True, eq=False)
class RecordedMotion:
    """Motion at 25 fps: shape (n, 100), exp (n, 50), pose (n, 6).

    `fps` is what the file had, `head` the rig it names, empty if none; `tracked` whether
    `posetalk track` wrote it.
    """

    shape: FloatArray
    exp: FloatArray
    pose: FloatArray
    fps: float
    head: str
    tracked: bool = False


def find(source: Path) -> tuple[list[Recording], list[str]]:
    """Recordings in a folder, and what is wrong with it: a sound without motion, and so on.

    Raises:
        SetError: no such folder, or nobody in it.
    """
    if not source.is_dir():
        raise SetError(f"{source}: no such folder")
    found: list[Recording] = []
    wrong: list[str] = []
    for person in sorted(path for path in source.iterdir() if path.is_dir()):
        try:
            person.name.encode()  # it becomes a key, and a line in the lists
        except UnicodeEncodeError:
            wrong.append(f"{ascii(person.name)[1:-1]}: the folder's name is no UTF-8; rename it")
            continue
        sounds: dict[str, Path] = {}
        for path in sorted(person.iterdir()):
            if path.suffix.lower() not in SOUNDS:
                continue
            if path.stem in sounds:
                wrong.append(
                    f"{person.name}/{path.stem}: several sounds: {path.name}, "
                    f"{sounds[path.stem].name}"
                )
            sounds.setdefault(path.stem, path)
        motions = {path.stem: path for path in sorted(person.glob("*.npz"))}
        for name in sorted(sounds.keys() | motions.keys()):
            if name not in motions:
                wrong.append(f"{person.name}/{name}: sound without motion ({name}.npz is missing)")
            elif name not in sounds:
                wrong.append(f"{person.name}/{name}: motion without sound")
            else:
                found.append(Recording(person.name, name, sounds[name], motions[name]))
    if not found and not wrong:
        raise SetError(f"{source}: no recordings; it needs PERSON/NAME.wav with PERSON/NAME.npz")
    return found, wrong


def read_motion(path: Path) -> RecordedMotion:
    """A motion file at 25 fps; other rates are resampled.

    Raises:
        SetError: not such a file, other sizes, or values that are not finite.
    """
    try:
        arrays = read_npz(path)
        exp, pose = (np.asarray(arrays[name], np.float32) for name in ("exp", "pose"))
        shape = np.asarray(arrays.get("shape", np.zeros(100)), np.float32)
        fps = float(arrays["fps"]) if "fps" in arrays else float(FPS)
        head = str(arrays["head"])[:80] if "head" in arrays else ""
    except (KeyError, TypeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SetError(f"{path}: not a motion file with `exp` and `pose` ({reason})") from None
    n = len(exp) if exp.ndim else 0
    if exp.shape != (n, WIDTHS["exp"]) or pose.shape != (n, WIDTHS["pose"]) or n < 2:
        raise SetError(f"{path}: `exp` is {exp.shape}, `pose` {pose.shape}; give (L, 50), (L, 6)")
    if shape.ndim not in (1, 2) or shape.shape[-1] < 1 or (shape.ndim == 2 and len(shape) != n):
        raise SetError(f"{path}: `shape` is {shape.shape}; give (100,) or (L, 100)")
    shape = np.broadcast_to(shape[..., : WIDTHS["shape"]], (n, min(shape.shape[-1], 100)))
    shape = np.pad(shape, ((0, 0), (0, WIDTHS["shape"] - shape.shape[1])))
    for name, values in (("exp", exp), ("pose", pose), ("shape", shape)):
        if not np.isfinite(values).all():
            raise SetError(f"{path}: `{name}` holds values that are not finite")
    if not 5 <= fps <= 240:
        raise SetError(f"{path}: {fps:g} frames per second")
    if fps != FPS:
        exp, shape, pose = (resample(values, fps) for values in (exp, shape, pose))
    return RecordedMotion(shape, exp, pose, fps, head, "marks" in arrays)


def unnamed(recordings: Sequence[Recording]) -> bool:
    """Whether no motion file among them says which head it moves.

    Those that cannot be read say nothing.
    """
    return bool(recordings) and not any(_head_of(one.motion) for one in recordings)


def _head_of(path: Path) -> str:
    try:
        return str(read_npz(path).get("head", ""))[:80]
    except (ValueError, OSError):
        return ""


def head_problem(head: str) -> str:
    """Why motion of this head cannot be trained on here, in one line; empty if it can."""
    try:
        load_head(head)
    except (HeadError, OSError) as error:
        return f"the motion moves the head {head!r}, which training needs: {error}"
    return ""


NO_HEAD = (
    "no motion file says whose head it moves: give `--head ID`, `flame` for FLAME's 2020 model, or "
    "another of `posetalk head list`"
)


def resample(values: FloatArray, fps: float) -> FloatArray:
    """(L, d) at `fps` -> (n, d) at 25 fps, linear in time between frame middles.

    Axis-angle too: between frames a head turns too little for the way on the sphere to matter.
    """
    n = int(len(values) / fps * FPS)
    old, new = (np.arange(len(values)) + 0.5) / fps, (np.arange(n) + 0.5) / FPS
    columns = [np.interp(new, old, column) for column in values.T]
    return np.stack(columns, -1).astype(np.float32)


def smoothed(motion: RecordedMotion) -> RecordedMotion:
    """Motion without a tracker's jitter, by Savitzky-Golay filters as the paper's data had it.

    Sun et al. 2024, section 4.1, with the windows of the released processing: expression and jaw
    over 5 frames, head rotation over 7, each by parabolas. A fast closure of the lips keeps its
    depth; what changes from frame to frame goes.
    """
    exp, jaw = (savitzky_golay(values, 5) for values in (motion.exp, motion.pose[:, 3:]))
    rotation = motion.pose[:, :3]
    if not motion.tracked:  # `posetalk track` has smoothed it, and once is enough
        rotation = savitzky_golay(rotation, 7)
    return replace(motion, exp=exp, pose=np.concatenate([rotation, jaw], axis=1))


def savitzky_golay(values: FloatArray, window: int, degree: int = 2) -> FloatArray:
    """(n, d) with each value replaced by that of a polynomial fitted to `window` frames round it.

    At both ends it is the polynomial of the first, or last, whole window (Savitzky and Golay 1964).
    Fewer frames than a window stay as they are.
    """
    n, half = len(values), window // 2
    if n < window:
        return values
    powers = np.vander(np.arange(-half, half + 1, dtype=np.float64), degree + 1, increasing=True)
    fit = powers @ np.linalg.pinv(powers)  # (window, window): fitted values from values
    exact = values.astype(np.float64)
    out = np.empty_like(exact)
    for offset in range(window):
        part = fit[half, offset] * exact[offset : n - window + 1 + offset]
        out[half : n - half] = part if offset == 0 else out[half : n - half] + part
    out[:half] = fit[:half] @ exact[:window]
    out[n - half :] = fit[half + 1 :] @ exact[n - window :]
    return out.astype(np.float32)


def read_sound(path: Path) -> FloatArray:
    """Mono samples at 16 kHz of any sound or film.

    Raises:
        SetError: not readable as sound.
    """
    try:
        blocks = [block.samples for block in FileSource(path, pace="fast")]
    except SourceError as error:
        raise SetError(str(error)) from None
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def read(recording: Recording, *, smooth: bool = True) -> tuple[FaceClip, RecordedMotion]:
    """A recording as a clip, as long as sound and motion both are, and `smoothed`.

    Raises:
        SetError: a file that cannot be read, or lengths that disagree.
    """
    motion = read_motion(recording.motion)
    motion = smoothed(motion) if smooth else motion
    samples = read_sound(recording.sound)
    heard, moved = len(samples) // FRAME_SAMPLES, len(motion.exp)
    if abs(heard - moved) > SLACK_FRAMES:
        raise SetError(f"{recording}: {heard / FPS:.1f} s of sound, {moved / FPS:.1f} s of motion")
    n = min(heard, moved)
    return FaceClip(
        samples[: n * FRAME_SAMPLES], motion.shape[:n], motion.exp[:n], motion.pose[:n]
    ), motion
