"""`posetalk bench a2f`: streams of NVIDIA's Audio2Face-3D clients at once, against `serve --a2f`.

The server is the command itself, in a process of its own; the client, NVIDIA's stubs, is this one,
on the same cores.  Every stream sends the demo speech in pieces of 40 ms at the pace of time, one
clip after the other, each from another place on and at another moment.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.harness.environment import describe, environment
from benchmarks.harness.processes import BenchmarkError
from benchmarks.harness.server_process import live_settings, open_model
from benchmarks.harness.setting import Setting
from benchmarks.latency.live_run import waiting
from benchmarks.latency.many_sessions import GOLDEN, demo
from benchmarks.latency.percentiles import distribution
from head.files.json_file import write_json
from stream.backends.names import BackendName
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from stream.sources.pcm import to_int16

PIECE_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
START_SECONDS = 60.0
PACKAGES = ("grpcio", "nvidia-ace", "nvidia-audio2face-3d")
GROWTH_MS = 40.0
"""Frames that are so much older at a clip's end than at its beginning have fallen behind."""


@dataclass
class Heard:
    """What came of one clip: `first` and `ages` in milliseconds, frame by frame."""

    expected: int
    first: float = float("nan")
    ages: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def growth(self) -> float:
        """How much older the last fifth of the frames is than the first: milliseconds."""
        part = max(1, len(self.ages) // 5)
        if not self.ages:
            return 0.0
        return float(np.median(self.ages[-part:]) - np.median(self.ages[:part]))


@dataclass(frozen=True)
class A2F:
    """Measure streams of Audio2Face-3D clients; prints it, and writes JSON for the page.

    Needs the extra `a2f`, and the machine to itself: client and server share its cores.
    """

    streams: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N ...")] = (12, 20)
    """How many at once, one run for each."""
    seconds: Annotated[float, tyro.conf.arg(metavar="N")] = 60.0
    """Of a run."""
    clip: Annotated[float, tyro.conf.arg(metavar="N")] = 5.0
    """Seconds of speech in a clip."""
    bundle: Annotated[str, tyro.conf.arg(metavar="starter|DIR")] = "starter"
    """Weights."""
    backend: BackendName = "auto"
    """What runs the model."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there, for `posetalk bench page`."""

    def run(self) -> dict[str, Any]:
        """Measure; returns what `--json` writes."""
        if self.json is not None and not self.json.resolve().parent.is_dir():
            raise BenchmarkError(f"--json {self.json}: there is no such folder")
        if min(self.streams, default=0) < 1 or not 0.2 <= self.clip <= self.seconds:
            raise BenchmarkError("--streams are 1 or more, --clip 0.2 to --seconds")
        results = environment("a2f")
        results["versions"] |= _versions()
        print("\n".join(describe(results)), flush=True)
        model = open_model(Setting(backend=self.backend, bundle=self.bundle))
        results["live"] = live_settings(model.session)
        results["clip_seconds"], results["at_once"] = self.clip, []
        for streams in self.streams:
            with waiting(f"{streams} streams: {self.seconds:.0f} s"), self._server(streams) as port:
                heard = asyncio.run(talk(port, streams, self.seconds, self.clip))
            results["at_once"].append({"streams": streams, **summarise(heard, self.seconds)})
            print(report(results["at_once"][-1]), flush=True)
        if self.json is not None:
            write_json(self.json, results)
        return results

    @contextmanager
    def _server(self, streams: int) -> Iterator[int]:
        """The command, serving; yields its port."""
        command = [sys.executable, "-P", "-m", "posetalk", "serve", "--source", "none"]
        command += ["--port", "0", "--a2f", "0", "--sessions", str(streams)]
        command += ["--bundle", self.bundle, "--backend", self.backend]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            said = ""
            for line in server.stderr:
                said = line
                if found := re.search(r"Audio2Face-3D at http://127\.0\.0\.1:(\d+)", line):
                    yield int(found[1])
                    break
            else:
                raise BenchmarkError(f"the server did not start: {said.strip()}")
        finally:
            server.terminate()
            server.communicate(timeout=START_SECONDS)


def _versions() -> dict[str, str]:
    import importlib.metadata

    return {name: importlib.metadata.version(name) for name in PACKAGES}


async def talk(port: int, streams: int, seconds: float, clip: float) -> list[Heard]:
    """Clips of all streams, one after the other in each, until `seconds` have passed."""
    import grpc
    from nvidia_audio2face_3d import audio2face_pb2_grpc

    speech = to_int16(demo())
    heard: list[Heard] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = audio2face_pb2_grpc.A2FControllerServiceStub(channel)
        await one_clip(stub, speech[:SAMPLE_RATE])  # the connection is made before the clock runs
        began = time.perf_counter()

        async def lane(number: int) -> None:
            await asyncio.sleep(number * GOLDEN % 1.0)
            place = number
            while time.perf_counter() - began < seconds:
                own = np.roll(speech, -place * SAMPLE_RATE)[: int(clip * SAMPLE_RATE)]
                heard.append(await one_clip(stub, own))
                place += streams

        await asyncio.gather(*(lane(number) for number in range(streams)))
    return heard


async def one_clip(stub: Any, speech: NDArray[np.int16]) -> Heard:
    """Send one clip at the pace of time, and note when each frame comes."""
    from nvidia_ace import audio_pb2
    from nvidia_audio2face_3d import messages_pb2 as wire

    pieces = [speech[at : at + FRAME_SAMPLES] for at in range(0, len(speech), FRAME_SAMPLES)]
    heard, began = Heard(len(pieces)), time.perf_counter()

    async def requests() -> AsyncIterator[Any]:
        header = audio_pb2.AudioHeader(
            channel_count=1, samples_per_second=SAMPLE_RATE, bits_per_sample=16
        )
        yield wire.AudioWithEmotionStream(
            audio_stream_header=wire.AudioWithEmotionStreamHeader(audio_header=header)
        )
        for number, piece in enumerate(pieces):
            due = began + (number + 1) * PIECE_SECONDS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            audio = wire.AudioWithEmotion(audio_buffer=piece.tobytes())
            yield wire.AudioWithEmotionStream(audio_with_emotion=audio)
        yield wire.AudioWithEmotionStream(end_of_audio=wire.AudioWithEmotionStream.EndOfAudio())

    async for message in stub.ProcessAudioStream(requests()):
        now = 1e3 * (time.perf_counter() - began)
        heard.size += message.ByteSize()
        if message.WhichOneof("stream_part") == "animation_data":
            if not heard.ages:
                heard.first = now
            code = message.animation_data.skel_animation.blend_shape_weights[0].time_code
            heard.ages.append(now - 1e3 * (code + PIECE_SECONDS / 2))
    return heard


def summarise(heard: Sequence[Heard], seconds: float) -> dict[str, Any]:
    """The figures of one run.

    The last frames of a clip come without the sound that others wait for: they count as received,
    and not in the ages, where they would flatter.
    """
    ages = np.concatenate([np.array(clip.ages[: len(clip.ages) - 3]) for clip in heard])
    frames = sum(len(clip.ages) for clip in heard)
    expected = sum(clip.expected for clip in heard)
    growth = max(clip.growth for clip in heard)
    spoken = expected / FPS
    return {
        "seconds": seconds,
        "clips": len(heard),
        "frames": {"expected": expected, "received": frames},
        "first_frame_ms": distribution(np.array([clip.first for clip in heard]) / 1e3),
        "age_ms": distribution(ages / 1e3),
        "growth_ms": round(growth, 1),
        "in_real_time": bool(frames == expected and growth < GROWTH_MS),
        "kilobytes_a_second": round(sum(clip.size for clip in heard) / spoken / 1e3, 2),
    }


def report(run: dict[str, Any]) -> str:
    """One run as a line."""
    first, age = run["first_frame_ms"], run["age_ms"]
    return (
        f"{run['streams']} streams, {run['clips']} clips: first frame p50 {first['p50']:.1f}, "
        f"p99 {first['p99']:.1f} ms; age of a frame p50 {age['p50']:.1f}, p99 {age['p99']:.1f} ms; "
        f"{run['frames']['received']} of {run['frames']['expected']} frames, "
        + ("in real time" if run["in_real_time"] else "fell behind")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 2 wrong usage; raises what `benchmarks.__main__` explains."""
    tyro.cli(A2F, prog="posetalk bench a2f", args=arguments).run()
    return 0
