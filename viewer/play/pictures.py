"""Single pictures as files: read for a background, and written one a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.new_file import new_file
from viewer.play.video import TITLE

Pixels = NDArray[np.uint8]

PICTURES = (
    "image2,bmp_pipe,gif,jpeg_pipe,mjpeg,png_pipe,tiff_pipe,webp_pipe,avif,mov,mp4,matroska,webm"
)
"""What a picture may be: no play list, which names other files, and addresses elsewhere."""


def read_picture(path: Path, width: int, height: int) -> Pixels:
    """(height, width, 3) of a picture's file, which fills it and is cut at the longer sides.

    Raises:
        ValueError: no picture; one line.
    """
    import av

    try:
        with av.open(str(path), options={"format_whitelist": PICTURES}) as container:
            frame = next(container.decode(video=0))
            scale = max(width / frame.width, height / frame.height)
            wide, high = (
                max(width, round(scale * frame.width)),
                max(height, round(scale * frame.height)),
            )
            picture = frame.reformat(wide, high, "rgb24").to_ndarray()
    except (av.error.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise WrongValue(f"--background {path}: not a picture that can be read") from error
    top, left = (high - height) // 2, (wide - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


class PictureSequence:
    """One PNG a frame: `NAME-00000.png` and so on; sound is left to other files.

    Each says that it is synthetic.

    Raises:
        FileExistsError: pictures of that name are there: a shorter run would leave a mixture.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.frames = path, 0
        if self._first.exists():
            raise FileExistsError(
                f"{self._first} is there already: remove these pictures, or choose another name"
            )

    @property
    def _first(self) -> Path:
        return self._name(0)

    def _name(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{number:05d}.png")

    def add_frame(self, picture: NDArray[np.uint8]) -> None:
        """Write the next (h, w, 3) or (h, w, 4) picture."""
        import av

        form = "rgba" if picture.shape[2] == 4 else "rgb24"
        with (
            new_file(self._name(self.frames)) as part,
            av.open(str(part), "w", format="image2", options={"update": "1"}) as file,
        ):
            file.metadata.update(title=TITLE)
            stream = file.add_stream("png", rate=1)
            stream.height, stream.width = picture.shape[:2]
            stream.pix_fmt = form
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=form)
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        self.frames += 1

    def add_audio(self, samples: NDArray[np.float32]) -> None:
        """Pictures have no sound."""

    def close(self) -> None:
        """Every picture is whole already."""

    def abandon(self) -> Path | None:
        """What is there stays; where it begins, or None."""
        return self._first if self.frames else None

    def discard(self) -> None:
        """Take away the pictures of this run."""
        for number in range(self.frames):
            self._name(number).unlink(missing_ok=True)
        self.frames = 0
