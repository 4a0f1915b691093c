"""`posetalk import`: a released DiffPoseTalk checkpoint to a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from head.errors import NotInstalled
from posetalk.commands.options import Debug, Flag


@dataclass(frozen=True, kw_only=True)
class Import:
    """Make a bundle of a DiffPoseTalk checkpoint (.pt), released or your own.

    Checkpoints are read as data: nothing in them is run. docs/released_weights.md has the steps.
    """

    denoiser: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DENOISER.pt")]
    """Checkpoint of the denoiser, as experiments/DPT/NAME/checkpoints/iter_0110000.pt."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="BUNDLE")]
    """Folder to make: then `posetalk live --bundle BUNDLE`."""
    stats: Annotated[
        Path | None, tyro.conf.arg(metavar="stats_train.npz", help_behavior_hint="(needed)")
    ] = None
    """Statistics of the data that it was trained with; checkpoints do not hold them."""
    style_encoder: Annotated[
        Path | None, tyro.conf.arg(metavar="SE.pt", help_behavior_hint="(default: no new styles)")
    ] = None
    """Checkpoint of the style encoder that it was trained with, to make styles from motion."""
    styles: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no style)")
    ] = None
    """Folder of style vectors (.npy); each becomes a style named as its file."""
    head: Annotated[str, tyro.conf.arg(metavar="ID|HEAD.npz")] = "flame"
    """Head that its motion belongs to; `posetalk head import` brings FLAME."""
    set: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="(default: nothing)"),
    ] = ()
    """Training arguments that the checkpoint does not say, as audio_model=hubert."""
    force: Flag = False
    """Replace a bundle that is there."""
    debug: Debug = False

    def run(self) -> int:
        from posetalk.terminal.console import UsageError, say
        from posetalk.terminal.progress import working

        given = dict(text.partition("=")[::2] for text in self.set)
        if not all("=" in text for text in self.set) or "" in given:
            raise UsageError("--set takes NAME=VALUE")
        if self.output.is_dir() and any(self.output.iterdir()) and not self.force:
            raise UsageError(f"{self.output} is there already: give another -o, or --force")
        try:
            from diffposetalk.importing.released import Files, import_released
        except ModuleNotFoundError as error:
            raise NotInstalled(
                f"reading checkpoints needs {error.name}: run `pip install 'posetalk[torch]'`"
            ) from None

        files = Files(
            denoiser=self.denoiser,
            stats=self.stats,
            style_encoder=self.style_encoder,
            styles=self.styles,
            given=given,
            head=_head_id(self.head),
        )
        with working(f"reading {self.denoiser}"):
            bundle = import_released(files, self.output)
        kind = "with head motion" if bundle.spec.head_rotation else "without head motion"
        say(f"{bundle.folder}: {kind}; styles {', '.join(bundle.styles)}")
        say(f"try `posetalk animate demo --bundle {bundle.folder} -o demo.npz`")
        return 0


def _head_id(id_or_file: str) -> str:
    """The id of a head that may be given as a file: a bundle names ids only."""
    from head.library import is_id
    from head.rig import load_head

    if is_id(id_or_file) and not id_or_file.endswith(".npz"):
        return id_or_file
    return load_head(id_or_file).id
