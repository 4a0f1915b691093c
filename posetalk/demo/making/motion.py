"""Write `motion_STYLE.npz`, clips of motion to try `posetalk style extract` with.

    python -m posetalk.demo.making.motion        # needs `flite` (apt-get install flite)

The motion comes from the label model of `training/labels/labels.py`: nobody was recorded.  It moves
the built-in head and speaks sentences of our own, with the phone times of a flite voice.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from head.rig import builtin_head
from posetalk.formats.motion_file import Motion

if TYPE_CHECKING:
    from training.labels.label_styles import SpeakingStyle

FOLDER = Path(__file__).parents[1]
STYLES = ("lively", "calm", "cheerful", "serious")
VOICE = "slt"
FRAME = 640
TEXT = (
    "Nobody was filmed for this clip. A few rules turn the sounds of speech into lips and jaw, and "
    "the melody of the voice into brows and nods. Every speaker has habits of their own: one opens "
    "the mouth wide, another hardly moves. Whoever watches it for four seconds knows it, and "
    "so does the encoder that reads this file. Please pick one, and make somebody else speak so."
)


def speak(path: Path, text: str = TEXT, voice: str = VOICE) -> list[tuple[str, float, float]]:
    """Say a text into a sound file; (phone, start s, length s) as it was said."""
    from training.labels.phones import canonical

    said = subprocess.run(
        ["flite", "-voice", voice, "-t", text, "-psdur", "-o", str(path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    phones, start = [], 0.0
    for item in said.split():
        name, _, end = item.rpartition(":")
        phones.append((canonical(name), start, float(end) - start))
        start = float(end)
    return phones


def moved(
    styles: Mapping[str, SpeakingStyle], text: str = TEXT, voice: str = VOICE
) -> Iterator[tuple[str, Motion]]:
    """How each of `styles` moves the built-in head while the text is said."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        phones = speak(Path(folder) / "said.wav", text, voice)
        samples, _ = soundfile.read(Path(folder) / "said.wav", dtype="float32")
    yield from moved_by(styles, phones, samples)


def moved_by(
    styles: Mapping[str, SpeakingStyle],
    phones: Sequence[tuple[str, float, float]],
    samples: NDArray[np.float32],
) -> Iterator[tuple[str, Motion]]:
    """How each of `styles` moves the built-in head in a speech.

    Args:
        styles: by name.
        phones: (phone, start s, length s) of the speech.
        samples: (n,) its sound, mono at 16 kHz.
    """
    from training.labels.labels import make_motion
    from training.labels.prosody import extract_prosody

    frames = len(samples) // FRAME
    prosody = extract_prosody(samples[: frames * FRAME])
    for seed, (name, style) in enumerate(styles.items()):
        rows = make_motion(list(phones), frames, style, np.random.default_rng(seed), prosody)
        pose = np.concatenate([rows[:, 50:], np.zeros((frames, 2), np.float32)], -1)
        shape = np.zeros(100, np.float32)
        yield name, Motion(rows[:, :50], pose, shape, 25, builtin_head().id)


def main() -> None:
    """Write the clips and say how long they are."""
    from training.labels.label_styles import STYLES as KNOWN

    for name, motion in moved({name: KNOWN[name] for name in STYLES}):
        path = FOLDER / f"motion_{name}.npz"
        motion.save(path)
        print(f"{path}: {len(motion) / 25:.1f} s, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
