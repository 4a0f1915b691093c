"""`posetalk track`: the motion of a person in a film, as a motion file with its sound beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.app.settings.tracking import TrackingSettings
from posetalk.commands.options import Debug, Flag


@dataclass(frozen=True, kw_only=True)
class Track:
    """Track a person in a film: motion for a head, 25 frames a second, and the sound beside it.

    Frames that cannot be believed (no face, turned away, something before the mouth, a cut) are
    marked in the file and reported. Ask the person first.
    """

    film: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")]
    """Film of one person talking."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="MOTION.npz")]
    """Motion file; the sound goes beside it as MOTION.wav."""
    start: Annotated[float, tyro.conf.arg(metavar="S")] = 0.0
    """Seconds of the film to leave out at its beginning."""
    seconds: Annotated[
        float | None, tyro.conf.arg(metavar="S", help_behavior_hint="(default: to the end)")
    ] = None
    """How much of it to track."""
    head: Annotated[
        str | None, tyro.conf.arg(metavar="NAME|FILE.npz", help_behavior_hint="(default: built-in)")
    ] = None
    """Head whose channels to write; motion is fitted to the built-in head and mapped."""
    compare: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE.mp4", help_behavior_hint="(default: none)")
    ] = None
    """Also write a film with person and head side by side, to see whether it worked."""
    force: Flag = False
    """Replace whatever is there; without it, only tracked motion that is no longer."""
    landmarks: TrackingSettings = field(default_factory=TrackingSettings)
    debug: Debug = False

    def run(self) -> int:
        from head.rig import open_head
        from posetalk.app.film.settings import FILMS
        from posetalk.formats.existing import TRACKED, check_existing
        from posetalk.terminal.console import UsageError, say
        from posetalk.tracking.outputs.with_progress import track_source
        from posetalk.tracking.report import lines
        from posetalk.tracking.sources.film import Film
        from posetalk.tracking.track_file import check_motion_path, write_motion, write_sound

        self.landmarks.check()
        if not 0 <= self.start < math.inf:
            raise UsageError(f"--start {self.start:g}: must be a number of seconds, 0 or more")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise UsageError(f"--seconds {self.seconds:g}: must be a number above 0")
        check_motion_path(self.output)
        if self.compare is not None and self.compare.suffix.lower() not in FILMS:
            raise UsageError(f"--compare {self.compare}: name it something.mp4")
        film = Film(self.film, start=self.start, seconds=self.seconds)
        sound = self.output.with_suffix(".wav")
        names = [self.output, *([] if self.compare is None else [self.compare])]
        if not self.output.exists():  # else it is the sound of that motion
            names.append(sound)
        there = check_existing(
            names, film.seconds, inputs=[self.film], force=self.force, arrays=TRACKED
        )
        head = None if self.head is None else open_head(self.head)
        label = f"tracking {self.film.name}"
        found = track_source(film, self.landmarks, label, self.output.parent)
        page = lines(found, self.film.name)
        write_motion(self.output, found, head)
        heard = write_sound(sound, film)
        print("\n".join(page))
        moved = found.head if head is None else head.id
        say(f"{self.output}: {len(found)} frames for the head {moved}")
        say(f"{sound}: its sound" if heard else f"{self.film}: has no sound; none is kept")
        if self.compare is not None:
            from posetalk.tracking.outputs.side_by_side import write_comparison

            write_comparison(self.compare, film, found)
            say(f"{self.compare}: person and head side by side")
        if there:
            say(f"replaced what was there as {', '.join(map(str, there))}")
        return 0
