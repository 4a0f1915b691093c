"""Write `speech.flac`, the demo speech: four free synthetic voices that welcome the user.

    python -m posetalk.demo.making.speech        # needs `flite` (apt-get install flite)

Flite and its voices (slt, rms, awb, kal16) come from Carnegie Mellon University under a BSD-like
licence; the sentences are our own.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream.frames import SAMPLE_RATE

if TYPE_CHECKING:
    from posetalk.formats.motion_file import Motion
    from training.labels.label_styles import SpeakingStyle

OUTPUT = Path(__file__).parents[1] / "speech.flac"
PAUSE_SECONDS = 0.45
LOUDNESS = 0.08
"""Root mean square of every sentence: the voices come at different levels."""

LINES = (
    ("slt", "Hello, and welcome to pose talk. There is no microphone, so I speak for myself."),
    ("rms", "All that moves here follows the sound: lips, jaw, brows and head."),
    ("awb", "Papa will buy five very big maps before the boat moves off."),
    ("kal16", "Who would have thought? You do not need to wait for a sentence to end."),
    ("slt", "Now plug in a microphone, and it is your turn to speak."),
)


def speak(voice: str, text: str) -> NDArray[np.float32]:
    """Synthesise one sentence: (n,) mono at 16 kHz, at one loudness for every voice."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        samples, rate = soundfile.read(path, dtype="float32")
    assert rate == SAMPLE_RATE, f"{voice} speaks at {rate} Hz"
    level = float(np.sqrt(np.mean(samples[np.abs(samples) > 0.01] ** 2)))
    return np.asarray(samples * (LOUDNESS / level), np.float32)


def moved(styles: Mapping[str, SpeakingStyle]) -> Iterator[tuple[str, Motion]]:
    """How each of `styles` moves the built-in head while it says the demo speech."""
    import soundfile

    from posetalk.demo.making.motion import moved_by
    from posetalk.demo.making.motion import speak as said

    samples, _ = soundfile.read(OUTPUT, dtype="float32")
    phones, start = [], PAUSE_SECONDS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        for voice, text in LINES:
            phones += [(name, start + at, length) for name, at, length in said(path, text, voice)]
            start += soundfile.info(path).duration + PAUSE_SECONDS
    yield from moved_by(styles, phones, samples)


def main() -> None:
    """Write the file and say how long it is."""
    import soundfile

    pause = np.zeros(int(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    parts = [pause]
    for voice, text in LINES:
        parts += [speak(voice, text), pause]
    speech = np.clip(np.concatenate(parts), -0.99, 0.99)
    soundfile.write(OUTPUT, speech, SAMPLE_RATE, subtype="PCM_16")
    print(f"{OUTPUT}: {len(speech) / SAMPLE_RATE:.1f} s, {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
