"""Films read picture by picture in constant memory: upright, small enough, each with its time.

A picture's time is that of its middle, halfway to the next one, so films of any rate, variable ones
too, stay in step with their sound. Time zero is the start of the first picture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from posetalk.tracking.problem import TrackingError
from stream.sources.decoding.libav import FORMATS

Picture = NDArray[np.uint8]

LONGEST_SIDE: Final = 1280
"""Pixels; larger pictures are scaled down: the landmarks of a face need no more."""
LONGEST_HOLD: Final = 0.5
"""Seconds that a picture may stand before the film counts as having stopped there."""
_PQ, _HLG = 16, 18
"""Transfer curves of HDR films, as FFmpeg numbers them."""
FILMS = "3g2,mj2,dv,gif,h264,hevc,ivf,m4v,mjpeg,mpegvideo,mxf,nut,obu,rm,swf,tty,wtv,yuv4mpegpipe"
"""What is read besides what sound comes in.  Play lists are not, as there."""
_COVER = 0x400
"""FFmpeg's flag of a stream that is one attached picture."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture (height, width, 3) uint8 RGB, and the seconds at which it begins and ends."""

    picture: Picture
    begin: float
    end: float

    @property
    def middle(self) -> float:
        return (self.begin + self.end) / 2


class Film:
    """A film file. Iterating yields its pictures as `Shot`s, once.

    Attributes:
        frames: about how many pictures there are, 0 where the file does not say.
        seconds: about how long it is, 0 where the file does not say.
        size: width and height of the pictures as yielded.
        has_sound: whether there is a sound track.
        begins: seconds of the file's own clock at which the first picture begins.
        start, limit: the part that is read, in seconds from there.

    Raises:
        TrackingError: missing, no film, or without pictures.
    """

    def __init__(
        self, path: str | Path, *, start: float = 0.0, seconds: float | None = None
    ) -> None:
        self.path = Path(path)
        self.start, self.limit = start, seconds
        with open_container(self.path) as container:
            stream = pictures_of(container)
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            length = container.duration / 1e6 if container.duration else 0.0
            self.seconds = max(0.0, length - start)
            if seconds is not None:
                self.seconds = min(self.seconds, seconds) if length else seconds
            self.frames = round(self.seconds * rate)
            self.fps = rate
            self.has_sound = bool(container.streams.audio)
            self.size = (0, 0)
            self.begins = _first_time(container, stream, self.path)

    def __iter__(self) -> Iterator[Shot]:
        """The pictures in the order in which they are shown; a damaged one is left out.

        Raises:
            TrackingError: the film breaks off before its first picture.
        """
        held: tuple[Picture, float] | None = None
        usual = 1 / self.fps
        for picture, time in self._decoded():
            if held is not None:
                if time <= held[1]:
                    continue  # two pictures of one moment: the first stays
                yield Shot(held[0], held[1], min(time, held[1] + LONGEST_HOLD))
            held = picture, time
        if held is None:
            after = f" after {self.start:g} s" if self.start > 0 else ""
            raise TrackingError(f"{self.path}: holds no picture that can be decoded{after}")
        yield Shot(held[0], held[1], held[1] + usual)

    def _decoded(self) -> Iterator[tuple[Picture, float]]:
        last = self.start + self.limit if self.limit is not None else float("inf")
        for frame, time in self._sought():
            if time < self.start - 1e-6:
                continue
            if time >= last - 1e-6:
                return
            picture = upright(frame)
            self.size = (picture.shape[1], picture.shape[0])
            yield picture, time - self.start

    def _sought(self) -> Iterator[tuple[Any, float]]:
        """Frames and their seconds, from one that lies at `start` or before it.

        Containers without an index (MPEG programs) are sought by guess, and the first picture that
        can be decoded there may come too late: then from further and further before.
        """
        back = 0.0
        while back < self.start:
            with open_container(self.path) as container:
                stream = pictures_of(container)
                at = int((self.start - back + self.begins) / stream.time_base)
                container.seek(at, stream=stream, backward=True)
                frames = self._frames(container, stream)
                first = next(frames, None)
                if first is not None and first[1] <= self.start + 1e-6:
                    yield first
                    yield from frames
                    return
            back = max(1.0, 2 * back)
        with open_container(self.path) as container:
            yield from self._frames(container, pictures_of(container))

    def _frames(self, container: Any, stream: Any) -> Iterator[tuple[Any, float]]:
        stream.thread_type = "AUTO"
        for frame in undamaged(container, stream, lambda error: None):
            if frame.pts is not None:
                yield frame, float(frame.pts * stream.time_base) - self.begins


def upright(frame: Any) -> Picture:
    """A picture as people see it: turned as the film's tag says, small, in ordinary colours."""
    transfer, rotation = int(frame.color_trc), frame.rotation
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (frame.width, frame.height))
    deep = frame.format.components[0].bits > 8
    if scale < 1 or deep:  # in the film's own colours, by means of areas: a third of the work
        small = "yuv420p" if deep else frame.format.name
        frame = frame.reformat(width=width, height=height, format=small, interpolation="AREA")
    picture: Picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    if transfer in (_PQ, _HLG):  # by bytes' own table, which is twice as fast as an index
        toned = picture.tobytes().translate(_tone(transfer).tobytes())
        picture = np.frombuffer(bytearray(toned), np.uint8).reshape(picture.shape)
    turns = round(rotation / 90) % 4  # counter-clockwise, as np.rot90 counts
    return np.ascontiguousarray(np.rot90(picture, turns) if turns else picture)


@functools.cache
def _tone(transfer: int) -> Picture:
    """(256,) from code values of HDR to those of an ordinary screen: diffuse white stays white."""
    code = np.arange(256) / 255
    if transfer == _PQ:  # SMPTE ST 2084, with 203 cd/m2 for diffuse white (ITU-R BT.2408)
        power = np.power(code, 1 / 78.84375)
        linear = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        light = 10000 * np.power(linear, 1 / 0.1593017578125) / 203
    else:  # ARIB STD-B67
        low = code * code / 3
        high = (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
        light = np.where(code <= 0.5, low, high) / 0.265
    light = light * (1 + light / light[-1] ** 2) / (1 + light)  # Reinhard et al. 2002, equation 4
    return np.asarray(np.round(255 * np.power(np.clip(1.6 * light, 0, 1), 1 / 2.2)), np.uint8)


def undamaged(container: Any, stream: Any, damage: Callable[[Exception], None]) -> Iterator[Any]:
    """The frames of a stream's packets that can be decoded; of each other one `damage` is told."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            damage(error)
            continue
        yield from frames


def open_container(path: Path) -> Any:
    """The container, of which pictures can be asked.

    Raises:
        TrackingError: missing, or not a film.
    """
    import av

    if not path.exists():
        raise TrackingError(f"{path}: no such file")
    if path.is_dir():
        raise TrackingError(f"{path}: is a folder, not a film")
    if not path.is_file():
        raise TrackingError(f"{path}: is a device or a pipe, not a film")
    if path.stat().st_size == 0:
        raise TrackingError(f"{path}: is empty")
    try:
        container = av.open(str(path), options={"format_whitelist": ",".join((FORMATS, FILMS))})
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = str(getattr(error, "strerror", None) or error).strip()
        raise TrackingError(f"{path}: cannot be read as a film ({reason})") from None
    if "tty" in container.format.name:  # FFmpeg draws any text as a picture
        container.close()
        raise TrackingError(f"{path}: is a text, not a film")
    if pictures_of(container) is None:
        container.close()
        raise TrackingError(f"{path}: holds no pictures, only sound; a film with a face is needed")
    return container


def pictures_of(container: Any) -> Any:
    """The stream of moving pictures: never the cover of a song. None where there is none."""
    real = [s for s in container.streams.video if not int(s.disposition) & _COVER]
    return real[0] if real else None


def _first_time(container: Any, stream: Any, path: Path) -> float:
    """Seconds of the container at which the first picture begins."""
    import av

    try:
        for frame in container.decode(stream):
            if frame.pts is not None:
                return float(frame.pts * stream.time_base)
    except av.error.FFmpegError as error:
        raise TrackingError(f"{path}: its pictures cannot be decoded ({error})") from None
    raise TrackingError(f"{path}: holds no picture that can be decoded")
