"""The streams of a film: which encoder makes its pictures and its sound, and how it is set."""

from __future__ import annotations

from typing import Any

from head.errors import FileError

# The first that this build of FFmpeg has; x264 is in PyAV's wheels.
ENCODERS = {
    "libx264": {
        "preset": "veryfast",
        "crf": "18",
        "bf": "0",
        "tune": "zerolatency",
        "threads": "2",
    },
    "libopenh264": {"b": "4000000"},
    "h264_videotoolbox": {"b": "4000000"},
    "mpeg4": {"qscale": "3"},
}
ALPHA_ENCODERS = {
    ".webm": ("libvpx-vp9", "yuva420p", {"b": "0", "crf": "24", "deadline": "realtime",
                                         "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"}),
    ".mov": ("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0"}),
}  # fmt: skip
"""By the file's ending: films that may be transparent."""
BT601, LIMITED_RANGE = 6, 1  # FFmpeg's numbers; unnamed, large pictures are taken for BT.709


def video_stream(av: Any, container: Any, width: int, height: int, fps: int) -> Any:
    """A stream of opaque pictures, `width` x `height` pixels, in an mp4.

    Raises:
        FileError: this build of PyAV has none of ENCODERS.
    """
    for name, options in ENCODERS.items():
        if name in av.codecs_available:
            stream = container.add_stream(name, rate=fps, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            codec = stream.codec_context
            codec.gop_size = fps
            codec.colorspace, codec.color_range = BT601, LIMITED_RANGE  # as the conversion does it
            return stream
    raise FileError("this build of PyAV has no video encoder; reinstall it with `pip install av`")


def alpha_stream(av: Any, container: Any, size: tuple[int, int], fps: int, ending: str) -> Any:
    """A stream of pictures that may be transparent, (width, height) pixels, by the file's ending.

    Raises:
        FileError: this build of PyAV has no encoder for it.
    """
    name, pixels, options = ALPHA_ENCODERS[ending]
    if name not in av.codecs_available:
        raise FileError(f"this build of PyAV has no {name} for {ending} films: take another ending")
    stream = container.add_stream(name, rate=fps, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = pixels
    stream.codec_context.gop_size = fps
    return stream


def audio_stream(container: Any, sample_rate: int, form: str = "mp4") -> Any:
    """A stream of mono sound, in the codec of the container `form`."""
    codec = {"webm": "libopus", "mov": "pcm_s16le"}.get(form, "aac")
    stream = container.add_stream(codec, rate=sample_rate, layout="mono")
    if codec != "pcm_s16le":
        stream.bit_rate = 96_000
    return stream
