"""Head, eyes and lids over minutes, of the labels or of what a bundle shows live:
`posetalk evaluate [starter] --report life`.

Beside the gaze of the labels stands that of the people of `gaze_dialogue`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from head.channels import INDEX, ROTATION
from head.eye_turns import looks
from stream.backends.registry import load_backend
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from training.corpora.utterances import CorpusError, data_folder, read_corpus
from training.evaluation.batch_rollout import Rollout, rollout
from training.evaluation.live_figures import blinks
from training.evaluation.motion_metrics import correlation
from training.labels.label_styles import STYLES, SpeakingStyle
from training.labels.labels import make_motion
from training.labels.phones import phrases, tidy
from training.labels.prosody import Prosody, extract_prosody, smooth
from training.speech.track import join

Array = NDArray[np.floating]
Said: TypeAlias = Sequence[tuple[str, float, float]]
"""Phones: name, start and length in seconds."""

STEPS_DEGREES = (1.5, 3.0)
FAR_DEGREES = 10.0
ASIDE_DEGREES = 3.0
"""A head turned further than this to one side looks aside."""
SHORT_SECONDS = 4
SHORT_CLIPS = 20
LAGS = range(-12, 13)
"""Frames by which nods are tried against the voice."""


@dataclass(frozen=True)
class LifeReportSettings:
    """What is measured: so many minutes of speech, then of listening, in each style; of the labels,
    or of a bundle."""

    bundle: str | None = None
    minutes: float = 10.0
    styles: tuple[str, ...] = tuple(STYLES)
    seed: int = 0


@dataclass(frozen=True)
class Life:
    """Figures of one style; degrees, and times in seconds.

    yaw, roll: means over the speech; aside: longest time on one side; blinks: a minute, in speech,
    in silence and in clips of SHORT_SECONDS; steps: jumps of the eyes over STEPS_DEGREES a minute;
    drift: median speed of the eyes between jumps, a second; far: share of frames with eyes over
    FAR_DEGREES off; nod_r, nod_lag: correlation of nods with the swell of the voice where it is
    highest; asymmetry: of mouth and brows; breath: deviation of the pitch in silence.
    """

    yaw: float
    roll: float
    aside: float
    blinks: float
    quiet_blinks: float
    short_blinks: float
    steps: tuple[float, ...]
    listening_steps: tuple[float, ...]
    drift: float
    far: float
    listening_far: float
    nod_r: float
    nod_lag: float
    asymmetry: float
    breath: float


def longest_aside(yaw: Array) -> float:
    """Seconds of the longest run in which yaw (n,) degrees, without nods, keeps to one side."""
    slow = smooth(yaw, 0.4 * FPS)
    longest = 0
    for side in (slow > ASIDE_DEGREES, slow < -ASIDE_DEGREES):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], side.astype(int), [0]])))
        if len(edges):
            longest = max(longest, int((edges[1::2] - edges[::2]).max()))
    return longest / FPS


def eye_angles(motion: Array) -> Array:
    """(n, 2) degrees, left and up, at which both eyes look, the head's turn added to theirs."""
    found = np.degrees(looks(motion[:, :50]))
    head = np.degrees(motion[:, ROTATION])
    eyes = np.stack([found[:, :2].mean(1), found[:, 2:].mean(1)], axis=1)
    return np.asarray(eyes + np.stack([head[:, 1], -head[:, 0]], axis=1))


def steps_a_minute(angles: Array, degrees: float) -> float:
    """Jumps of gaze (n, 2) by more than so much within two frames."""
    moved = np.linalg.norm(angles[2:] - angles[:-2], axis=1) > degrees
    begun = moved & ~np.concatenate([[False], moved[:-1]])
    return float(begun.sum() / (len(angles) / FPS / 60.0))


def drift(angles: Array) -> float:
    """Median speed of gaze (n, 2) between jumps, degrees a second."""
    speed = np.linalg.norm(np.diff(angles, axis=0), axis=1)
    return float(np.median(speed[speed < STEPS_DEGREES[0]]) * FPS)


def far_share(angles: Array) -> float:
    """Share of frames in which gaze (n, 2) is over FAR_DEGREES from its median."""
    away = np.linalg.norm(angles - np.median(angles, axis=0), axis=1)
    return float((away > FAR_DEGREES).mean())


def nods(motion: Array, prosody: Prosody) -> tuple[float, float]:
    """Correlation of the pitch with the voice's swell, and the lag in seconds where it is highest.

    Both without what is slower than a second, where the voice sounds.
    """
    n, edge = len(motion), max(LAGS)
    voice = prosody.at_frames(smooth(prosody.loudness, 6.0), n).astype(float)
    voice -= smooth(voice, 0.5 * FPS)
    pitch = motion[:, ROTATION][:, 0].astype(float)
    pitch = pitch - smooth(pitch, 0.5 * FPS)
    speech = prosody.at_frames(smooth(prosody.activity, 50.0), n) > 0.3
    inner = np.flatnonzero(speech[edge : n - edge]) + edge
    found = {lag: correlation(pitch[inner + lag], voice[inner]) for lag in LAGS}
    best = max(found, key=lambda lag: found[lag])
    return found[best], best / FPS


def life(style: SpeakingStyle, samples: Array, said: Said, seed: int) -> Life:
    """Figures of a style over speech, and over as long a silence."""
    rng = np.random.default_rng(seed)
    prosody = extract_prosody(samples)
    n = len(samples) // FRAME_SAMPLES
    motion = make_motion(said, n, style, rng, prosody)
    silence = extract_prosody((1e-4 * rng.standard_normal(len(samples))).astype(np.float32))
    listening = make_motion([], n, style, rng, silence)
    size = SHORT_SECONDS * FPS
    short = []
    for start in range(0, n - size, 10 * size):
        part = samples[start * FRAME_SAMPLES : (start + size) * FRAME_SAMPLES]
        few = [
            (p, max(s - start / FPS, 0.0), d)
            for p, s, d in said
            if 0.0 <= s - start / FPS < SHORT_SECONDS - 0.2
        ]
        for _ in range(4):
            short.append(make_motion(few, size, style, rng, extract_prosody(part)))
    return figures(motion, listening, short, said, prosody)


def live_lives(
    bundle: str, styles: Sequence[str], samples: Array, said: Said, seed: int
) -> dict[str, Life]:
    """The same of what a bundle shows live in each of its styles.

    Raises:
        diffposetalk.bundle.bundle.BundleError: no bundle.
    """
    model = load_backend("auto", bundle)
    rng = np.random.default_rng(seed)
    heard = np.asarray(samples, np.float32)
    room = (1e-4 * rng.standard_normal(len(heard))).astype(np.float32)
    prosody = extract_prosody(heard)
    short = heard[: SHORT_SECONDS * SAMPLE_RATE]
    found = {}
    for style in styles:
        spoken, silent = rollout(model, [Rollout(each, style, seed) for each in (heard, room)])
        few = rollout(model, [Rollout(short, style, one) for one in range(SHORT_CLIPS)])
        found[style] = figures(spoken, silent, list(few), said, prosody)
    return found


def figures(
    motion: Array, listening: Array, short: Sequence[Array], said: Said, prosody: Prosody
) -> Life:
    """Figures of motion (n, 54) over speech, over silence, and in short clips."""
    n = len(motion)
    # Looks are told by state; the pauses of a talk belong to neither.
    spoken = np.zeros(n, bool)
    for phrase in phrases(tidy(said, prosody), pause=1.0):
        spoken[int(phrase.start * FPS) : int(phrase.end * FPS)] = True
    eyes, quiet_eyes = eye_angles(motion), eye_angles(listening)
    rotation = np.degrees(motion[:, ROTATION])
    nod_r, nod_lag = nods(motion, prosody)
    return Life(
        yaw=float(rotation[:, 1].mean()),
        roll=float(rotation[:, 2].mean()),
        aside=longest_aside(rotation[:, 1]),
        blinks=blinks(motion) / (n / FPS / 60.0),
        quiet_blinks=blinks(listening) / (len(listening) / FPS / 60.0),
        short_blinks=(
            float(np.mean([blinks(each) for each in short])) * 60.0 / SHORT_SECONDS
            if short
            else float("nan")
        ),
        steps=tuple(steps_a_minute(eyes[spoken], d) for d in STEPS_DEGREES),
        listening_steps=tuple(steps_a_minute(quiet_eyes, d) for d in STEPS_DEGREES),
        drift=drift(eyes),
        far=far_share(eyes[spoken]),
        listening_far=far_share(quiet_eyes),
        nod_r=nod_r,
        nod_lag=nod_lag,
        asymmetry=asymmetry(motion),
        breath=float(np.degrees(np.std(listening[:, ROTATION][:, 0]))),
    )


def asymmetry(motion: Array) -> float:
    """How differently both sides of mouth and brows (n, 54) move: mean difference over mean sum."""
    pairs = [
        (INDEX[name], INDEX[name.removesuffix("Left") + "Right"])
        for name in INDEX
        if name.endswith("Left") and name.startswith(("brow", "mouthS", "mouthD", "mouthF"))
    ]
    left, right = (np.abs(motion[:, list(side)]) for side in zip(*pairs, strict=True))
    return float(2.0 * np.abs(left - right).sum() / max(float((left + right).sum()), 1e-9))


def people() -> str:
    """The same figures of the eyes of people who speak and listen, as a line.

    Raises:
        CorpusError: the fixations cannot be read.
    """
    path = data_folder() / "gaze_dialogue" / "fixations.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            told = {key: file[key] for key in file}
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read {path}: {error}") from error
    parts = []
    for state in ("SPEAK", "LISTEN"):
        steps, far, seconds, watched = np.zeros(2), 0.0, 0.0, 0.0
        for who in np.unique(told["participant"]):
            own = told["participant"] == who
            at = np.stack([told["yaw_deg"], told["pitch_deg"]], axis=1)
            at = at - np.median(at[own], axis=0)
            own &= told["state"] == state
            held, pause = told["dur_ms"][own] / 1000, told["pause_ms"][own] / 1000
            away = np.linalg.norm(at[own], axis=1)
            jumps = np.linalg.norm(np.diff(at[own], axis=0), axis=1)
            jumps = jumps[np.diff(told["seg"][own]) == 0]
            steps += [(jumps > d).sum() for d in STEPS_DEGREES]
            far += held[away > FAR_DEGREES].sum()
            watched += held.sum()
            seconds += held.sum() + pause[pause > 0].sum()
        rates = " / ".join(f"{n:.0f}" for n in steps / seconds * 60)
        parts.append(
            f"{state.lower()}: jumps over 1.5 / 3 degrees {rates} a minute, "
            f"{100 * far / watched:.0f} % of the time over {FAR_DEGREES:.0f} degrees away"
        )
    return "People: " + "; ".join(parts) + "."


def table(rows: dict[str, Life]) -> str:
    """One line a style."""
    lines = [
        "| style | yaw, roll, mean | longest aside, s | blinks: speaking, silent, in short clips "
        "| jumps > 1.5 / 3, speaking; listening | drift, /s | far, speaking; listening, % "
        "| nods r, at ms | sides differ, % | pitch in silence |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in rows.items():
        jumps, quiet = (" / ".join(f"{v:.0f}" for v in s) for s in (one.steps, one.listening_steps))
        lines.append(
            f"| {name} | {one.yaw:+.1f}, {one.roll:+.1f} | {one.aside:.1f} "
            f"| {one.blinks:.0f}, {one.quiet_blinks:.0f}, {one.short_blinks:.0f} "
            f"| {jumps}; {quiet} | {one.drift:.1f} "
            f"| {100 * one.far:.0f}; {100 * one.listening_far:.0f} "
            f"| {one.nod_r:.2f}, {1000 * one.nod_lag:+.0f} | {100 * one.asymmetry:.0f} "
            f"| {one.breath:.2f} |"
        )
    return "\n".join(lines)


def main(settings: LifeReportSettings) -> None:
    """Print people's eyes, then every style's figures."""
    rng = np.random.default_rng(settings.seed)
    utterances = read_corpus("kathleen_cc0")
    samples, said = join(utterances, settings.minutes * 60.0, rng)
    samples = samples[: int(settings.minutes * 60.0 * SAMPLE_RATE)]
    said = [p for p in said if p[1] + p[2] < settings.minutes * 60.0]
    print(people() + "\n", flush=True)
    if settings.bundle is not None:
        rows = live_lives(settings.bundle, settings.styles, samples, said, settings.seed)
    else:
        rows = {name: life(STYLES[name], samples, said, settings.seed) for name in settings.styles}
    print(table(rows))
