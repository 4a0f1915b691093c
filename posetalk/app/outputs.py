"""Where finished frames go in an offline run: a video, motion, or the files of other programs.

The ending of the name decides; `posetalk.formats` has what other programs read.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from head.new_file import NewFile, full_disk, naming
from posetalk.formats import FORMATS, Clip, Format
from posetalk.formats.motion_file import MotionWriter, split
from posetalk.terminal.console import UsageError
from stream.frames import FPS, FRAME_SAMPLES

if TYPE_CHECKING:
    from head.rig import Head
    from stream.frames import Frame
    from viewer.play.film import Film

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]
MEANINGS = {
    ".mp4": "video",
    ".webm": "video, may be transparent",
    ".mov": "ProRes, may be transparent",
    ".png": "a picture a frame",
    ".npz": "motion",
    **{ending: form.meaning for ending, form in FORMATS.items()},
}
SUFFIXES = tuple(MEANINGS)


class Output(Protocol):
    """Takes frames in order, each after the sound that it belongs to.

    What stood under its name stays until `close`.
    """

    path: Path

    def write_audio(self, samples: FloatArray) -> None:
        """Take the next (n,) samples at 16 kHz."""
        ...

    def show(self, frames: Sequence[Frame]) -> None:
        """Take the next frames."""
        ...

    def close(self) -> None:
        """The work is done: finish the file and give it its name; a second call does nothing."""
        ...

    def abandon(self) -> Path | None:
        """The work was cut short: keep what came under another name, and return that.

        None where nothing came, and after `close`.
        """
        ...

    def discard(self) -> None:
        """Nothing of it is wanted: leave nothing; after `close` it does nothing."""
        ...


class MotionOutput:
    """An npz file of motion."""

    def __init__(self, path: Path, shape: FloatArray | None, head_id: str) -> None:
        self.path = path
        self._writer = MotionWriter(path, shape=shape, head=head_id)

    def write_audio(self, samples: FloatArray) -> None:
        """Motion has no sound."""

    def show(self, frames: Sequence[Frame]) -> None:
        if frames:
            self._writer.append(*split(frame.motion for frame in frames))

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> Path | None:
        return self._writer.abandon()

    def discard(self) -> None:
        self._writer.discard()


class ClipOutput:
    """A file for other programs, written when the last frame is there.

    `fps` is its frame rate; the motion's if None, or what the format's readers expect.
    """

    def __init__(
        self, path: Path, shape: FloatArray | None, head: Head, form: Format, fps: int | None = None
    ) -> None:
        if form.arkit:
            from head.arkit.weights import arkit_weights

            arkit_weights(head, np.zeros(len(head.expression_names)), np.zeros(3))  # or HeadError
        self.path = path
        self._head, self._shape = head, shape
        self._write = form.writer()
        self._fps = FPS if fps is None or form.any_fps else fps
        if form.any_fps and fps is not None:
            self._write = functools.partial(self._write, fps=fps)
        self._rows: list[FloatArray] = []
        self._file: NewFile | None = NewFile(path)

    def write_audio(self, samples: FloatArray) -> None:
        """These files have no sound."""

    def show(self, frames: Sequence[Frame]) -> None:
        self._rows += [frame.motion for frame in frames]

    def close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if self._rows:
                self._write_to(file)
                file.keep()
        finally:
            file.discard()

    def abandon(self) -> Path | None:
        file, self._file = self._file, None
        if file is None or not self._rows:
            if file is not None:
                file.discard()
            return None
        try:
            self._write_to(file)
        except BaseException:
            file.discard()
            raise
        return file.beside

    def discard(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.discard()

    def _write_to(self, file: NewFile) -> None:
        made = self._write(Clip.of(self._head, self._rows, self._shape, self._fps))
        with naming(self.path):
            file.beside.write_bytes(made)


class NeutralFirst:
    """Any output, with a frame of the head at rest and its silence before the first one."""

    def __init__(self, output: Output) -> None:
        self.path, self._output, self._begun = output.path, output, False

    def write_audio(self, samples: FloatArray) -> None:
        if not self._begun:
            self._begun = True
            self._output.write_audio(np.zeros(FRAME_SAMPLES, np.float32))
        self._output.write_audio(samples)

    def show(self, frames: Sequence[Frame]) -> None:
        if frames and frames[0].sequence == 0:
            rest = replace(frames[0], motion=np.zeros_like(frames[0].motion))
            self._output.show([rest])
        self._output.show(frames)

    def close(self) -> None:
        self._output.close()

    def abandon(self) -> Path | None:
        return self._output.abandon()

    def discard(self) -> None:
        self._output.discard()


@contextlib.contextmanager
def finishing(outputs: Sequence[Output]) -> Iterator[None]:
    """Close every output when the block ends; when it raises, keep what came under other names.

    What one output raises in that hinders no other; the first error is raised in the end.  Of a
    full disk nothing is kept: it can be made again, and what is missing is room.
    """
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
    whole = error is None
    for output in outputs:
        try:
            if whole:
                output.close()
            elif full_disk(error) is not None:
                output.discard()
            elif (piece := output.abandon()) is not None:
                log.warning("%s stays as it was; what was finished is in %s", output.path, piece)
        except Exception as raised:
            error = error or raised
            with contextlib.suppress(Exception):
                output.discard()
    if error is not None:
        raise error


def check_names(paths: Sequence[Path], kinds: Sequence[str] = SUFFIXES) -> None:
    """Judge the names before any work is done.

    Raises:
        UsageError: an ending that names no kind of file, a folder that is not there, or one name
            for two files.
    """
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"{path}: is named twice")
        if path.suffix.lower() not in kinds:
            meant = " or ".join(f"{kind} ({MEANINGS[kind]})" for kind in kinds)
            raise UsageError(f"{path}: end the name in {meant}")
        if not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")
        if path.is_dir():
            raise UsageError(f"{path}: is a folder")


def open_outputs(
    paths: Sequence[Path],
    *,
    head_id: str,
    shape: FloatArray | None = None,
    film: Film | None = None,
) -> list[Output]:
    """An output for each path, by its ending; all of them, or none and an error.

    `film` says how pictures look, and its `fps` the frame rate of all that are not `.npz`: if None,
    60 for tables (`.csv`), as their readers expect, else 25. Where it is `neutral`, a frame of the
    head at rest goes before the first one.

    Raises:
        ValueError, OSError: a name of no known kind, or a file that cannot be written.
        viewer.render.gl.GLError: a video is wanted and nothing can draw here.
        HeadError: ARKit weights are wanted of a head that has none.
    """
    check_names(paths)
    from viewer.play.film import Film

    film = film or Film()
    outputs: list[Output] = []
    with contextlib.ExitStack() as closing:
        for path in paths:
            ending = path.suffix.lower()
            if ending == ".npz":
                outputs.append(MotionOutput(path, shape, head_id))
                closing.callback(outputs[-1].abandon)
                continue
            from head.rig import load_head

            head = load_head(head_id)
            if ending in FORMATS:
                outputs.append(ClipOutput(path, shape, head, FORMATS[ending], film.fps))
            else:
                from posetalk.app.film.output import PictureOutput

                outputs.append(PictureOutput(path, shape, head, film))
            closing.callback(outputs[-1].abandon)
        closing.pop_all()
    return [NeutralFirst(each) for each in outputs] if film.neutral else outputs
