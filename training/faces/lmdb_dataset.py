"""The released dataset's layout (TFHP): one LMDB folder of clips, read and written.

    train.txt, val.txt, test.txt, keys.txt    videos, one `PERSON/VVV` a line
    stats_train.npz                           see `training.faces.normalisation`
    data.mdb                                  b"metadata" -> {seg_len: 100}
                                              b"PERSON/VVV/metadata" -> {n_frames}
                                              b"PERSON/VVV/CCC" -> one clip of 100 frames:
        {audio: bytes of a 16 kHz FLAC, coef: {shape (n, 100), exp (n, 50), pose (n, 6)}}
    about.json                                ours: whose head, where from (may be missing)

Values are pickles; `training.faces.plain_values` reads them.  `lmdb` is imported here alone.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from head.errors import FileError, NotInstalled
from head.files.json_file import read_json
from head.files.pickle_machine import PickleError
from head.files.regular_file import read_regular
from stream.frames import FPS, FRAME_SAMPLES
from training.faces.clip_arrays import (
    SEGMENT_FRAMES,
    WIDTHS,
    FaceClip,
    SetError,
    coefficients,
    decode,
    encode,
)
from training.faces.lmdb_pages import DamagedError, check_pages
from training.faces.plain_values import dumps, loads

try:
    import lmdb
except ImportError:
    raise NotInstalled("datasets need lmdb: run `pip install 'posetalk[train]'` first") from None

SPLITS = ("train", "val", "test")
DATA, ABOUT, STATS = "data.mdb", "about.json", "stats_train.npz"
_GROW = 1 << 28
_LARGEST_LIST = 64 << 20


class LmdbSet:
    """A dataset on disk; any thread may read.

    Raises:
        SetError: no such folder, not an LMDB, cut off, or with segments of another length.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / DATA).is_file():
            raise SetError(
                f"{folder}: no dataset there (no {DATA}); make one with `posetalk dataset build`"
            )
        self._env = _open(self.folder)
        self._frames: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            length = self._mapping("metadata").get("seg_len")
            if length != SEGMENT_FRAMES:
                raise SetError(
                    f"{folder}: segments of {length!r} frames; {SEGMENT_FRAMES} are read"
                )
        except SetError:
            self.close()
            raise

    def __enter__(self) -> LmdbSet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; a second call does nothing."""
        env, self._env = self._env, None
        if env is not None:
            _close(env)

    @property
    def about(self) -> Mapping[str, Any]:
        """What about.json says; `head` names the head that the motion belongs to."""
        path = self.folder / ABOUT
        if not path.is_file():
            return {}
        try:
            found = read_json(path, _LARGEST_LIST)
        except ValueError as error:
            raise SetError(f"{path}: not JSON ({error})") from None
        return found if isinstance(found, dict) else {}

    def videos(self, split: str) -> list[str]:
        """The videos of `train`, `val` or `test`, as `PERSON/VVV`.

        Raises:
            SetError: its list is missing.
        """
        path = self.folder / f"{split}.txt"
        try:
            text = read_regular(path, _LARGEST_LIST).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetError(f"{path}: cannot read the list of videos ({error})") from None
        return [line.strip() for line in text.splitlines() if line.strip()]

    def n_frames(self, video: str) -> int:
        """Frames of a video."""
        with self._lock:
            if video in self._frames:
                return self._frames[video]
        count = self._mapping(f"{video}/metadata").get("n_frames")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise SetError(f"{video}: n_frames is {count!r}")
        with self._lock:
            self._frames[video] = count
        return count

    def segment(self, video: str, index: int) -> FaceClip:
        """FaceClip `index` of a video: 100 frames, the last one perhaps fewer.

        Raises:
            SetError: it is missing, not plain data, of other sizes, or its sound is too short.
        """
        where = f"{video}/{index:03d}"
        value = self._mapping(where)
        coef, audio = value.get("coef"), value.get("audio")
        if not isinstance(coef, dict) or not isinstance(audio, bytes | bytearray):
            raise SetError(f"{where}: holds no `coef` and `audio`")
        arrays = {name: coefficients(where, name, coef.get(name)) for name in WIDTHS}
        n = len(arrays["exp"])
        wanted = min(SEGMENT_FRAMES, self.n_frames(video) - SEGMENT_FRAMES * index)
        if {len(array) for array in arrays.values()} != {wanted}:
            lengths = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
            raise SetError(f"{where}: {lengths} frames where {wanted} belong")
        samples = decode(where, bytes(audio), (SEGMENT_FRAMES + FPS) * FRAME_SAMPLES)
        if len(samples) < n * FRAME_SAMPLES:
            raise SetError(f"{where}: {len(samples)} samples of sound, {n * FRAME_SAMPLES} belong")
        return FaceClip(
            samples[: n * FRAME_SAMPLES], arrays["shape"], arrays["exp"], arrays["pose"]
        )

    def read(self, video: str, start: int, n: int) -> FaceClip:
        """Frames [start, start + n) of a video.

        Raises:
            SetError: see `segment`; or the video ends before.
        """
        if start < 0 or n < 1 or start + n > self.n_frames(video):
            raise SetError(f"{video}: frames {start} to {start + n} of {self.n_frames(video)}")
        first, last = start // SEGMENT_FRAMES, (start + n - 1) // SEGMENT_FRAMES
        parts = [self.segment(video, index) for index in range(first, last + 1)]
        a = start - first * SEGMENT_FRAMES
        return FaceClip(
            np.concatenate([part.samples for part in parts])[
                a * FRAME_SAMPLES : (a + n) * FRAME_SAMPLES
            ],
            *(
                np.concatenate([getattr(part, name) for part in parts])[a : a + n]
                for name in WIDTHS
            ),
        )

    def stored(self) -> list[str]:
        """Every key there is."""
        with self._env.begin() as view, view.cursor() as cursor:
            return [bytes(key).decode("utf-8", "replace") for key in cursor.iternext(values=False)]

    def _mapping(self, key: str) -> dict[Any, Any]:
        try:
            with self._env.begin() as view:
                data = view.get(key.encode())
        except lmdb.Error as error:
            raise SetError(f"{self.folder}: {key} cannot be read ({error})") from None
        if data is None:
            raise SetError(f"{self.folder}: {key} is missing")
        try:
            value = loads(data)
        except PickleError as error:
            raise SetError(f"{self.folder}: {key}: {error}") from None
        if not isinstance(value, dict):
            raise SetError(f"{self.folder}: {key} is a {type(value).__name__}, not a mapping")
        return value


class LmdbWriter:
    """Writes the clips of a dataset into a folder that it makes.

    Raises:
        OSError: the folder or the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._env = lmdb.open(str(folder), map_size=_GROW, sync=False, metasync=False)
        self._put({"metadata": {"seg_len": SEGMENT_FRAMES}})

    def add(self, video: str, clip: FaceClip) -> None:
        """Write a whole video, cut into segments."""
        values: dict[str, Any] = {f"{video}/metadata": {"n_frames": len(clip)}}
        for index in range(-(-len(clip) // SEGMENT_FRAMES)):
            part = slice(index * SEGMENT_FRAMES, (index + 1) * SEGMENT_FRAMES)
            sound = clip.samples[
                part.start * FRAME_SAMPLES : min(part.stop, len(clip)) * FRAME_SAMPLES
            ]
            coef = {
                name: np.ascontiguousarray(getattr(clip, name)[part], np.float32) for name in WIDTHS
            }
            values[f"{video}/{index:03d}"] = {"audio": encode(sound), "coef": coef}
        self._put(values)

    def close(self) -> None:
        """Finish the file; nothing may be added after."""
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise FileError(f"{self._folder} cannot be written: {error}") from None
        finally:
            self._env.close()
        (self._folder / "lock.mdb").unlink(missing_ok=True)

    def _put(self, values: Mapping[str, Any]) -> None:
        while True:
            try:
                with self._env.begin(write=True) as change:
                    for key, value in values.items():
                        change.put(key.encode(), dumps(value))
                return
            except lmdb.MapFullError:
                self._env.set_mapsize(self._env.info()["map_size"] + _GROW)
            except lmdb.Error as error:
                raise FileError(f"{self._folder} cannot be written: {error}") from None


_shared: dict[str, tuple[Any, int]] = {}
"""Open files by path, with their users: a process may open an LMDB once only."""
_sharing = threading.Lock()


def _open(folder: Path) -> Any:
    path = str(folder.resolve())
    with _sharing:
        env, users = _shared.get(path, (None, 0))
        if env is None:
            try:
                check_pages(folder / DATA)
                env = lmdb.open(path, readonly=True, lock=False, readahead=False)
            except DamagedError as error:
                raise SetError(f"{folder / DATA}: {error}") from None
            except lmdb.Error as error:
                raise SetError(f"{folder / DATA}: not an LMDB ({error})") from None
        _shared[path] = (env, users + 1)
    return env


def _close(env: Any) -> None:
    with _sharing:
        path = env.path()
        users = _shared[path][1] - 1
        if users:
            _shared[path] = (env, users)
        else:
            del _shared[path]
            env.close()
