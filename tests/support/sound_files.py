"""Sound files of every kind, made by FFmpeg (PyAV) and libsndfile."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def words(seconds: float, rate: int = 16000, seed: int = 0) -> FloatArray:
    """(n,) something like speech: bursts of a buzz between 100 and 4000 Hz, four a second."""
    time = np.arange(int(seconds * rate)) / rate
    rng = np.random.default_rng(seed)
    pitch = 110 + 30 * np.sin(2 * np.pi * 0.7 * time + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    most = min(4000, rate // 2 - 200)
    buzz = sum(np.sin(k * phase) / k**0.5 for k in range(1, most // 140))
    loud = np.clip(np.sin(2 * np.pi * 4 * time + seed), 0, 1) * (
        np.sin(2 * np.pi * 0.3 * time) > -0.6
    )
    return (0.08 * buzz * loud + 1e-4 * rng.standard_normal(len(time))).astype(np.float32)


def encode(
    path: Path,
    codec: str,
    samples: FloatArray,
    rate: int,
    *,
    muxer: str | None = None,
    layout: str = "mono",
    bit_rate: int = 96_000,
    codec_options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
    first_pts: int = 0,
    picture_seconds: float = 0.0,
    gap: tuple[int, int] = (0, 0),
) -> Path:
    """Write (n,) or (n, channels) samples with one of FFmpeg's encoders.

    Args:
        first_pts: at which sample of the file's clock the sound begins.
        picture_seconds: so much of a small moving picture beside it, 25 a second.
        gap: at this sample the clock jumps on by so many.
    """
    rows = samples.reshape(len(samples), -1)
    with av.open(str(path), "w", format=muxer, options=muxer_options or {}) as container:
        if picture_seconds:
            picture = container.add_stream("mpeg4", rate=25)
            picture.width = picture.height = 16
            picture.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=rate, options=codec_options or {})
        stream.layout = layout
        stream.bit_rate = bit_rate
        if picture_seconds:
            for number in range(int(picture_seconds * 25)):
                frame = av.VideoFrame.from_ndarray(
                    np.full((16, 16, 3), number % 250, np.uint8), format="rgb24"
                )
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        size = stream.codec_context.frame_size or 960
        kind = stream.codec_context.format.name
        for start in range(0, len(rows), size):
            block = np.ascontiguousarray(rows[start : start + size])
            if kind[:3] in ("s16", "s32"):
                bits = int(kind[1:3])
                block = np.rint(block * (2.0 ** (bits - 1) - 256)).astype(f"int{bits}")
            planar = kind.endswith("p")
            values = np.ascontiguousarray(block.T) if planar else block.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(values, format=kind, layout=layout)
            frame.rate = rate
            frame.pts = first_pts + start + (gap[1] if start >= gap[0] else 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def without_lengths(path: Path, subtype: str = "PCM_16") -> bytes:
    """A WAV file as a program leaves it that writes into a pipe: sizes of 0."""
    data = bytearray(path.read_bytes())
    at = data.find(b"data")
    if data[:4] == b"RF64":
        begin = data.find(b"ds64") + 8
        data[begin : begin + 28] = bytes(28)
    else:
        data[at + 4 : at + 8] = struct.pack("<I", 0)
        data[4:8] = struct.pack("<I", 0)
    return bytes(data)


def wave(path: Path, samples: FloatArray, rate: int = 16000, **kind: str) -> Path:
    """A file by libsndfile."""
    soundfile.write(path, samples, rate, **kind)
    return path
