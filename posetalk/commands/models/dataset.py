"""`posetalk dataset`: recordings of talking faces to a dataset for training, and its check."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.app.settings.tracking import TrackingSettings
from posetalk.commands.options import Debug, Flag

MOST_LINES = 100


@dataclass(frozen=True, kw_only=True)
class Build:
    """Make a dataset, in the layout of the released one, from folders of films, or of sound and
    motion.

    SOURCE/PERSON/NAME.mp4: films of one person talking, which are tracked first; or NAME.wav with
    NAME.npz (`exp` (L, 50), `pose` (L, 6), `fps`). Speakers are split into training, validation and
    test; SOURCE/val.txt and SOURCE/test.txt may name those to hold out.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Folder of recordings."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """New folder for the dataset."""
    head: Annotated[
        str, tyro.conf.arg(metavar="ID", help_behavior_hint="(default: as the files say)")
    ] = ""
    """Head that the motion belongs to."""
    val: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: a ninth)")
    ] = None
    """Speakers held out to watch the training with."""
    test: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: a ninth)")
    ] = None
    """Speakers held out for the end."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of the choice of speakers."""
    raw: Flag = False
    """Keep the motion as it is; else a Savitzky-Golay filter takes a tracker's jitter out of it
    (expression and jaw over 5 frames, head over 7), as the paper's data had it."""
    recordings: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: they are not kept)")
    ] = None
    """Keep what was tracked of films here, and take what is here already: a build that was broken
    off goes on."""
    landmarks: TrackingSettings = field(default_factory=TrackingSettings)
    debug: Debug = False

    def run(self) -> int:
        from posetalk.tracking.outputs.film_recordings import films_without_motion

        self.landmarks.check()
        if not films_without_motion(self.source):
            return self._build(self.source, [])
        self.output.absolute().parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            kept = self.recordings
            if kept is None:
                beside = f".{self.output.name}-recordings-"
                folder = tempfile.TemporaryDirectory(
                    prefix=beside, dir=self.output.absolute().parent
                )
                kept = Path(stack.enter_context(folder))
            return self._from_films(kept)

    def _from_films(self, kept: Path) -> int:
        from posetalk.terminal.console import say
        from posetalk.tracking.outputs.film_recordings import record_films

        kept.mkdir(parents=True, exist_ok=True)
        left_out = record_films(self.source, kept, self.landmarks, say)
        return self._build(kept, left_out)

    def _build(self, source: Path, left_out: list[str]) -> int:
        from posetalk.terminal.console import say
        from posetalk.terminal.progress import counted
        from training.faces.build import build
        from training.faces.clip_arrays import SetError

        if left_out and not any(source.glob("*/*.npz")):
            raise SetError(f"{self.source}: nothing can be used; first: {left_out[0]}")
        with counted("recordings") as note:
            built = build(
                source,
                self.output,
                head=self.head,
                val=self.val,
                test=self.test,
                seed=self.seed,
                smooth=not self.raw,
                note=note,
            )
        for line in [*left_out, *built.left_out][:MOST_LINES]:
            say(f"left out: {line}")
        people = {
            split: len({video.rpartition("/")[0] for video in videos})
            for split, videos in built.videos.items()
        }
        counts = ", ".join(
            f"{split} {len(videos)} videos of {people[split]} people"
            for split, videos in built.videos.items()
        )
        say(f"{built.folder}: {built.minutes:.1f} minutes; {counts}")
        return 0


@dataclass(frozen=True)
class Check:
    """Say what is wrong with a dataset, or with recordings that are to become one.

    Exits with 1 if anything is: missing clips, lengths that disagree, values that are not finite,
    other rates or sizes, a speaker in two lists, a head that nobody names or that is not here.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Dataset, or folder of recordings."""
    head: Annotated[
        str, tyro.conf.arg(metavar="ID", help_behavior_hint="(default: as the files say)")
    ] = ""
    """Head that the motion belongs to."""
    debug: Debug = False

    def run(self) -> int:
        from posetalk.terminal.console import say
        from posetalk.terminal.progress import counted
        from training.faces.check import check

        problems = 0
        with counted("videos") as note:
            for line in check(self.folder, note, self.head):
                problems += 1
                if problems <= MOST_LINES:
                    print(line, flush=True)
        if problems > MOST_LINES:
            print(f"... and {problems - MOST_LINES} more")
        say(f"{self.folder}: {problems or 'no'} problem{'s' * (problems != 1)}")
        return 1 if problems else 0


@dataclass(frozen=True)
class Dataset:
    """Make and check datasets of talking faces, to train on."""

    action: (
        Annotated[Build, tyro.conf.subcommand("build")]
        | Annotated[Check, tyro.conf.subcommand("check")]
    )

    @property
    def debug(self) -> bool:
        """Whether to log what happens."""
        return self.action.debug

    def run(self) -> int:
        return self.action.run()
