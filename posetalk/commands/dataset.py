"""`posetalk dataset`: recordings of talking faces to a dataset for training, and its check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.commands.options import Debug

MOST_LINES = 100


@dataclass(frozen=True, kw_only=True)
class Build:
    """Make a dataset, in the layout of the released one, from folders of sound and motion.

    SOURCE/PERSON/NAME.wav with SOURCE/PERSON/NAME.npz (`exp` (L, 50), `pose` (L, 6), `fps`) for
    every recording. Speakers are split into training, validation and test; SOURCE/val.txt and
    SOURCE/test.txt may name those to hold out.
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
    debug: Debug = False

    def run(self) -> int:
        from posetalk.terminal.console import say
        from posetalk.terminal.progress import counted
        from training.faces.build import build

        with counted("recordings") as note:
            built = build(
                self.source,
                self.output,
                head=self.head,
                val=self.val,
                test=self.test,
                seed=self.seed,
                note=note,
            )
        for line in built.left_out[:MOST_LINES]:
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
