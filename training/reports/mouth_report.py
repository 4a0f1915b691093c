"""Labels beside real mouths: `posetalk evaluate --report mouths`.

Aperture and width of the built-in head's lips, as the labels move it, against those of people of
GRID, in units of each person's own face: correlation on spoken frames, how far vowels open, how far
the width travels.  Beside them stand the loudness follower and the mean curve by word position,
which the corpus's fixed order of words makes a strong guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from head.geometry.measure import lip_gap, mouth_width
from head.rig import builtin_head
from head.skinning import motion_to_parameters, skin
from stream.backends.protocol import Backend
from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.frames import FRAME_SAMPLES
from training.evaluation.motion_metrics import correlation
from training.faces.mouths.fit import (
    LabelSettings,
    choose,
    constants,
    fitted_constants,
    seen_pairs,
    split,
    travel,
)
from training.faces.mouths.grid import FITTING, JUDGES, MouthClip, read_mouths
from training.faces.mouths.model import LEFT_OUT, vowel_middles
from training.labels.coarticulation import EYES_MM, MOUTH_MM
from training.labels.label_styles import STYLES
from training.labels.labels import make_motion
from training.labels.mouth_constants import MouthConstants
from training.reports.real_faces import compare as compare_take
from training.reports.real_faces import read_takes

Array = NDArray[np.floating]
Maker = Callable[[MouthClip], Array]
"""A clip to (n, 2): aperture over the distance of the eyes, width beyond rest over that at rest."""

APERTURE, WIDTH = 1, 2
STYLE = "neutral"
BINS = 8
"""Parts of a word in the mean curve by word position."""
DRAWS = 400
"""Of clips, for the intervals."""


@dataclass(frozen=True)
class MouthReportSettings:
    """What is measured."""

    judge: bool = False
    """The two people who are for judging only; without, the man's held-out sentences, to choose."""
    bundle: str | None = None
    """A bundle to measure beside the labels, live, and on recorded faces without phone times."""
    steps: int = 400
    """Of the fit that never sees the words that are left out."""


def lips_of(motion: Array) -> Array:
    """(n, 2) aperture and width of (n, 54) motion on the built-in head, in a face's own units."""
    head = builtin_head()
    places = [*head.regions["lip_gap_upper"], *head.regions["lip_gap_lower"]]
    places += [head.landmarks["mouth_left"], head.landmarks["mouth_right"]]
    small = head.subset(np.unique(places))
    expression, _, jaw = motion_to_parameters(motion)
    vertices = skin(small, expression, jaw_pose=jaw)
    gap, width = (1000.0 * np.asarray(f(small, vertices)) for f in (lip_gap, mouth_width))
    return np.stack([gap / EYES_MM, width / MOUTH_MM - 1.0], axis=1)


def labelled(numbers: MouthConstants | None) -> Maker:
    """Labels with some constants (None: those that ship)."""

    def make(clip: MouthClip) -> Array:
        rng = np.random.default_rng(0)
        n = len(clip.known)
        return lips_of(
            make_motion(clip.phones, n, STYLES[STYLE], rng, clip.prosody, numbers=numbers)
        )

    return make


def streamed(backend: Backend, style: str | None) -> Maker:
    """A backend's live motion."""

    def make(clip: MouthClip) -> Array:
        session = Session(backend, style=style)
        n = len(clip.known)
        sound = np.resize(
            np.pad(clip.samples, (0, max(0, FRAME_SAMPLES * n - len(clip.samples)))),
            FRAME_SAMPLES * n,
        )
        frames = session.feed(sound.astype(np.float32)) + session.finish()
        return lips_of(np.stack([frame.motion for frame in frames])[:n])

    return make


def by_position(clips: Sequence[MouthClip]) -> Maker:
    """The mean real curve at each place of each word's position, of other sentences."""

    def place(clip: MouthClip) -> NDArray[np.int_]:
        out = np.full(len(clip.known), -1)
        for k, word in enumerate(clip.words):
            share = (clip.middles - word.start) / (word.end - word.start)
            inside = (share >= 0) & (share < 1)
            out[inside] = k * BINS + (share[inside] * BINS).astype(int)
        return out

    places = np.concatenate([place(clip) for clip in clips])
    curves = np.concatenate([clip.curves for clip in clips])[:, [APERTURE, WIDTH]]
    known = np.concatenate([clip.known for clip in clips])
    means = {int(at): curves[known & (places == at)].mean(0) for at in np.unique(places[known])}
    whole = curves[known].mean(0)
    return lambda clip: np.stack([means.get(int(at), whole) for at in place(clip)])


@dataclass(frozen=True)
class Compared:
    """Generated and real curves (n, 2) of one clip at frames that count, and its vowel middles."""

    person: str
    ours: Array
    real: Array
    vowels: NDArray[np.bool_]


def compare(make: Maker, clips: Sequence[MouthClip], *, words: bool) -> list[Compared]:
    """Each clip's curves inside the words left out of fits, or, without `words`, on all speech."""
    out = []
    for clip in clips:
        mask = clip.known & clip.within(LEFT_OUT) if words else clip.spoken
        real = clip.curves[:, [APERTURE, WIDTH]]
        vowels = vowel_middles(clip)
        out.append(Compared(clip.person, make(clip)[mask], real[mask], vowels[mask]))
    return out


def figures(compared: Sequence[Compared]) -> NDArray[np.float64]:
    """r of aperture and of width, opening and width's travel over the real ones.

    Each is the mean over the people: nobody's measures decide another's.
    """
    each = []
    for person in sorted({c.person for c in compared}):
        own = [c for c in compared if c.person == person]
        ours, real = (np.concatenate([getattr(c, key) for c in own]) for key in ("ours", "real"))
        vowels = np.concatenate([c.vowels for c in own])
        if len(ours) < 10 or not vowels.any():
            continue
        each.append(
            [
                correlation(ours[:, 0], real[:, 0]),
                correlation(ours[:, 1], real[:, 1]),
                ours[vowels, 0].mean() / real[vowels, 0].mean(),
                float(travel(ours)[1] / travel(real)[1]),
            ]
        )
    return np.mean(each, axis=0)


def with_intervals(compared: Sequence[Compared]) -> tuple[Array, Array]:
    """(4,) figures and (2, 4) their 95 % intervals over clips."""
    rng = np.random.default_rng(0)
    drawn = [
        figures([compared[i] for i in rng.integers(len(compared), size=len(compared))])
        for _ in range(DRAWS)
    ]
    return figures(compared), np.percentile(drawn, (2.5, 97.5), axis=0)


def row(name: str, compared: Sequence[Compared]) -> str:
    """A line of the table."""
    middle, (low, high) = with_intervals(compared)
    cells = [f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in zip(middle, low, high, strict=True)]
    return f"| {name} | " + " | ".join(cells) + " |"


def table(title: str, rows: Sequence[str]) -> str:
    """Rows under a heading."""
    head = f"| {title} | aperture r | width r | opening | width travel |\n|---|---|---|---|---|"
    return "\n".join([head, *rows])


def main(settings: MouthReportSettings) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    man = read_mouths(FITTING)
    fitted_to, held = split(man)
    told = LabelSettings(steps=settings.steps)
    choice = choose(man, told)
    if settings.judge:
        people = [clip for person in JUDGES for clip in read_mouths(person)]
        unseen = fitted_constants(man, told, leave_out=True, gain=choice.gain)
        parts = [("people out", False, None), ("words and people out", True, unseen)]
    else:
        people = held
        unseen = constants(choice.model, choice.gain, seen_pairs(fitted_to, leave_out=True))
        parts = [("sentences out", False, unseen), ("words and sentences out", True, unseen)]
    beside: list[tuple[str, Maker]] = [
        ("loudness follower", streamed(load_backend("fake"), None)),
        ("mean curve by word position", by_position(fitted_to)),
    ]
    if settings.bundle:
        beside.append(
            (f"{settings.bundle}, live", streamed(load_backend("auto", settings.bundle), STYLE))
        )
    for title, words, numbers in parts:
        rows = [row("labels", compare(labelled(numbers), people, words=words))]
        rows += [row(name, compare(make, people, words=words)) for name, make in beside]
        print(table(title, rows) + "\n", flush=True)
    if settings.bundle:
        print(takes_table(load_backend("auto", settings.bundle), settings.bundle), flush=True)


def live_table(model: Backend, name: str) -> str:
    """A bundle's live lips beside those of people who judge, the labels' and loudness's as well.

    As a Markdown table; it opens the judges' clips: once for each bundle.
    """
    people = [clip for person in JUDGES for clip in read_mouths(person)]
    makers: list[tuple[str, Maker]] = [
        ("labels", labelled(None)),
        ("loudness follower", streamed(load_backend("fake"), None)),
        (f"{name}, live", streamed(model, STYLE)),
    ]
    rows = [row(what, compare(make, people, words=False)) for what, make in makers]
    return table("people out", rows)


def takes_table(model: Backend, name: str) -> str:
    """A bundle's live jaw and lower lip beside a Mandarin speaker's, who has no phone times."""
    follower = load_backend("fake")
    lines = ["| take | what | jaw r, voiced | lower lip r, voiced |", "|---|---|---:|---:|"]
    for take in read_takes():
        for what, backend, style in ((name, model, STYLE), ("loudness follower", follower, None)):
            found = compare_take(backend, take, style)
            lines.append(
                f"| {take.name} | {what} | {found['voiced_r']:.2f} | {found['lower_r']:.2f} |"
            )
    return "\n".join(lines)
