"""A bundle on people, microphones and rooms that it never heard: `posetalk evaluate
--report outside`.

Whole corpora that judge come first, each figure with its interval over clips: a bundle that is
excellent on its own corpora and not on anybody else's recording is told here.  Then levels: a
quiet voice must not shut the mouth, nor latch it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.geometry.measure import lip_gap
from head.rig import builtin_head
from stream.backends.protocol import Backend
from stream.backends.registry import load_backend
from stream.core.options import SessionOptions
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from training.corpora.people import JUDGES, TRANSCRIPTS, read_voices, training_people
from training.corpora.utterances import Utterance, load_audio
from training.evaluation.face import Face
from training.evaluation.heldout import STYLE, HeldoutClip, stream_all
from training.evaluation.motion_metrics import CLOSED_MM, Measured, measure_vertices, summary, total
from training.labels.label_styles import STYLES
from training.labels.labels import make_motion
from training.labels.lip_contact import LIVE_LOOKAHEAD_SECONDS
from training.labels.phones import VOWELS, tidy
from training.labels.prosody import extract_prosody
from training.speech import augment, lines

Samples = NDArray[np.float32]
Disturb = Callable[[Samples, np.random.Generator], Samples]

CONDITIONS: dict[str, Disturb] = {
    "clean": lambda samples, rng: samples,
    "pink noise at 10 dB": lambda samples, rng: augment.mix(samples, pink(len(samples), rng), 10.0),
    "telephone": lines.telephone,
    "room, RT60 0.6 s": lambda samples, rng: lines.measured_room(samples, rng, rt60=0.6),
}
LEVELS_DB = (-17.0, -37.0, -43.0, -49.0)
LATCHED_SECONDS = 1.0
"""Lips that stay shut for so long over at least LATCHED_VOWELS vowels are latched."""
LATCHED_VOWELS = 4
FIGURES = {
    "closures": "P/B/M closed, %",
    "vowels_closed": "vowels closed, %",
    "silent_open": "silence open, %",
    "labiodentals": "F/V met, %",
    "rounding": "rounding, % of the label's",
    "tongue": "tongue at TH, % of the label's",
    "gap_r": "aperture r with the label",
}
BY_LOOKAHEAD = ("clean", "pink noise at 10 dB")
"""What is also measured with other lookaheads than the bundle's."""
DRAWS = 400


@dataclass(frozen=True)
class OutsideReportSettings:
    """What is measured: a bundle on corpora that it did not learn from."""

    bundle: str = "starter"
    corpora: tuple[str, ...] = tuple(sorted(JUDGES))
    """Add `vctk` for a bundle of a reverse run that left it out, or `choosers`: the people of the
    training corpora by whom one chooses, whom nothing learns from."""
    transcripts: Path = TRANSCRIPTS
    """Folder of `posetalk train transcripts`, for what choosers say."""
    clips: int = 100
    """At most so many of each corpus, spread evenly over it."""
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    levels: bool = True
    lookaheads: tuple[int, ...] = (5, 1, 0)
    """Besides the bundle's own, frames: the presets `careful` and `fast`, and nothing."""


def pink(length: int, rng: np.random.Generator) -> Samples:
    """Noise whose power falls with frequency, of unit deviation."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 40.0))
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / (np.std(noise) + 1e-9), np.float32)


def spoken(corpus: str, transcripts: Path = TRANSCRIPTS) -> list[Utterance]:
    """The utterances of a corpus, or of the choosers of all that are learned from."""
    if corpus != "choosers":
        return read_voices(corpus)
    people = training_people(transcripts=transcripts, choosers=True)
    return [utterance for groups in people.values() for own in groups for utterance in own]


def judged(utterance: Utterance, disturb: Disturb) -> HeldoutClip:
    """An utterance with its label, as heard through something; its chance is its own."""
    rng = np.random.default_rng(zlib.crc32(utterance.id.encode()))
    samples = load_audio(utterance)
    prosody = extract_prosody(samples)
    n = len(samples) // FRAME_SAMPLES
    label = make_motion(
        utterance.phones, n, STYLES[STYLE], rng, prosody, lookahead=LIVE_LOOKAHEAD_SECONDS
    )
    heard = lines.coarse(np.clip(disturb(samples, rng), -1.0, 1.0))
    return HeldoutClip(heard[: n * FRAME_SAMPLES], label, tidy(utterance.phones, prosody))


def spread(found: Sequence[Utterance], most: int) -> list[Utterance]:
    """At most so many, evenly from all."""
    places = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    return [found[place] for place in places]


def measured(
    model: Backend, clips: Sequence[HeldoutClip], options: SessionOptions | None = None
) -> tuple[list[Measured], int]:
    """What each clip's live motion measures, and in how many the mouth latches."""
    face = Face.of(builtin_head())
    parts, latches = [], 0
    for run, clip in zip(stream_all(model, clips, options), clips, strict=True):
        ours, truth = face.vertices(run), face.vertices(clip.label)
        parts.append(
            measure_vertices(
                face.part, ours, truth, run, clip.label, clip.phones, model.spec.live.hop
            )
        )
        latches += latched(1000.0 * np.asarray(lip_gap(face.part, ours)), clip)
    return parts, latches


def latched(gap: NDArray[np.floating], clip: HeldoutClip) -> bool:
    """Whether the lips (n,) mm stay shut over some vowels on end that the label opens."""
    frames = [k for p in clip.phones if p.name in VOWELS and (k := int(p.middle * FPS)) < len(gap)]
    shut = np.asarray(gap) < CLOSED_MM
    for i in range(len(frames) - LATCHED_VOWELS + 1):
        first, last = frames[i], frames[i + LATCHED_VOWELS - 1]
        if last - first >= LATCHED_SECONDS * FPS / 2 and shut[first : last + 1].all():
            return True
    return False


def interval(parts: Sequence[Measured], figure: str) -> tuple[float, float, float]:
    """A figure over all clips, and its 95 % interval over draws of clips."""
    rng = np.random.default_rng(0)
    drawn = [
        summary(total([parts[i] for i in rng.integers(len(parts), size=len(parts))]))[figure]
        for _ in range(DRAWS)
    ]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return summary(total(parts))[figure], float(low), float(high)


def row(corpus: str, condition: str, parts: Sequence[Measured], latches: int) -> str:
    """A line of the table."""
    cells = []
    for figure in FIGURES:
        middle, low, high = interval(parts, figure)
        digits = 2 if figure == "gap_r" else 0
        cells.append(f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})")
    closures = sum(part.closures for part in parts)
    return f"| {corpus} | {condition} | {closures} | " + " | ".join(cells) + f" | {latches} |"


def report(model: Backend, settings: OutsideReportSettings) -> str:
    """The table."""
    out = [
        "| corpus | heard | closures | " + " | ".join(FIGURES.values()) + " | clips with a latch |",
        "|---|---|---:|" + "---|" * len(FIGURES) + "---:|",
    ]
    ways: dict[str, Disturb] = {name: CONDITIONS[name] for name in settings.conditions}
    if settings.levels:
        for decibels in LEVELS_DB:
            ways[f"speech at {decibels:.0f} dBFS"] = _level(decibels)
    for corpus in settings.corpora:
        chosen = spread(spoken(corpus, settings.transcripts), settings.clips)
        for name, way in ways.items():
            clips = [judged(utterance, way) for utterance in chosen]
            out.append(row(corpus, name, *measured(model, clips)))
            for lookahead in settings.lookaheads if name in BY_LOOKAHEAD else ():
                other = measured(model, clips, SessionOptions(lookahead=lookahead))
                out.append(row(corpus, f"{name}, lookahead {lookahead}", *other))
    return "\n".join(out)


def _level(decibels: float) -> Disturb:
    return lambda samples, rng: lines.at_level(samples, decibels)


def main(settings: OutsideReportSettings) -> None:
    """Print the table."""
    model = load_backend("auto", settings.bundle)
    print(f"Bundle {settings.bundle} ({model.bundle_hash[:12]}), live defaults.\n")
    print(report(model, settings), flush=True)
