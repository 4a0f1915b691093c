"""Clips to be watched without knowing whose lips they are: a bundle's, another's, or real ones.

The sound is of people of GRID whom no fit and no training saw.  Real lips are theirs, tracked, on
the built-in head; where no tracker looks (eyes, brows, head, tongue) they have the first bundle's
motion or the label's.  Stills hide lag: what is watched moves.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.channels import ARTICULATION, JAW
from head.errors import PosetalkError
from head.files.json_file import read_json, write_json
from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.frames import FRAME_SAMPLES
from training.faces.mouths.grid import JUDGES, MouthClip, read_mouths
from training.labels.coarticulation import TO_HEAD
from training.labels.label_styles import STYLES
from training.labels.labels import articulation, set_mouth

Array = NDArray[np.floating]

CLIPS = 20
STYLE = "neutral"
REAL = "real lips"
ANSWERS = "answers.csv"
HEADER = ("clip", "most natural: A, B, ...")


class WatchError(PosetalkError, ValueError):
    """A folder of clips that cannot be judged; one line."""


@dataclass(frozen=True, eq=False)
class WatchedClip:
    """One clip: samples (640 n,) and, by who made it, motion (n, 54)."""

    name: str
    samples: Array
    motion: Mapping[str, Array]


def watched_clips(bundles: Sequence[str], count: int = CLIPS) -> list[WatchedClip]:
    """Clips evenly from all people who judge, each moved by every bundle live, and by real lips.

    Raises:
        training.corpora.utterances.CorpusError: the tracked mouths are not here.
        diffposetalk.bundle.bundle.BundleError: no bundle.
    """
    found = [clip for person in JUDGES for clip in read_mouths(person)]
    places = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    models = {bundle: load_backend("auto", bundle) for bundle in bundles}
    out = []
    for number, place in enumerate(places, 1):
        clip = found[place]
        n = len(clip.known)
        samples = np.resize(np.pad(clip.samples, (0, FRAME_SAMPLES * n)), FRAME_SAMPLES * n)
        motion: dict[str, Array] = {}
        for bundle, model in models.items():
            session = Session(model, style=STYLE, seed=number)
            frames = session.feed(samples.astype(np.float32)) + session.finish()
            motion[bundle] = np.stack([frame.motion for frame in frames])
        motion[REAL] = real_lips(clip, motion[bundles[0]])
        out.append(WatchedClip(f"{number:02d}", samples, motion))
    return out


def real_lips(clip: MouthClip, rest: Array) -> Array:
    """Motion (n, 54) with a clip's tracked lips and jaw, and all else from `rest` (n, 54).

    Frames in which the tracker failed are drawn between their neighbours; what it cannot see of a
    mouth (rolled lips, the tongue) is the label's.
    """
    n, frames = len(rest), np.arange(len(rest))
    values = articulation(clip.phones, n, STYLES[STYLE], clip.prosody)
    seen = np.flatnonzero(clip.known)
    for column, scale in enumerate(TO_HEAD):
        values[:, column] = scale * np.interp(frames, seen, clip.curves[seen, column])
    mouth = np.zeros((n, rest.shape[1]))
    set_mouth(mouth, values, np.zeros(n), STYLES[STYLE])
    out = np.array(rest, np.float64)
    out[:, [*ARTICULATION, JAW]] = mouth[:, [*ARTICULATION, JAW]]
    return out


def letters(clips: Sequence[WatchedClip], seed: int) -> dict[str, dict[str, str]]:
    """For each clip, which letter stands for whom: drawn anew for every clip."""
    rng = np.random.default_rng(seed)
    told = {}
    for clip in clips:
        who = list(clip.motion)
        rng.shuffle(who)
        told[clip.name] = {chr(ord("A") + at): name for at, name in enumerate(who)}
    return told


def key_of(folder: Path) -> Path:
    """The key stands beside the folder, so that the folder can be given away without it."""
    return folder.with_name(f"{folder.name}.key.json")


def write_sheet(folder: Path, key: Mapping[str, Mapping[str, str]]) -> None:
    """An empty sheet for answers, and the key in its own file.

    Raises:
        OSError: one of them cannot be written.
    """
    write_json(key_of(folder), key)
    with (folder / ANSWERS).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *((clip, "") for clip in key)])


def verdict(folder: Path) -> str | None:
    """What the answers say, as a table; None where none was given.

    Raises:
        WatchError: an answer that is no letter of its clip, or no key.
    """
    with (folder / ANSWERS).open(newline="", encoding="utf-8") as file:
        given = {row[0]: row[1].strip().upper() for row in list(csv.reader(file))[1:] if row[1:]}
    given = {clip: letter for clip, letter in given.items() if letter}
    if not given:
        return None
    try:
        key = read_json(key_of(folder))
        chosen = [key[clip][letter] for clip, letter in given.items()]
        everybody = sorted({who for each in key.values() for who in each.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WatchError(
            f"{folder / ANSWERS} and {key_of(folder)} do not go together: {error}"
        ) from None
    lines = ["| who | most natural, of clips | share, % | 95 % interval |", "|---|---:|---:|---|"]
    for who in everybody:
        wins = chosen.count(who)
        low, high = wilson(wins, len(chosen))
        lines.append(
            f"| {who} | {wins} of {len(chosen)} | {100 * wins / len(chosen):.0f} "
            f"| {100 * low:.0f} to {100 * high:.0f} |"
        )
    return "\n".join(lines)


def wilson(wins: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, wins / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def envelope(samples: Array, n: int) -> Array:
    """(n,) root mean square of each frame's sound."""
    return np.asarray(np.sqrt(np.mean(samples.reshape(n, -1) ** 2, axis=1)))


def lags(opening: Array, loudness: Array, most: int = 10) -> tuple[NDArray[np.int_], Array]:
    """Frames by which an opening (n,) may be late, and its correlation with the loudness there."""
    at = np.arange(-most, most + 1)
    inner = slice(most, len(opening) - most)
    right = loudness[inner]
    found = [
        np.corrcoef(opening[most + lag : len(opening) - most + lag], right)[0, 1]
        if np.std(opening) > 1e-9 and np.std(right) > 1e-9
        else 0.0
        for lag in at
    ]
    return at, np.array(found)
