"""Checkpoints of PyTorch, read as data: a description, and tensors once they were checked.

The file is opened by another process (`checkpoint_process`), which has limits of memory and time;
what comes back from it is JSON and raw numbers.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

from diffposetalk.importing.archive import CheckpointError, check_archive
from diffposetalk.importing.checkpoint_process import READY

_LARGEST_DESCRIPTION = 64 << 20
_SECONDS, _BYTES_PER_SECOND = 10, 20_000_000
_SPARE_SECONDS = 60
"""Beyond the seconds of work that reading may take: a busy machine takes longer over them."""
_BEGIN_SECONDS = 600
"""In which the other process must have loaded torch, which no file has a part in."""
_DTYPES = {
    name: getattr(torch, name)
    for name in [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    ]
}


class Checkpoint(NamedTuple):
    """What a file written by `torch.save` holds: plain values, and tensors on the CPU."""

    path: Path
    content: dict[str, Any]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """What a file written by `torch.save` holds. Nothing in it is run.

    Raises:
        CheckpointError: not such a file, damaged, or it holds more than data; one line.
        OSError: it cannot be opened, or is no regular file.
    """
    path = Path(path)
    sizes = check_archive(path)
    size = path.stat().st_size
    request = {
        "path": str(path.absolute()),
        "bytes": size,
        "seconds": _SECONDS + size // _BYTES_PER_SECOND,
        "sizes": sizes,
    }
    with _lock:
        told, storages = _reader.ask(request, path, sum(sizes))
    content = _value(told["content"], storages, path)
    return Checkpoint(path, content)


class _Reader:
    """The other process: begun when it is first needed, ended with this one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(
        self, request: Mapping[str, Any], path: Path, most: int
    ) -> tuple[dict[str, Any], list[bytearray]]:
        """Its answer on one file; when there is none, it is ended and the file refused."""
        process = self._process or self._begin()
        watch = self._watch(request["seconds"] + _SPARE_SECONDS)
        whole = False
        try:
            answer = self._answer(process, request, path, most)
            whole = True
            return answer
        except (EOFError, BrokenPipeError, ValueError) as error:
            if isinstance(error, CheckpointError):
                whole = True
                raise
            raise CheckpointError(
                f"{path}: reading it takes more memory or time than any checkpoint: it is damaged, "
                "or was made to do harm"
            ) from None
        finally:
            watch.cancel()
            if not whole or not hasattr(os, "fork"):
                self.end()  # also when this process is interrupted

    def _answer(
        self, process: subprocess.Popen[bytes], request: Mapping[str, Any], path: Path, most: int
    ) -> tuple[dict[str, Any], list[bytearray]]:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        length = int.from_bytes(_exactly(process.stdout, 8), "little")
        if length > _LARGEST_DESCRIPTION:
            raise EOFError
        told: dict[str, Any] = json.loads(_exactly(process.stdout, length))
        if "refused" in told:
            raise CheckpointError(f"{path}: {told['refused']}")
        if sum(told["bytes"]) > most:
            raise EOFError
        return told, [_exactly(process.stdout, size) for size in told["bytes"]]

    def _begin(self) -> subprocess.Popen[bytes]:
        folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, folders)),
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "diffposetalk.importing.checkpoint_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        assert self._process.stdout is not None
        watch = self._watch(_BEGIN_SECONDS)
        try:
            _exactly(self._process.stdout, len(READY))
        except BaseException as error:
            self.end()
            if not isinstance(error, EOFError):
                raise
            raise CheckpointError(
                "checkpoints cannot be read here: PyTorch does not load in a process of its own"
            ) from None
        finally:
            watch.cancel()
        return self._process

    def _watch(self, seconds: float) -> threading.Timer:
        """End the process unless this is cancelled in time."""
        watch = threading.Timer(seconds, self._kill)
        watch.daemon = True
        watch.start()
        return watch

    def _kill(self) -> None:
        if self._process is not None:
            _end_group(self._process)

    def end(self) -> None:
        """End the process, and what it has begun."""
        process, self._process = self._process, None
        if process is None:
            return
        _end_group(process)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        if hasattr(os, "killpg"):
            import signal

            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except OSError:
        pass  # it has ended


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    place, done = memoryview(data), 0
    while done < size:
        got = stream.readinto(place[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        done += got
    return data


def _value(told: Any, storages: list[bytearray], path: Path) -> Any:
    """The value that its description stands for."""
    if not isinstance(told, dict):
        return told
    ((kind, inner),) = told.items()
    if kind == "dict":
        return {key: _value(part, storages, path) for key, part in inner}
    if kind == "namespace":
        made = argparse.Namespace()
        vars(made).update(_value(inner, storages, path))
        return made
    if kind in ("list", "tuple"):
        parts = [_value(part, storages, path) for part in inner]
        return parts if kind == "list" else tuple(parts)
    if kind in ("path", "windows"):
        pure: type[PurePath] = PureWindowsPath if kind == "windows" else PurePosixPath
        return pure(*inner)
    return _tensor(inner, storages, path)


def _tensor(told: Mapping[str, Any], storages: list[bytearray], path: Path) -> Tensor:
    dtype = _DTYPES.get(told["dtype"])
    if dtype is None:
        raise CheckpointError(f"{path}: a tensor of {told['dtype'][:40]}, not plain numbers")
    data = storages[told["storage"]]
    if not data:
        return torch.empty(told["size"], dtype=dtype)
    flat = torch.frombuffer(data, dtype=dtype, count=len(data) // dtype.itemsize)
    return flat.as_strided(told["size"], told["stride"], told["offset"])


_reader = _Reader()
_lock = threading.Lock()


@atexit.register
def end_reader() -> None:
    """End the process that reads checkpoints, if there is one."""
    _reader.end()
