"""One clip of a client: its sound in, at any rate, and the same sound back in pieces of a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from stream.frames import FPS, FRAME_SAMPLES
from stream.serve.client.pushed_audio import MOST_CHANNELS, rate_fault
from stream.sources.pcm import LiveResampler, ResamplingFilter, from_int16, mono

Floats = NDArray[np.float32]

BITS = 16
SAMPLE_BYTES = BITS // 8


def format_fault(is_pcm: bool, rate: int, channels: int, bits: int) -> str | None:
    """Why sound of this format is not taken; None: it is."""
    if not is_pcm or bits != BITS:
        return f"sound is PCM of {BITS} bits: set audio_format and bits_per_sample so"
    if not 1 <= channels <= MOST_CHANNELS:
        return f"channel_count must be 1 to {MOST_CHANNELS}"
    return rate_fault(rate, "samples_per_second")


class SpeechClip:
    """The sound of one stream.  No clock, no threads.

    Args:
        rate, channels: of the signed 16-bit samples that come; see `format_fault`.
        filter: to 16 kHz, for that rate.

    Attributes:
        samples: at the client's rate, taken so far.
        frames: of which the sound was given back.
    """

    def __init__(
        self, rate: int, channels: int = 1, filter: ResamplingFilter | None = None
    ) -> None:
        self.rate, self.channels = rate, channels
        self._resampler = LiveResampler(rate, filter)
        self._frame_bytes = rate // FPS * channels * SAMPLE_BYTES
        self._held = bytearray()
        self._given = 0  # samples at 16 kHz
        self.samples = self.frames = 0

    def pieces(self, data: bytes, samples: int) -> list[bytes]:
        """`data` in pieces of so many samples at most.

        Raises:
            ValueError: it is not whole samples; one sentence.
        """
        step = SAMPLE_BYTES * self.channels
        if len(data) % step:
            raise WrongValue(f"{len(data)} bytes are no whole samples of {step} bytes")
        length = samples * step
        return [data[at : at + length] for at in range(0, len(data), length)]

    def take(self, piece: bytes) -> Floats:
        """A piece of sound -> (m,) samples at 16 kHz that are complete by now."""
        self._held += piece
        heard = from_int16(np.frombuffer(piece, "<i2"))
        self.samples += len(heard) // self.channels
        made = self._resampler.feed(mono(heard.reshape(-1, self.channels)))
        self._given += len(made)
        return made

    def finish(self) -> Floats:
        """The sound is over: (m,) samples at 16 kHz, up to the end of its last frame."""
        frames = -(-self.samples * FPS // self.rate)
        rest = self._resampler.finish()[: frames * FRAME_SAMPLES - self._given]
        return np.concatenate(
            [rest, np.zeros(frames * FRAME_SAMPLES - self._given - len(rest), np.float32)]
        )

    def sound(self) -> bytes:
        """What the client sent for the next frame; shorter for the last one."""
        taken = bytes(self._held[: self._frame_bytes])
        del self._held[: self._frame_bytes]
        self.frames += 1
        return taken
