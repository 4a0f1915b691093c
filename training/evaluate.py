"""Measure a bundle on voices it never heard, beside a loudness follower.

`python -m training.evaluate --steps 1 2 4` streams every held-out clip through the product's own
session and prints a table, with machine and revision; `--page docs/starter.md` writes it down.
"""

from __future__ import annotations

import itertools
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from diffposetalk.spec import LiveDefaults
from head.rig import builtin_head
from stream.backends import load_backend
from stream.backends.protocol import Backend
from stream.session import Session, SessionOptions
from training import augment
from training.corpora import Utterance, held_out_voices, load_audio
from training.labels import make_motion
from training.metrics import Measured, measure, summary, total
from training.phones import Phone, tidy
from training.prosody import extract_prosody
from training.styles import STYLES

SETS = {
    "new voices, sentences": ("picovoice_s2i",),
    "new voices, five words": ("picovoice_wake",),
    "known voice, new sentences": ("kathleen_cc0",),
}
STYLE = "neutral"

FIGURES = {
    "closures": "P/B/M that close where the label's do, %: least gap within the phone and 20 ms "
    "around it under 1 mm",
    "vowels_closed": "vowel middles with closed lips, %",
    "jaw_r": "correlation of the jaw with the label's, non-silent frames",
    "gap_r": "the same of the lip gap",
    "silent_open": "frames inside pauses with lips more than 2 mm apart, %",
    "lve_mm": "largest distance of a lip vertex from the label's, mean over frames, mm",
    "head_life": "mean speed of the head over the label's",
    "seam": "mean jump of the lip gap at hops over that elsewhere",
}


GOALS = {
    "closures": (">=", 85.0),
    "vowels_closed": ("<=", 5.0),
    "jaw_r": (">=", 0.7),
    "silent_open": ("<=", 1.0),
}
"""What the starter is meant to reach on new voices, clean, at the live defaults."""


@dataclass(frozen=True)
class Settings:
    """What is measured: every combination of the lists; an empty list is the live default."""

    bundle: str = "starter"
    steps: tuple[int, ...] = ()
    hop: tuple[int, ...] = ()
    lookahead: tuple[int, ...] = ()
    lip_noise: tuple[float, ...] = ()
    audio_guidance: tuple[float, ...] = ()
    noise: tuple[float, ...] = ()
    """Also with coloured noise mixed in at these signal-to-noise ratios, in decibels: the first
    combination alone."""
    clips: int = 70
    """At most so many clips of each set."""
    sets: tuple[str, ...] = tuple(SETS)
    page: Path | None = None
    """Also write the tables as a page."""


@dataclass(frozen=True)
class Clip:
    """A held-out utterance with its label in the neutral style."""

    samples: NDArray[np.float32]
    label: NDArray[np.float32]
    phones: list[Phone]


def read_clip(utterance: Utterance, number: int, snr_db: float | None) -> Clip:
    """Load and label an utterance; the noise comes after the label."""
    rng = np.random.default_rng([7, number])
    samples = load_audio(utterance)
    prosody = extract_prosody(samples)
    n = len(samples) // 640
    label = make_motion(utterance.phones, n, STYLES[STYLE], rng, prosody)
    phones = tidy(utterance.phones, prosody)
    if snr_db is not None:
        samples = augment.mix(samples, augment.coloured_noise(len(samples), rng), snr_db)
    return Clip(samples, label, phones)


def stream(backend: Backend, options: SessionOptions, clip: Clip) -> NDArray[np.float32]:
    """The motion of a clip, (n, 54), as a live session emits it."""
    session = Session(backend, options=options, style=STYLE)
    frames = session.feed(clip.samples) + session.finish()
    return np.stack([frame.motion for frame in frames])


def combinations(settings: Settings) -> list[tuple[str, SessionOptions]]:
    """Names and options of everything that is to be measured."""
    names = ("steps", "hop", "lookahead", "lip_noise", "audio_guidance")
    lists = [getattr(settings, name) or (None,) for name in names]
    out = []
    for values in itertools.product(*lists):
        chosen = {name: v for name, v in zip(names, values, strict=True) if v is not None}
        told = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
        out.append((told or "live defaults", SessionOptions(**chosen)))
    return out


def rows(settings: Settings, snr_db: float | None) -> list[dict[str, str | float]]:
    """One row per set and combination, the loudness follower first."""
    from rich.progress import track

    _, held = held_out_voices()
    model, follower = load_backend("torch", settings.bundle), load_backend("fake")
    wanted: list[tuple[str, Backend, SessionOptions]] = [
        ("loudness follower", follower, SessionOptions())
    ]
    every = combinations(settings)
    wanted += [(name, model, options) for name, options in (every if snr_db is None else every[:1])]
    out: list[dict[str, str | float]] = []
    for set_name in settings.sets:
        chosen = [u for u in held if u.speaker_set in SETS[set_name]][: settings.clips]
        found: dict[str, list[Measured]] = {name: [] for name, _, _ in wanted}
        for number, utterance in enumerate(track(chosen, set_name, transient=True)):
            clip = read_clip(utterance, number, snr_db)
            for name, backend, options in wanted:
                hop = options.hop or backend.spec.live.hop
                motion = stream(backend, options, clip)
                found[name].append(measure(builtin_head(), motion, clip.label, clip.phones, hop))
        out += [
            {"set": set_name, "what": name, **summary(total(parts))}
            for name, parts in found.items()
        ]
    return out


def table(found: list[dict[str, str | float]]) -> str:
    """Rows as a Markdown table."""
    lines = [
        "| set | what | " + " | ".join(FIGURES) + " |",
        "|---|---|" + "---:|" * len(FIGURES),
    ]
    for row in found:
        values = " | ".join(f"{row[name]:.2f}" for name in FIGURES)
        lines.append(f"| {row['set']} | {row['what']} | {values} |")
    return "\n".join(lines)


def verdicts(found: list[dict[str, str | float]]) -> str:
    """Goals against the first row of each set that is not the follower's, as a Markdown table."""
    lines = [
        "| set | figure | goal | starter | loudness follower | verdict |",
        "|---|---|---|---:|---:|---|",
    ]
    for name in [name for name in SETS if name.startswith("new voices")]:
        own = [row for row in found if row["set"] == name]
        if not own:
            continue
        follower, starter = own[0], own[1]
        for figure, (relation, goal) in GOALS.items():
            value, other = float(starter[figure]), float(follower[figure])
            reached = value >= goal if relation == ">=" else value <= goal
            if figure == "jaw_r":
                reached = reached and value > other
            verdict = "reached" if reached else "missed"
            lines.append(
                f"| {name} | {figure} | {relation} {goal:g} | {value:.2f} | {other:.2f} "
                f"| {verdict} |"
            )
    return "\n".join(lines)


def circumstances() -> str:
    """Machine and revision, for the head of every table."""
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True,
        cwd=Path(__file__).parent, check=False,
    ).stdout.strip()  # fmt: skip
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor()
    return f"{processor}, Python {platform.python_version()}, revision {revision or 'unknown'}"


def told_settings(live: LiveDefaults, clips: int) -> str:
    """The set that every figure of the page belongs to."""
    return (
        f"Live defaults: hop {live.hop}, lookahead {live.lookahead}, steps {live.steps}, "
        f"{live.window_rule} windows, audio guidance {live.audio_guidance:g}, style guidance "
        f"{live.style_guidance:g}; noise of lips {live.lip_noise:g}, of the face "
        f"{live.face_noise:g}, of the head {live.head_noise:g} over {live.head_noise_frames} "
        f"frames. At most {clips} clips a set, in the style `{STYLE}`."
    )


def main(settings: Settings) -> None:
    """Print the tables; write the page if one is asked for."""
    model = load_backend("torch", settings.bundle)
    live = model.spec.live
    parts = [
        f"Bundle {settings.bundle} ({model.bundle_hash[:12]}); {circumstances()}.",
        told_settings(live, settings.clips),
    ]
    for snr_db in (None, *settings.noise):
        heading = "Clean" if snr_db is None else f"Noise at {snr_db:g} dB"
        found = rows(settings, snr_db)
        if snr_db is None:
            parts += ["## Goals", verdicts(found)]
        parts += [f"## {heading}", table(found)]
    text = "\n\n".join(parts)
    print(text)
    if settings.page:
        told = "\n".join(f"- `{name}`: {meaning}." for name, meaning in FIGURES.items())
        settings.page.write_text(
            "# How the starter measures\n\nWritten by `python -m training.evaluate`; the voices "
            "were held out of training whole. The label is what the coarticulation model of "
            "`training/` makes of the known phones; nobody's face was recorded. The starter's live "
            "defaults and the depth of its labels' closures were chosen with some of these clips "
            "in view, so its figures are those of a validation set. The loudness "
            "follower opens the jaw with the sound's log energy.\n\n"
            f"{text}\n\n## Figures\n\n{told}\n",
            "utf-8",
        )


if __name__ == "__main__":
    main(tyro.cli(Settings))
