"""Speaking styles from clips of motion (Sun et al. 2024, section 3.3.1), for a bundle's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.styles import StyleError, check_name, encoder_of, own_folder, own_styles
from head.errors import MissingFile
from head.files.array_file import read_npz
from head.skinning import parameters_to_motion
from stream.frames import FPS

FloatArray = NDArray[np.float32]
SAMPLES = Path(__file__).resolve().parent.parent / "demo"
"""Where the clips lie that come along."""
WINDOW = 100
"""Frames that an encoder looks at: 4 seconds, as it was trained."""
STRIDE = 25


@dataclass(frozen=True, eq=False)
class StyledMotion:
    """Motion to take a style from: (L, 54) raw; `head` is empty where the file does not say."""

    path: Path
    motion: FloatArray
    head: str


@dataclass(frozen=True, eq=False)
class Extracted:
    """A style: (d_style,), the checksum of its encoder, how many frames it was made of.

    `named` are the bundle's own styles, for comparison.
    """

    vector: FloatArray
    encoder: str
    frames: int
    named: Mapping[str, FloatArray]


def samples() -> dict[str, Path]:
    """The clips that come along, by name."""
    return {path.stem: path for path in sorted(SAMPLES.glob("*.npz"))}


def open_clip(path: str | Path) -> StyledMotion:
    """A motion file, ours or one with `exp` and `pose` alone; or a clip that comes along, by name.

    Raises:
        StyleError: not such a file, other sizes, values that are not finite, or not 25 fps.
        FileNotFoundError: there is none.
    """
    path = samples().get(str(path), Path(path))
    try:
        arrays = read_npz(path)
        exp, pose = (np.asarray(arrays[name], np.float32) for name in ("exp", "pose"))
        fps = float(arrays["fps"]) if "fps" in arrays else float(FPS)
        head = str(arrays["head"])[:80] if "head" in arrays else ""
    except FileNotFoundError:
        known = ", ".join(samples()) or "none"
        raise MissingFile(f"{path}: no such file, nor a clip so called ({known})") from None
    except (KeyError, TypeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise StyleError(f"{path}: not a motion file with `exp` and `pose` ({reason})") from None
    if exp.shape != (len(exp), 50) or pose.shape != (len(exp), 6):
        raise StyleError(
            f"{path}: `exp` is {exp.shape} and `pose` {pose.shape}; give (L, 50) and (L, 6)"
        )
    if not (np.isfinite(exp).all() and np.isfinite(pose).all()):
        raise StyleError(f"{path}: holds values that are not finite")
    if fps != FPS:
        raise StyleError(f"{path}: {fps:g} frames per second; resample it to {FPS}")
    return StyledMotion(path, parameters_to_motion(exp, pose[:, :3], pose[:, 3:]), head)


def windows(length: int, start: int | None) -> list[int]:
    """First frames of the windows to look at: the one at `start`, or all, a second apart.

    Raises:
        StyleError: the clip is shorter than a window, or ends before one from `start`.
    """
    if length < WINDOW:
        raise StyleError(f"a style takes {WINDOW} frames (4 s) of motion, the clip has {length}")
    if start is None:
        firsts = list(range(0, length - WINDOW + 1, STRIDE))
        return firsts if firsts[-1] == length - WINDOW else [*firsts, length - WINDOW]
    if not 0 <= start <= length - WINDOW:
        raise StyleError(f"--start {start}: choose 0 to {length - WINDOW}, 4 s must follow")
    return [start]


def extract(clip: StyledMotion, bundle: str, *, start: int | None = None) -> Extracted:
    """The clip's style, as this bundle's encoder sees it: the mean over its windows.

    Raises:
        StyleError: the clip is too short, or moves another head.
        diffposetalk.bundle.bundle.BundleError: no bundle, or one without a style encoder.
    """
    head = load_bundle(bundle).head_id
    if clip.head and clip.head != head:
        raise StyleError(
            f"{clip.path}: its motion is for the head {clip.head!r}, the bundle {bundle!r} moves "
            f"{head!r}"
        )
    firsts = windows(len(clip.motion), start)
    batch = np.stack([clip.motion[first : first + WINDOW] for first in firsts])
    return encode(batch, bundle, frames=WINDOW if start is not None else len(clip.motion))


def encode(batch: FloatArray, bundle: str, *, frames: int) -> Extracted:
    """The mean style of windows (n, 100, 54) of raw motion of the bundle's head.

    Raises:
        StyleError: the bundle takes no style.
        diffposetalk.bundle.bundle.BundleError: no bundle, or one without a style encoder.
    """
    import torch

    loaded = load_bundle(bundle)
    spec, statistics = loaded.spec, loaded.statistics
    if not spec.use_style:
        raise StyleError(f"the bundle {loaded.folder} speaks in one way only: it takes no style")
    if not spec.head_rotation:
        batch = np.concatenate([batch[..., : spec.n_expression], batch[..., -1:]], -1)
    batch = (batch - statistics.motion_mean) / statistics.motion_std
    encoder = loaded.style_encoder()
    with torch.inference_mode():
        vectors = encoder(torch.from_numpy(batch.astype(np.float32))).numpy()
    return Extracted(
        np.asarray(vectors.mean(0), np.float32), encoder_of(loaded.folder), frames, loaded.styles
    )


def nearest(made: Extracted) -> str:
    """What the style is most like among the bundle's, for people."""
    near = sorted(((cosine(made.vector, v), name) for name, v in made.named.items()), reverse=True)
    likeness, name = near[0]
    return f"nearest to {name} (cosine {likeness:.2f})"


def cosine(a: FloatArray, b: FloatArray) -> float:
    """Cosine similarity, which the encoder was trained with (equation 9)."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))


def refuse_taken(name: str, bundle: str) -> None:
    """Judge a name for a new style before any work is done.

    Raises:
        StyleError: it cannot name a style, or the bundle has one of that name.
    """
    if check_name(name) in load_bundle(bundle).styles:
        raise StyleError(f"the bundle has a style {name!r} itself: choose another name")


def listing(bundle: str) -> str:
    """Every style and sample clip, one per line, for people."""
    loaded = load_bundle(bundle)
    lines = [f"in the bundle {bundle}:"]
    lines += [f"  {name}" for name in loaded.styles] if loaded.spec.use_style else ["  none"]
    encoder = encoder_of(loaded.folder)
    folder = own_folder()
    own = own_styles(encoder)
    others = {path.stem for path in folder.glob("*/*.npz") if path.parent.name != encoder[:16]}
    lines.append(f"your own ({folder / encoder[:16]}):")
    lines += [f"  {name}" for name in own] or ["  none; make one with `posetalk style extract`"]
    if others:
        lines.append(f"your own, but made for other bundles: {', '.join(sorted(others))}")
    lines.append("clips of motion to try `posetalk style extract` with:")
    lines += [f"  {name}" for name in samples()] or ["  none"]
    return "\n".join(lines)
