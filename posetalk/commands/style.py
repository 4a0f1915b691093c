"""`posetalk style`: make speaking styles from motion, and list those that there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.commands.options import Debug

Bundle = Annotated[str, tyro.conf.arg(metavar="starter|DIR", help="Bundle that will speak so.")]


@dataclass(frozen=True, kw_only=True)
class Extract:
    """Make a style from a clip of motion: how somebody moves while speaking, for any speech.

    posetalk brings clips to try it with: `posetalk style list` names them.
    """

    motion: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="MOTION.npz",
            help="Motion file, as `posetalk animate -o FILE.npz` writes, or with another tracker's "
            "`exp` (L, 50) and `pose` (L, 6: global rotation, jaw; axis-angle) at 25 fps; or the "
            "name of a clip that comes along (`./NAME` is a file).",
        ),
    ]
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="NAME|FILE.npz|FILE.npy")]
    """Name for `--style NAME` from now on; or a file, for `--style FILE`."""
    start: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: the mean over the whole clip)"),
    ] = None
    """Take the 4 seconds from this frame alone, as the released code does."""
    bundle: Bundle = "starter"
    debug: Debug = False

    def run(self) -> int:
        from diffposetalk.bundle.styles import SUFFIXES, own_path, write_style
        from posetalk.app.style_extraction import extract, nearest, open_clip, refuse_taken
        from posetalk.terminal.console import say
        from posetalk.terminal.progress import working

        to_file = Path(self.output).suffix.lower() in SUFFIXES
        if not to_file:
            refuse_taken(self.output, self.bundle)
        clip = open_clip(self.motion)
        with working(f"loading {self.bundle}"):
            made = extract(clip, self.bundle, start=self.start)
        path = Path(self.output) if to_file else own_path(self.output, made.encoder)
        write_style(path, made.vector, encoder=made.encoder, source=str(self.motion))
        say(f"{path}: {made.frames} frames of {clip.path}, {nearest(made)}")
        say(f"speak so with --style {self.output}")
        return 0


@dataclass(frozen=True)
class List:
    """List the styles: the bundle's, your own, and the clips that come along to make more of."""

    bundle: Bundle = "starter"
    debug: Debug = False

    def run(self) -> int:
        from posetalk.app.style_extraction import listing

        print(listing(self.bundle))
        return 0


@dataclass(frozen=True)
class Style:
    """Make speaking styles from motion, and list them.

    Use one with `--style NAME`, mix them with `--style 'calm*0.7+lively*0.3'`.
    """

    action: (
        Annotated[Extract, tyro.conf.subcommand("extract")]
        | Annotated[List, tyro.conf.subcommand("list")]
    )

    @property
    def debug(self) -> bool:
        """Whether to log what happens."""
        return self.action.debug

    def run(self) -> int:
        return self.action.run()
