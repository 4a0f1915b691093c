"""Sound to go with the picture: the server's audio on the loudspeaker, in step with the play-out.

The sound has its own clock (the device's), so it runs on by itself and is set anew only where it
has drifted too far from the picture; a viewer notices sound that is early by 45 ms.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from head.errors import PosetalkError
from stream.frames import SAMPLE_RATE

if TYPE_CHECKING:
    from viewer.client.watching import Sound

logger = logging.getLogger(__name__)

DRIFT_SECONDS = 0.04
HELD_SECONDS = 10.0
BLOCK_SECONDS, LATENCY_SECONDS = 0.02, 0.06  # "low" stutters on sound servers


class SpeakerError(PosetalkError, RuntimeError):
    """There is nothing to play sound on; one line that says why."""


class SoundTrack:
    """Sound by sample index, and where on it the loudspeaker is. Pure: the time is an argument.

    `read` runs on the audio device's thread, the rest on the viewer's.
    """

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        self.rate = rate
        self.jumps = 0
        self._pieces: deque[tuple[int, NDArray[np.float32]]] = deque()
        self._anchor: tuple[float, float] | None = None  # (time, sample that is shown then)
        self._cursor: int | None = None
        self._lock = threading.Lock()

    def add(self, sample: int, samples: NDArray[np.float32]) -> None:
        """Hold (n,) samples from index `sample` on, the latest ten seconds of them."""
        with self._lock:
            self._pieces.append((sample, samples))
            while sample - self._pieces[0][0] > HELD_SECONDS * self.rate:
                self._pieces.popleft()

    def follow(self, now: float, position: float) -> None:
        """Sample `position` is being shown at `now`."""
        with self._lock:
            self._anchor = (now, position)

    def clear(self) -> None:
        """Forget everything: a new timeline begins."""
        with self._lock:
            self._pieces.clear()
            self._anchor = self._cursor = None

    def read(self, count: int, heard: float) -> NDArray[np.float32]:
        """The next (count,) samples, the first of which is heard at the time `heard`."""
        out = np.zeros(count, np.float32)
        with self._lock:
            if self._anchor is None:
                return out
            shown_at, position = self._anchor
            wanted = round(position + (heard - shown_at) * self.rate)
            if self._cursor is None or abs(wanted - self._cursor) > DRIFT_SECONDS * self.rate:
                self.jumps += self._cursor is not None
                self._cursor = wanted
            for start, samples in self._pieces:
                first = max(start, self._cursor)
                last = min(start + len(samples), self._cursor + count)
                if first < last:
                    out[first - self._cursor : last - self._cursor] = samples[
                        first - start : last - start
                    ]
            self._cursor += count
        return out


class Loudspeaker:
    """The default loudspeaker. Raises SpeakerError where there is none."""

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        self.track = SoundTrack(rate)
        try:
            import sounddevice

            self._stream: Any = sounddevice.OutputStream(
                samplerate=rate,
                channels=1,
                dtype="float32",
                blocksize=round(rate * BLOCK_SECONDS),
                latency=LATENCY_SECONDS,
                callback=self._fill,
            )
            self._stream.start()
        except Exception as error:  # OSError without PortAudio, PortAudioError without a device
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SpeakerError(f"no loudspeaker ({reason})") from None

    def _fill(self, out: NDArray[np.float32], count: int, _time: Any, _status: Any) -> None:
        out[:, 0] = self.track.read(count, time.monotonic() + float(self._stream.latency))

    def hear(self, sound: Sound) -> None:
        """Play this where its time comes."""
        self.track.add(sound.sample, sound.samples)

    def close(self) -> None:
        """Fall silent."""
        self._stream.close(ignore_errors=True)
