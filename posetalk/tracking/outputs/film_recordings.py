"""Folders of films to recordings: motion and sound of what can be believed, piece by piece.

    SOURCE/PERSON/NAME.mp4  ->  INTO/PERSON/NAME_000.npz, NAME_000.wav, NAME_001.npz, ...

What has motion already (NAME.npz beside its sound) is taken as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from posetalk.app.settings.tracking import TrackingSettings
from posetalk.tracking.outputs.with_progress import track_source
from posetalk.tracking.problem import TrackingError
from posetalk.tracking.quality import believed, shares
from posetalk.tracking.report import runs
from posetalk.tracking.sources.film import Film
from posetalk.tracking.sources.sound import sound_of, write_wave
from posetalk.tracking.track import FPS, Tracked
from posetalk.tracking.track_file import is_film, write_motion
from stream.frames import SAMPLE_RATE
from training.faces.build import SHORTEST

SILENT = 1e-3
"""Root mean square of a sound below which nobody speaks."""
HELD_OUT = ("val.txt", "test.txt")


def films_without_motion(source: Path) -> list[Path]:
    """Films SOURCE/PERSON/NAME.* that have no SOURCE/PERSON/NAME.npz yet."""
    if not source.is_dir():
        return []
    found = [
        path
        for person in sorted(source.iterdir())
        if person.is_dir()
        for path in sorted(person.iterdir())
    ]
    return [p for p in found if is_film(p) and not p.with_suffix(".npz").exists()]


def record_films(
    source: Path, into: Path, settings: TrackingSettings, say: Callable[[str], None]
) -> list[str]:
    """Track every film in `source` that has no motion yet; what was left out, and why.

    Pieces that an earlier run left in `into` are not tracked again.

    Args:
        source: folder of folders, one a person.
        into: where the recordings go, in the same layout.
        settings: of the tracking.
        say: told what came of each film.

    Raises:
        TrackingError: no landmark model, or no MediaPipe.
        OSError: the disk refuses.
    """
    films = films_without_motion(source)
    _link_others(source, into, films)
    left_out: list[str] = []
    for count, path in enumerate(films, 1):
        name = f"{path.parent.name}/{path.name}"
        folder = into / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.glob(f"{path.stem}_[0-9][0-9][0-9].npz")):
            continue
        try:
            film = Film(path)
            if not film.has_sound:
                raise TrackingError(f"{path}: has no sound; training needs what was said")
            label = f"{count} of {len(films)}: {name}"
            found = track_source(film, settings, label, into)
            pieces = _write_pieces(folder, path.stem, film, found)
        except TrackingError as error:
            if _for_all(error):
                raise
            left_out.append(str(error))
            continue
        if not pieces:
            doubts = ", ".join(f"{100 * s:.0f} % {t}" for t, s in shares(found.marks).items())
            left_out.append(
                f"{name}: no {SHORTEST / FPS:g} s in one piece that can be believed, with speech"
                + (f" ({doubts})" if doubts else "")
            )
            continue
        say(f"{name}: {pieces} pieces, {100 * believed(found.marks).mean():.0f} % believed")
    return left_out


def _for_all(error: TrackingError) -> bool:
    """Whether every other film would fail in the same way."""
    return any(word in str(error) for word in ("landmark model", "MediaPipe"))


def _write_pieces(folder: Path, stem: str, film: Film, found: Tracked) -> int:
    """Write each run that can be believed; how many there are."""
    sound = np.concatenate([np.zeros(0, np.float32), *sound_of(film)])
    step = SAMPLE_RATE // FPS
    count = 0
    for run in runs(believed(found.marks), SHORTEST):
        piece = sound[run.start * step : run.stop * step]
        frames = min(run.stop - run.start, len(piece) // step)
        if frames < SHORTEST or float(np.sqrt((piece**2).mean())) < SILENT:
            continue
        part = slice(run.start, run.start + frames)
        cut = replace(found, exp=found.exp[part], pose=found.pose[part], marks=found.marks[part])
        write_wave(folder / f"{stem}_{count:03d}.wav", [piece[: frames * step]])
        write_motion(folder / f"{stem}_{count:03d}.npz", cut)
        count += 1
    return count


def _link_others(source: Path, into: Path, films: list[Path]) -> None:
    """Bring what needs no tracking: recordings with motion, and the lists of whom to hold out."""
    skipped = set(films)
    for path in sorted(source.glob("*/*")):
        if path.is_file() and path not in skipped:
            _link(path, into / path.parent.name / path.name)
    for name in HELD_OUT:
        if (source / name).is_file():
            _link(source / name, into / name)


def _link(path: Path, to: Path) -> None:
    if to.exists():
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, to)
    except OSError:  # another disk
        shutil.copyfile(path, to)
