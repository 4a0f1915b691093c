"""Speech that is already there, animated as fast as it goes: the same session as live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from head.errors import WrongValue
from posetalk.app.film.settings import DEFAULT_SIZE, Camera, FilmSettings
from posetalk.app.outputs import Output, check_names, finishing, open_outputs
from posetalk.formats.motion_file import Motion, split
from stream.backends.names import BackendName, Precision
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from stream.run.presets import PresetName

if TYPE_CHECKING:
    from stream.core.session import Session
    from stream.frames import Frame
    from stream.sources import AudioSource
    from stream.sources.channel_choice import Channel

FloatArray = NDArray[np.float32]
BLOCK_SAMPLES = 16 * FRAME_SAMPLES
"""Sound handed to the session at a time; the frames do not depend on it."""

Audio = str | Path | ArrayLike
Progress = Callable[[int], None]
"""Told how many frames are finished so far."""


def read_blocks(audio: Audio, sample_rate: int, channel: Channel = "auto") -> Iterator[FloatArray]:
    """Blocks of mono sound at 16 kHz from a file or from samples in memory.

    Raises:
        stream.sources.SourceError: not readable as audio, or empty.
        ValueError: no samples, or no such channel.
    """
    if isinstance(audio, str | Path):
        from stream.sources.file import FileSource

        return blocks_of(FileSource(audio, pace="fast", channel=channel))
    from stream.sources.array import ArraySource

    return blocks_of(ArraySource(audio, sample_rate, channel=channel))


def blocks_of(source: AudioSource) -> Iterator[FloatArray]:
    """The sound of a source in blocks of at most 16 frames."""
    for block in source:
        yield from _pieces(block.samples)


def _pieces(samples: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(samples), BLOCK_SAMPLES):
        yield samples[start : start + BLOCK_SAMPLES]


def run(
    session: Session,
    blocks: Iterable[FloatArray],
    outputs: Sequence[Output],
    progress: Progress = lambda frames: None,
) -> int:
    """Feed `blocks` to `session` and its frames to `outputs`; returns the number of frames.

    What is cut short, by an error or Ctrl-C, is kept under another name (`outputs.finishing`).

    Raises:
        ValueError: too little sound for one frame.
    """
    frames = samples = 0

    def show(finished: Sequence[Frame]) -> None:
        nonlocal frames
        for output in outputs:
            output.show(finished)
        frames += len(finished)
        progress(frames)

    with finishing(outputs):
        for block in blocks:
            samples += len(block)
            for output in outputs:
                output.write_audio(block)
            show(session.feed(block))
        show(session.finish())
        if samples < FRAME_SAMPLES:
            raise WrongValue(f"only {samples} samples of sound: one frame takes {FRAME_SAMPLES}")
    return frames


class _Collector:
    """An output that keeps the motion in memory."""

    path = Path()

    def __init__(self) -> None:
        self.rows: list[FloatArray] = []

    def write_audio(self, samples: FloatArray) -> None:
        """Motion has no sound."""

    def show(self, frames: Sequence[Frame]) -> None:
        self.rows += [frame.motion for frame in frames]

    def close(self) -> None:
        """Nothing to finish."""

    def abandon(self) -> None:
        """Nothing to keep."""

    def discard(self) -> None:
        """Nothing to leave."""


def animate(
    audio: Audio,
    output: str | Path | Sequence[str | Path] | None = None,
    *,
    sample_rate: int = SAMPLE_RATE,
    channel: Channel = "auto",
    bundle: str = "starter",
    style: str | None = None,
    shape: FloatArray | None = None,
    preset: PresetName = "default",
    steps: int | None = None,
    hop: int | None = None,
    lookahead: int | None = None,
    seed: int = 0,
    backend: BackendName = "auto",
    head: str | Path | None = None,
    size: int | str = DEFAULT_SIZE,
    fps: int | None = None,
    camera: Camera = "head",
    background: str = "studio",
    neutral: bool = False,
    mode: Literal["live", "paper"] = "live",
    sampler: Literal["ancestral", "dpm++"] | None = None,
    precision: Precision | None = None,
) -> Motion:
    """Animate recorded speech, and write a video or a motion file if asked to.

        import posetalk

        motion = posetalk.animate(posetalk.demo_speech(), "hello.npz", seed=1)
        print(len(motion) / motion.fps, "seconds")
        print(motion.exp.shape, motion.pose.shape)   # (L, 50) and (L, 6)
        jaw = motion.pose[:, 3]                      # radians, > 0 is open
        print("widest at", jaw.argmax() / motion.fps, "seconds")
        print("belongs to the head", motion.head)
        again = posetalk.Motion.load("hello.npz")
        assert (again.exp == motion.exp).all()

    Args:
        audio: a sound file or a film, or samples (n,) or (n, channels) at `sample_rate`: floats in
            [-1, 1], or integers of 8, 16 or 32 bits, which are scaled by their type.
        output: one or more files to write: `.mp4`, `.webm` and `.mov`
            video with sound, `.png` a picture a frame, `.npz` motion; `.csv`, `.glb`,
            `.usda` and `.bvh` for other programs.
        sample_rate: of `audio`, if it is samples.
        channel: which of several channels is heard, from 1; `mix` is the mean of all; `auto` takes
            the centre of a film's, or those with the speech, and says so.
        bundle: `starter`, or the folder of another bundle.
        style: a name, a mix such as 'calm*0.7+lively*0.3', or a style file; the bundle's first if
            None.
        shape: (100,) identity; the bundle's mean if None.
        preset: `fast` speaks a frame (40 ms) sooner than the default, `careful` three later,
            having heard more; what is set below comes before it.
        steps, hop, lookahead: network calls per hop, frames per hop, frames of lookahead; the
            bundle's live defaults if None.
        seed: the same seed, sound and settings give the same motion.
        backend: `auto` (the best that is installed), `onnxruntime`, `torch`, or `fake`
            (no model: the jaw follows the loudness).
        head: a name of `posetalk head list` or a head file to map the motion to; the bundle's own
            if None.
        size: of the video, in pixels: one side, or 'WIDTHxHEIGHT'.
        fps: frames per second, 24, 25, 30, 50 or 60, of films and files (not of `.npz`); 25 if
            None, 60 for a `.csv`, whose readers expect them. Motion is interpolated.
        camera: `head`, `bust` or `profile`.
        background: `studio`, `transparent` (`.webm`, `.mov`, `.png`), a colour, or a picture's
            file.
        neutral: begin with one frame of the face at rest.
        mode: `live` is the live session; `paper` the released pipeline over the whole clip (slow;
            `diffposetalk.paper_mode.pipeline` has all of it).
        sampler: of paper mode; `ancestral` if None, or `dpm++` where `steps` is given.
        precision: of torch's matrix products, `fp32`, `bf16` or `fp16`; `auto` then means torch.

    Raises:
        OSError: the sound cannot be read, or an output not be written.
        ValueError: a setting, style or bundle that cannot be used; the message is one line.
    """
    from posetalk.app.opening import load_model
    from posetalk.app.settings.model import ModelSettings
    from stream.core.session import Session

    named = [output] if isinstance(output, str | Path) else list(output or ())
    paths = [Path(path) for path in named]
    check_names(paths)
    film = FilmSettings(str(size), fps, camera, background, neutral).film(paths)
    blocks = read_blocks(audio, sample_rate, channel)
    collector = _Collector()
    if mode == "paper":
        from posetalk.app import paper

        if any(each is not None for each in (hop, lookahead, head)) or preset != "default":
            raise WrongValue(
                "paper mode has no preset, hop, lookahead and head of its own: leave them out"
            )
        made = paper.animate(
            np.concatenate([np.zeros(0, np.float32), *blocks]),
            bundle,
            style,
            shape,
            seed,
            paper.settings_of(sampler, steps),
            lambda head, own: [collector, *open_outputs(paths, head_id=head, shape=own, film=film)],
            precision,
        )
        return Motion(*split(collector.rows), made.shape, FPS, made.head)
    settings = ModelSettings(
        bundle=bundle,
        style=style,
        preset=preset,
        steps=steps,
        hop=hop,
        lookahead=lookahead,
        seed=seed,
        backend=backend,
        precision=precision,
        head=None if head is None else str(head),
    )
    model, mapping = load_model(settings)
    options = settings.live_options()
    session = Session(model, options=options, shape=shape, style=style, seed=seed, retarget=mapping)
    head_id = session.head_id
    outputs = open_outputs(paths, head_id=head_id, shape=session.shape, film=film)
    run(session, blocks, [collector, *outputs])
    exp, pose = split(collector.rows)
    return Motion(exp, pose, session.shape, FPS, head_id)
