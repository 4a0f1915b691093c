"""Measure a bundle on voices it never heard, beside a loudness follower, and on real faces.

`posetalk evaluate starter --page docs/starter.md` runs this: it streams every held-out clip as
live sessions would, prints the tables with machine and revision, and writes the page.
"""

from __future__ import annotations

import platform
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.spec import LiveDefaults
from head.new_file import new_file
from stream.backends.protocol import Backend
from stream.backends.registry import load_backend
from stream.frames import FPS
from training.corpora.alignment import MISSED_SECONDS
from training.evaluation.heldout import CONDITIONS, STYLE, TITLED_SETS, Condition
from training.reports.gesture_report import gesture_table
from training.reports.heldout_tables import FIGURES, rows, table, verdicts
from training.reports.long_run import long_run
from training.reports.mouth_report import live_table
from training.reports.outside_report import OutsideReportSettings
from training.reports.outside_report import report as outside_report
from training.reports.real_faces import FITTED, compare, read_takes
from training.reports.style_report import style_tables

OUTSIDE = (
    "Recordings of other people with other microphones, of whom nothing was seen in training. "
    "While bundles before the one that ships were made they were looked at, and a term of the "
    "distillation has its weight from that, so that they judge it a little less strictly than they "
    "should: first as they are, then as they may be heard, then at other levels; each figure with "
    "its 95 % interval over clips. The label parts lips no sooner than live lookahead allows."
)
REAL_MOUTHS = (
    "The lips beside those of two people of GRID whom no fit and no training saw: correlation on "
    "spoken frames, how far vowels open and how far the width travels over theirs, with 95 % "
    "intervals over clips."
)
OUTSIDE_STILLS = (
    "The label's face over the starter's in the middle of phones, each said by three of these "
    "people, by `posetalk bench mouths`:\n\n![Mouths of the label and of the starter by "
    "phone](starter_stills.jpg)"
)
REAL_CURVES = (
    "A sentence of each of the two, by the same command (GRID, CC BY 4.0: the model card has its "
    "credit):\n\n![Lips of two people, of the label and of the starter over "
    "time](starter_mouths.png)"
)
REAL_FACE_R = 0.5
"""Correlation with recorded jaws that it is meant to reach on voiced frames."""


@dataclass(frozen=True)
class ReportSettings:
    """What is measured."""

    bundle: str = "starter"
    steps: tuple[int, ...] = (1, 2, 4)
    """Network calls per hop that are tried on clean speech, beside the live default."""
    clips: int = 400
    """Clips of each set, at most: more than any has."""
    outside_clips: int = 100
    """Clips of each corpus that judges, at most; 0 leaves them out."""
    minutes: int = 10
    """Length of the long run; 0 leaves it out."""
    conditions: tuple[str, ...] = tuple(condition.name for condition in CONDITIONS)
    sets: tuple[str, ...] = tuple(TITLED_SETS)
    reverse: Path | None = None
    """A bundle that was trained without the single speaker, to be measured on her; without one, a
    page keeps what it says of an earlier one."""
    page: Path | None = None
    """Also write the tables as a page."""


def real_faces(model: Backend) -> str:
    """The jaw beside recorded ones, as a Markdown table."""
    follower = load_backend("fake")
    lines = [
        "| take | fitted to | r, voiced frames | follower | r, all frames | follower "
        "| lag, frames | goals |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for take in read_takes():
        own, other = compare(model, take, STYLE), compare(follower, take, None)
        reached = (
            own["voiced_r"] >= REAL_FACE_R
            and own["all_r"] > other["all_r"]
            and abs(own["lag"]) <= 1
        )
        lines.append(
            f"| {take.name} | {'yes' if take.name in FITTED else 'no'} | {own['voiced_r']:.2f} "
            f"| {other['voiced_r']:.2f} | {own['all_r']:.2f} | {other['all_r']:.2f} "
            f"| {own['lag']:+.0f} | {'reached' if reached else 'missed'} |"
        )
    return "\n".join(lines)


def reverse(settings: ReportSettings) -> list[str]:
    """A model of other voices on the one voice that the starter knows."""
    assert settings.reverse is not None
    bundle = load_bundle(str(settings.reverse))
    model = load_backend("auto", str(settings.reverse))
    known = next(name for name in TITLED_SETS if name.startswith("known"))
    conditions = [c for c in CONDITIONS if c.name in ("clean", "noise at 10 dB")]

    def measured(condition: Condition) -> str:
        return table(rows(model, condition, (known,), (), settings.clips))

    reached = ", ".join(
        f"{name} {part['steps']} steps" for name, part in bundle.provenance["reached"].items()
    )
    return [
        "The single speaker is the one voice that the starter knows. A model of the same size that "
        "was trained from nothing without her, on the other voices alone and more briefly "
        f"({reached}; {model.spec.live.steps} calls a hop), hears her last sentences here "
        f"({environment()}):",
        *(f"{c.name[0].upper()}{c.name[1:]}:\n\n{measured(c)}" for c in conditions),
    ]


def section(page: str, title: str) -> list[str]:
    """A section of a Markdown page with its heading, without what follows; none if it has none."""
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    return [found[0].strip()] if found else []


def long_run_table(model: Backend, minutes: int) -> str:
    """One session over held-out speech without end, minute by minute, as a Markdown table."""
    lines = [
        "| minute | jaw, 95th percentile, rad | head range, degrees | head jitter | blinks "
        "| eyes to the left, degrees | eyes up | largest normalised value |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for number, one in enumerate(long_run(model, minutes, STYLE), 1):
        lines.append(
            f"| {number} | {one.jaw:.3f} | {one.head_range:.2f} | {one.head_jitter:.3f} "
            f"| {one.blinks} | {one.gaze[0]:+.1f} | {one.gaze[1]:+.1f} | {one.largest:.1f} |"
        )
    return "\n".join(lines)


def environment() -> str:
    """Machine and revision, for the head of every table."""
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    ).stdout.strip()
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
        f"frames, with an inertia of {live.head_inertia:g}; shown eyes jump and rest by "
        f"themselves, looks down over {live.gaze_time_constant_frames:g} frames stay, a stare ends "
        f"after about {live.max_blink_interval_frames:g}. "
        f"At most {clips} clips a set, spread "
        f"evenly over it, in the style `{STYLE}`; recordings in whose pauses somebody speaks for "
        f"more than {MISSED_SECONDS:g} s, words that the alignment missed, are left out."
    )


def report(settings: ReportSettings) -> list[str]:
    """The paragraphs and tables of the page."""
    model = load_backend("auto", settings.bundle)
    parts = [
        f"Bundle {settings.bundle} ({model.bundle_hash[:12]}), backend {model.name}; "
        f"{environment()}.",
        told_settings(model.spec.live, settings.clips),
    ]
    begun = time.monotonic()
    chosen = [c for c in CONDITIONS if c.name in settings.conditions]
    if settings.outside_clips:
        outside = OutsideReportSettings(settings.bundle, clips=settings.outside_clips)
        parts += ["## Outside", OUTSIDE, outside_report(model, outside), OUTSIDE_STILLS]
        mouths = live_table(model, settings.bundle)
        parts += ["## Real mouths", REAL_MOUTHS, mouths, REAL_CURVES]
    found = {
        condition.name: rows(model, condition, settings.sets, settings.steps, settings.clips)
        for condition in chosen
    }
    parts += ["## Goals", verdicts([row for each in found.values() for row in each])]
    for name, each in found.items():
        parts += [f"## {name[0].upper()}{name[1:]}", table(each)]
    parts += [
        "\n".join(f"- `{name}`: {meaning}." for name, meaning in FIGURES.items()),
        "How few steps compare with the 500-step sampler: [results](results.md).",
    ]
    if settings.reverse is not None:
        parts += ["## The reverse", *reverse(settings)]
    elif settings.page is not None and settings.page.exists():
        parts += section(settings.page.read_text("utf-8"), "The reverse")
    parts += [
        "## Real faces",
        real_faces(model),
        "The recorded jaw of a Mandarin speaker (FACEGOOD, MIT) beside the starter's, which "
        "learned English labels: correlation on frames with a pitch and on all frames, and the "
        "shift at which it is highest (negative: the starter is early). The labels' lags and "
        "how much of the jaw is loudness were set by hand on the fitted takes; the others had been "
        "seen by then.",
    ]
    parts += [
        "## Gestures",
        gesture_table(model),
        "On held-out sentences, clean. Motion that knew nothing of the speech would have ratios "
        "of 1.",
    ]
    pictures = (
        "Side by side with the label and the 500-step sampler: [every style](starter_styles.jpg), "
        "by `posetalk bench styles`."
    )
    encoder = load_bundle(settings.bundle).style_encoder()
    parts += ["## Styles", pictures, *style_tables(model, encoder)]
    if settings.minutes:
        spent = time.process_time()
        parts += [f"## {settings.minutes} minutes on end", long_run_table(model, settings.minutes)]
        cost = 1000 * (time.process_time() - spent) / (settings.minutes * 60 * FPS)
        folder = load_bundle(settings.bundle).folder
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        parts.append(
            f"That took {cost:.1f} ms of one core per frame, figures included; the bundle has "
            f"{size / 1e6:.1f} MB."
        )
    parts.append(f"Measuring took {(time.monotonic() - begun) / 60:.0f} minutes.")
    return parts


def main(settings: ReportSettings) -> None:
    """Print the tables; write the page if one is asked for."""
    text = "\n\n".join(report(settings))
    print(text)
    if settings.page:
        page = (
            "# How the starter measures\n\nWritten by `posetalk evaluate --page`; "
            "the voices were held out of training whole. The label is what the coarticulation "
            "model of `training/` makes of the known phones; nobody's face was recorded for it. "
            "The starter's live defaults, its labels' constants, the shares of its training sets "
            "and what its distillation weighs were chosen with some of these clips in view, so its "
            "figures are those of a validation set. The loudness follower opens the jaw with the "
            "sound's log energy.\n\n"
            f"{text}\n"
        )
        with new_file(settings.page) as part:
            part.write_text(page, "utf-8")
