"""Motion as an npz file, written frame by frame so that a day of speech needs no memory.

`exp` (L, 50) expression weights; `pose` (L, 6) global rotation and jaw, axis-angle in radians;
`shape` (100,) identity; `fps`; `head`, the id of the rig they belong to.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.files.array_file import read_npz
from head.new_file import NewFile, naming
from head.skinning import motion_to_parameters
from stream.frames import FPS

FloatArray = NDArray[np.float32]
N_EXPRESSION, N_POSE, N_SHAPE = 50, 6, 100


@dataclass(frozen=True, eq=False)
class Motion:
    """A clip of facial motion at `fps` frames per second.

    Attributes:
        exp: (L, 50) float32 expression weights, in the order of `head.channels.CHANNELS`.
        pose: (L, 6) float32 axis-angle in radians: global rotation, then jaw.
        shape: (100,) float32 identity.
        fps: frames per second.
        head: id of the rig that the motion belongs to.
    """

    exp: FloatArray
    pose: FloatArray
    shape: FloatArray
    fps: int
    head: str

    def __len__(self) -> int:
        return len(self.exp)

    def save(self, path: str | Path) -> None:
        """Write an npz file."""
        writer = MotionWriter(path, shape=self.shape, head=self.head)
        writer.append(self.exp, self.pose)
        writer.close()

    @staticmethod
    def load(path: str | Path) -> Motion:
        """Read what `save` or `posetalk animate -o FILE.npz` wrote.

        Raises:
            ValueError: not such a file; the message is one line.
        """
        try:
            arrays = read_npz(path)
            motion = Motion(
                exp=arrays["exp"],
                pose=arrays["pose"],
                shape=arrays["shape"],
                fps=int(arrays["fps"]),
                head=str(arrays["head"])[:80],
            )
        except FileNotFoundError:
            raise
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise WrongValue(f"{path}: not a motion file of posetalk ({error})") from None
        if motion.exp.shape != (len(motion), N_EXPRESSION) or motion.pose.shape != (
            len(motion),
            N_POSE,
        ):
            raise WrongValue(f"{path}: `exp` is not (L, 50) or `pose` not (L, 6)")
        return motion


def split(motion: Iterable[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Motion vectors of a session, (54,) or (51,) -> `exp` (L, 50) and `pose` (L, 6).

    Raises:
        ValueError: vectors of another length.
    """
    rows = list(motion)
    if not rows:
        return np.zeros((0, N_EXPRESSION), np.float32), np.zeros((0, N_POSE), np.float32)
    expression, rotation, jaw = motion_to_parameters(np.asarray(rows, np.float32))
    return expression, np.concatenate([rotation, jaw], axis=-1)


class MotionWriter:
    """Writes the file when it is closed; until then frames wait on disk, not in memory.

    Raises:
        OSError: the folder is missing or cannot be written.
    """

    frames = 0

    def __init__(self, path: str | Path, *, shape: FloatArray | None, head: str) -> None:
        self.path = Path(path)
        self._shape = np.zeros(N_SHAPE, np.float32) if shape is None else shape
        self._head = head
        self._file = NewFile(self.path)
        # In the output's own folder: it has the room, and a missing folder shows at once.
        self._exp: IO[bytes] = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115
        self._pose: IO[bytes] = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115

    def append(self, exp: FloatArray, pose: FloatArray) -> None:
        """Add frames: (n, 50) and (n, 6).

        Raises:
            ValueError: arrays of other shapes; nothing of them is written.
            OSError: the disk is full.
        """
        if exp.shape != (len(exp), N_EXPRESSION) or pose.shape != (len(exp), N_POSE):
            raise WrongValue(
                f"motion of {exp.shape} and {pose.shape}: give `exp` (n, {N_EXPRESSION}) and "
                f"`pose` (n, {N_POSE})"
            )
        with naming(self.path):
            self._exp.write(np.ascontiguousarray(exp, np.float32).tobytes())
            self._pose.write(np.ascontiguousarray(pose, np.float32).tobytes())
        self.frames += len(exp)

    def close(self) -> None:
        """Give the file its name, with all frames in it; a second call does nothing."""
        if self._exp.closed:
            return
        try:
            self._write(self._file.beside)
            self._file.keep()
        finally:
            self._file.discard()

    def abandon(self) -> Path | None:
        """Keep the frames so far under another name, which is returned; None if there are none."""
        if self._exp.closed:
            return None
        if not self.frames:
            self.discard()
            return None
        try:
            self._write(self._file.beside)
        except BaseException:
            self._file.discard()
            raise
        return self._file.beside

    def discard(self) -> None:
        """End it, and leave nothing; after `close` or `abandon` it does nothing."""
        if self._exp.closed:
            return
        for waiting in (self._exp, self._pose):
            with contextlib.suppress(OSError):  # of what a full disk did not take
                waiting.close()
        self._file.discard()

    def _write(self, path: Path) -> None:
        with (
            naming(self.path),
            self._exp,
            self._pose,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            self._copy(archive, "exp", self._exp, N_EXPRESSION)
            self._copy(archive, "pose", self._pose, N_POSE)
            small: dict[str, Any] = {"shape": self._shape, "fps": FPS, "head": self._head}
            for name, value in small.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)

    def _copy(self, archive: zipfile.ZipFile, name: str, rows: IO[bytes], width: int) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": (self.frames, width)}
        rows.seek(0)
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            shutil.copyfileobj(rows, member)
