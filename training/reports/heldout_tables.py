"""A bundle on voices that it never heard, beside a loudness follower: figures, tables, goals."""

from __future__ import annotations

from collections.abc import Sequence

from head.rig import builtin_head
from stream.backends.protocol import Backend
from stream.backends.registry import load_backend
from stream.core.options import SessionOptions
from stream.frames import FPS
from training.evaluation.face import Face
from training.evaluation.heldout import TITLED_SETS, Condition, HeldoutClip, clips_of, stream_all
from training.evaluation.live_figures import blinks, head_jitter, head_range
from training.evaluation.motion_metrics import measure_vertices, summary, total

FIGURES = {
    "closures": "P/B/M that close where the label's do, %: least gap within the phone and 20 ms "
    "around it under 1 mm",
    "vowels_closed": "vowel middles with closed lips, %",
    "jaw_r": "correlation of the jaw with the label's, non-silent frames",
    "gap_r": "the same of the lip gap",
    "silent_open": "frames inside pauses with lips more than 2 mm apart, %",
    "lve_mm": "largest distance of a lip vertex from the label's, mean over frames, mm",
    "head_life": "mean speed of the head over the label's",
    "head_range": "range of the head's rotation, 5th to 95th percentile, over the label's",
    "head_jitter": "change of the head's speed from frame to frame over the label's",
    "blinks": "blinks a minute (the labels have 16 in this style)",
    "seam": "mean jump of the lip gap at hops over that elsewhere",
}

GOALS = {
    ("clean", "closures"): (">=", 92.0),
    ("clean", "vowels_closed"): ("<=", 5.0),
    ("clean", "jaw_r"): (">=", 0.85),
    ("clean", "silent_open"): ("<=", 1.0),
    ("noise at 10 dB", "closures"): (">=", 82.0),
    ("noise at 10 dB", "vowels_closed"): ("<=", 5.0),
    ("noise at 10 dB", "jaw_r"): (">=", 0.75),
    ("noise at 10 dB", "silent_open"): ("<=", 1.0),
}
"""What the starter is meant to reach on new voices at the live defaults."""

FOLLOWER = "loudness follower"

Row = dict[str, str | float]


def row_of(
    backend: Backend, clips: list[HeldoutClip], options: SessionOptions | None = None
) -> dict[str, float]:
    """Every figure of FIGURES over the clips."""
    motion = stream_all(backend, clips, options)
    hop = backend.spec.live.hop
    face = Face.of(builtin_head())
    parts = [
        measure_vertices(
            face.part,
            face.vertices(run),
            face.vertices(clip.label),
            run,
            clip.label,
            clip.phones,
            hop,
        )
        for run, clip in zip(motion, clips, strict=True)
    ]
    labels = [clip.label for clip in clips]
    minutes = sum(len(label) for label in labels) / FPS / 60.0
    return {
        **summary(total(parts)),
        "head_range": sum(map(head_range, motion)) / sum(map(head_range, labels)),
        "head_jitter": sum(map(head_jitter, motion)) / sum(map(head_jitter, labels)),
        "blinks": sum(map(blinks, motion)) / minutes,
    }


def rows(
    model: Backend, condition: Condition, sets: Sequence[str], steps: Sequence[int], most: int
) -> list[Row]:
    """One row per set for the follower and the model, on clean speech for every `steps` too.

    Args:
        most: clips of a set.
    """
    from rich.progress import track

    follower = load_backend("fake")
    out: list[Row] = []
    for set_name in track(sets, condition.name, transient=True):
        clips = clips_of(set_name, condition, most)
        at = {"set": set_name, "condition": condition.name}
        out.append({**at, "what": FOLLOWER, **row_of(follower, clips)})
        out.append({**at, "what": "live defaults", **row_of(model, clips)})
        if condition.snr_db is None:
            for count in steps:
                if count != model.spec.live.steps:
                    found = row_of(model, clips, SessionOptions(steps=count))
                    out.append({**at, "what": f"steps {count}", **found})
    return out


def table(found: list[Row]) -> str:
    """Rows as a Markdown table."""
    lines = ["| set | what | " + " | ".join(FIGURES) + " |", "|---|---|" + "---:|" * len(FIGURES)]
    for row in found:
        values = " | ".join(f"{row[name]:.2f}" for name in FIGURES)
        lines.append(f"| {row['set']} | {row['what']} | {values} |")
    return "\n".join(lines)


def verdicts(found: list[Row]) -> str:
    """Goals against what the live defaults reach on new voices, as a Markdown table."""
    lines = [
        "| set | condition | figure | goal | starter | loudness follower | verdict |",
        "|---|---|---|---|---:|---:|---|",
    ]
    values = {(row["set"], row["condition"], row["what"]): row for row in found}
    for name in [name for name in TITLED_SETS if name.startswith("new voices")]:
        for (condition, figure), (relation, goal) in GOALS.items():
            row = values.get((name, condition, "live defaults"))
            if row is None:
                continue
            value = float(row[figure])
            other = float(values[name, condition, FOLLOWER][figure])
            reached = value >= goal if relation == ">=" else value <= goal
            lines.append(
                f"| {name} | {condition} | {figure} | {relation} {goal:g} | {value:.2f} "
                f"| {other:.2f} | {'reached' if reached else 'missed'} |"
            )
    return "\n".join(lines)
