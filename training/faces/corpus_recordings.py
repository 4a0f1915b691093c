"""The phone-timed speech corpora as recordings: `posetalk train recordings --out DIR`.

Writes DIR/PERSON/NAME.flac with NAME.npz, and val.txt and test.txt, for `posetalk dataset build`.
Nobody was filmed: the motion comes from the label model (`training.labels.labels`), so a person
here is a speaking style.  People to hold out speak with voices that are held out, too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from head.rig import builtin_head
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from training.corpora.utterances import Utterance, held_out_voices
from training.labels.label_styles import STYLES, SpeakingStyle, random_style
from training.labels.labels import make_motion
from training.labels.prosody import extract_prosody
from training.speech.track import join

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordingSettings:
    """How many people, and how much each of them says."""

    out: Path
    """Folder to write."""
    people: int = 48
    """People to train on: every named style, then random ones."""
    held_out: int = 6
    """More people for validation, and as many for the test."""
    videos: int = 4
    """Recordings of each."""
    seconds: float = 24.0
    """Length of a recording, about."""
    seed: int = 0
    """Seed of everything that is drawn."""


def main(settings: RecordingSettings) -> None:
    """Write the recordings."""
    known, unknown = held_out_voices()
    rng = np.random.default_rng(settings.seed)
    styles = list(STYLES.values())[: settings.people]
    total = settings.people + 2 * settings.held_out
    styles += [random_style(rng) for _ in range(total - len(styles))]
    held: dict[str, list[str]] = {"val": [], "test": []}
    for number, style in enumerate(styles):
        named = style.name if number < len(STYLES) else f"style{number:03d}"
        voices = known
        if number >= settings.people:
            held["val" if number < settings.people + settings.held_out else "test"].append(named)
            voices = unknown
        for video in range(settings.videos):
            _record(settings, named, style, video, voices, [settings.seed, number, video])
        log.info("%s (%d of %d)", named, number + 1, total)
    for split, names in held.items():
        (settings.out / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


def _record(
    settings: RecordingSettings,
    person: str,
    style: SpeakingStyle,
    video: int,
    voices: list[Utterance],
    seed: list[int],
) -> None:
    """One recording of a person, in one voice; a pure function of its seed."""
    rng = np.random.default_rng(seed)
    first = voices[int(rng.integers(len(voices)))]
    # The many-speaker sets do not say who speaks: a voice of theirs is one clip, again and again.
    single = [u for u in voices if u.speaker_set == first.speaker_set]
    group = single if first.speaker_set == "kathleen_cc0" else [first]
    samples, phones = join(group, settings.seconds, rng)
    n = len(samples) // FRAME_SAMPLES
    samples = samples[: n * FRAME_SAMPLES]
    motion = make_motion(phones, n, style, rng, extract_prosody(samples))
    folder = settings.out / person
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        folder / f"{video:02d}.flac", np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16"
    )
    np.savez_compressed(
        folder / f"{video:02d}.npz",
        exp=motion[:, :50],
        pose=np.pad(motion[:, 50:], ((0, 0), (0, 2))),
        shape=np.zeros(100, np.float32),
        fps=FPS,
        head=np.array(builtin_head().id),
    )
