"""Recorded speech in paper mode, as the released code animates it, into files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffposetalk.bundle.bundle import bundle_folder
from diffposetalk.bundle.styles import encoder_of, own_styles, resolve
from head.errors import NotInstalled, WrongValue
from head.files.array_file import read_arrays
from posetalk.app.outputs import finishing
from stream.backends.threads import let_threads_sleep
from stream.frames import FRAME_SAMPLES, Frame

if TYPE_CHECKING:
    from diffposetalk.paper_mode.pipeline import Loaded, PaperClip, PaperSettings
    from posetalk.app.outputs import Output

FloatArray = NDArray[np.float32]


def load(bundle: str, precision: str | None = None) -> Loaded:
    """A bundle with its network, on the GPU when there is one; `precision` fp32 by default.

    Raises:
        RuntimeError: torch is not installed.
        ValueError: the network cannot have that precision.
        diffposetalk.bundle.bundle.BundleError: it cannot be read.
    """
    let_threads_sleep()
    try:
        import torch
    except ModuleNotFoundError:
        raise NotInstalled(
            "paper mode needs torch: run `pip install 'posetalk[torch]'`, or use --mode live"
        ) from None
    from diffposetalk.paper_mode.pipeline import Loaded

    return Loaded.of(bundle, "cuda" if torch.cuda.is_available() else "cpu", precision or "fp32")


def style_vector(loaded: Loaded, bundle: str, style: str | None) -> FloatArray | None:
    """What `--style` says, the user's own styles and files included; None where there is none.

    Raises:
        diffposetalk.bundle.styles.StyleError: an unknown name, a wrong mix, or a file that is no
        style.
    """
    spec, styles = loaded.bundle.spec, dict(loaded.bundle.styles)
    if style is None or not spec.use_style:
        return None
    encoder = encoder_of(bundle_folder(bundle))
    for name, vector in own_styles(encoder).items():
        if vector.shape == (spec.style.d_style,):
            styles.setdefault(name, vector)
    return resolve(style, styles, files=True, encoder=encoder)


def settings_of(
    sampler: str | None,
    steps: int | None,
    audio: float | None = None,
    style: float | None = None,
    threshold: float | None = None,
) -> PaperSettings:
    """How to sample; a number of steps without a sampler's name means `dpm++`."""
    from diffposetalk.paper_mode.pipeline import PaperSettings

    name = sampler or ("ancestral" if steps is None else "dpm++")
    return PaperSettings(name, steps, audio, style, threshold)  # type: ignore[arg-type]


class Made(NamedTuple):
    """Whose motion it is: (n_shape,) identity, and the head's id."""

    shape: FloatArray
    head: str


def animate(
    samples: FloatArray,
    bundle: str,
    style: str | None,
    shape: FloatArray | None,
    seed: int,
    settings: PaperSettings,
    open_outputs: Callable[[str, FloatArray], Sequence[Output]],
    precision: str | None = None,
) -> Made:
    """Animate samples into what `open_outputs(head id, identity)` opens, once all is judged.

    Raises:
        ValueError, RuntimeError: as `load`, `style_vector` and `check_settings`; too little sound.
    """
    loaded = load(bundle, precision)
    from diffposetalk.paper_mode.pipeline import PaperClip, check_settings, clip_windows

    check_settings(settings, loaded.bundle.spec)
    clip = PaperClip(samples, shape, style_vector(loaded, bundle, style), seed)
    clip_windows(samples, loaded.bundle.spec)
    mean = loaded.bundle.statistics.shape_mean
    made = Made(mean if shape is None else np.asarray(shape, np.float32), loaded.bundle.head_id)
    run(loaded, clip, settings, open_outputs(made.head, made.shape))
    return made


def run(
    loaded: Loaded,
    clip: PaperClip,
    settings: PaperSettings,
    outputs: Sequence[Output],
    progress: Callable[[int], None] = lambda frames: None,
) -> int:
    """Animate a clip into `outputs`, window by window; returns the number of frames.

    What is cut short, by an error or Ctrl-C, is kept under another name (`outputs.finishing`).
    """
    from diffposetalk.paper_mode.pipeline import windows

    total = len(clip.samples) // FRAME_SAMPLES
    frames = 0
    with finishing(outputs):
        for window in windows(
            loaded, [clip], settings, progress=lambda part: progress(int(part * total))
        ):
            rows = window[0]
            stop = frames + len(rows)
            sound = clip.samples[frames * FRAME_SAMPLES : stop * FRAME_SAMPLES]
            shown = [
                Frame(number, number * FRAME_SAMPLES, motion)
                for number, motion in enumerate(rows, frames)
            ]
            for output in outputs:
                output.write_audio(sound)
                output.show(shown)
            frames = stop
    return frames


def read_shape(path: str, size: int) -> FloatArray:
    """An identity from a .npy file: (size,), or (L, size) of which the first row counts.

    Raises:
        ValueError: not such a file.
        FileNotFoundError: there is none.
    """
    try:
        found = read_arrays(path)
        array = found if isinstance(found, np.ndarray) else found["shape"]
    except FileNotFoundError:
        raise
    except (KeyError, ValueError, OSError):
        array = np.zeros(0)
    array = array[0] if array.ndim == 2 and len(array) else array
    if array.dtype.kind != "f" or array.shape != (size,) or not np.isfinite(array).all():
        raise WrongValue(
            f"{path}: an identity is ({size},) finite numbers in a .npy file, or `shape` in a "
            "motion file"
        )
    return np.asarray(array, np.float32)
