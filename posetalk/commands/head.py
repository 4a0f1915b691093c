"""`posetalk head`: heads from elsewhere, what heads there are, and what is in one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.commands.options import Debug, Flag


@dataclass(frozen=True, kw_only=True)
class Import:
    """Take over a FLAME head (2020, 2023) or ICT-FaceKit's, for `--head NAME`.

    Both are yours to download; their licences go on to apply. No code of the files is run.
    """

    place: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="FILE|FOLDER",
            help="FLAME's generic_model.pkl, flame2023.pkl, ...; or ICT-FaceKit's folder "
            "FaceXModel, or an archive of it.",
        ),
    ]
    name: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME", help_behavior_hint="(default: flame, flame-2023, ict-facekit, ...)"
        ),
    ] = None
    """What it is called from now on. Motion carries the name of the head it was made for."""
    output: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["-o"],
            metavar="FILE.npz",
            help="Write the head there instead, for --head FILE.npz.",
            help_behavior_hint="(default: kept under its name)",
        ),
    ] = None
    shapes: Annotated[int, tyro.conf.arg(metavar="N")] = 100
    """Identity shapes to keep; DiffPoseTalk uses 100."""
    first_expression: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: 300, as in all known files)"),
    ] = None
    """Column of a FLAME file's `shapedirs` where its expressions begin."""
    landmarks: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FILE.json", help_behavior_hint="(default: found by the shape)"),
    ] = None
    """Vertices of a FLAME face by name ({"nose_tip": 3526, ...}), where they are not found."""
    force: Flag = False
    """Replace a head that has this name."""
    debug: Debug = False

    def run(self) -> int:
        from head.importing import import_head
        from head.library import head_path
        from head.rig import CHARACTERS, save_head
        from posetalk.terminal.console import UsageError, say
        from posetalk.terminal.progress import working

        if self.output is not None and self.output.suffix.lower() != ".npz":
            raise UsageError(f"{self.output}: end the name in .npz")
        if self.name is not None:
            head_path(self.name)  # or it is no name
        if self.name in (*CHARACTERS, "builtin"):
            raise UsageError(f"--name {self.name}: that head comes along; choose another name")
        with working(f"reading {self.place}"):
            head = import_head(
                self.place,
                self.name,
                shapes=self.shapes,
                first_expression=self.first_expression,
                landmarks=None if self.landmarks is None else _landmarks(self.landmarks),
            )
        path = head_path(head.id) if self.output is None else self.output
        if path.exists() and not self.force:
            raise UsageError(f"{path} is there already: give another --name, or --force")
        if self.output is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with working(f"writing {path}"):
            save_head(head, path, exact=True)
        use = head.id if self.output is None else path
        say(f"{path}: {head.vertex_count} vertices, {head.shape_count} identity shapes")
        say(f"use it with --head {use}")
        return 0


def check_picture(path: Path | None, size: int, *, force: bool) -> None:
    """Judge the options of a picture before any work is done.

    Raises:
        UsageError: a name that is no picture's or is taken, or a size that cannot be drawn.
    """
    from posetalk.terminal.console import UsageError

    if path is not None and path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"{path}: end the name in .png")
    if path is not None and path.exists() and not force:
        raise UsageError(f"{path} is there already: give another -o, or --force")
    if not 16 <= size <= 8192:
        raise UsageError(f"--size {size}: 16 to 8192 pixels")


def _landmarks(path: Path) -> dict[str, int]:
    """Vertices by name from a JSON file; the importer knows which are right."""
    from head.files.json_file import read_json
    from posetalk.terminal.console import UsageError

    try:
        found = read_json(path)
    except ValueError as error:
        raise UsageError(f"{path}: no JSON ({error})") from None
    if not isinstance(found, dict):
        raise UsageError(f'{path}: give vertices by name, as {{"nose_tip": 3526}}')
    return found


@dataclass(frozen=True)
class List:
    """List the heads there are."""

    debug: Debug = False

    def run(self) -> int:
        from posetalk.app.heads import listing

        print(listing())
        return 0


@dataclass(frozen=True, kw_only=True)
class Show:
    """Say what is in a head, and draw it."""

    head: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE.npz")]
    output: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["-o"], metavar="OUT.png", help_behavior_hint="(default: no picture)"
        ),
    ] = None
    """Picture of it: at rest, with its jaw open, its channels' largest motions, from the side."""
    size: Annotated[int, tyro.conf.arg(metavar="N")] = 320
    """Width and height in pixels of each view."""
    force: Flag = False
    """Replace a picture that is there."""
    debug: Debug = False

    def run(self) -> int:
        from head.rig import load_head
        from posetalk.app.heads import about, picture

        check_picture(self.output, self.size, force=self.force)
        head = load_head(self.head)
        print(about(head))
        if self.output is not None:
            picture(head, self.output, self.size)
        return 0


@dataclass(frozen=True, kw_only=True)
class Paint:
    """Give a head other colours, under a name of its own for `--head NAME`.

    For example: posetalk head paint mira --name lea --colours hair=#7a3b1e shirt=#2d4a8a
    """

    head: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE.npz")]
    name: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """What the painted one is called."""
    colours: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PART=#RRGGBB ...")]
    """Parts as `posetalk head show` lists them (skin, lips, iris, hair, brow, shirt, ...) and their
    colours, before light falls on them. Lids, brows and the collar go with skin, hair and shirt."""
    force: Flag = False
    """Replace a head that has this name."""
    debug: Debug = False

    def run(self) -> int:
        from head.library import head_path
        from head.painting import painted, parse_colour
        from head.rig import CHARACTERS, load_head, save_head
        from posetalk.terminal.console import UsageError, say

        if not self.colours:
            raise UsageError("--colours: give PART=#RRGGBB, such as hair=#7a3b1e")
        wanted = {}
        for each in self.colours:
            part, equals, colour = each.partition("=")
            if not equals:
                raise UsageError(f"--colours {each}: give PART=#RRGGBB, such as hair=#7a3b1e")
            wanted[part] = parse_colour(colour)
        path = head_path(self.name)
        if self.name in (*CHARACTERS, "builtin"):
            raise UsageError(f"--name {self.name}: that head comes along; choose another name")
        if path.exists() and not self.force:
            raise UsageError(f"{path} is there already: give another --name, or --force")
        head = painted(load_head(self.head), self.name, wanted)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_head(head, path, exact=True)
        say(f"{path}: {', '.join(self.colours)}")
        say(f"use it with --head {self.name}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Arkit:
    """Say how well ARKit's 52 shapes follow a head's own motion, and draw the pairs.

    For heads without ARKit channels, FLAME's say, whose weights are solved for. A head that has
    them is judged as if it had not: the truth is then known.
    """

    head: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE.npz")]
    motion: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="MOTION.npz", help_behavior_hint="(default: the starter on the demo speech)"
        ),
    ] = None
    """Motion of this head to judge it on."""
    output: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["-o"], metavar="OUT.png", help_behavior_hint="(default: no picture)"
        ),
    ] = None
    """Pairs of pictures: left the head's own motion, right what the 52 weights make of it."""
    size: Annotated[int, tyro.conf.arg(metavar="N")] = 256
    """Width and height in pixels of each view."""
    force: Flag = False
    """Replace a picture that is there."""
    debug: Debug = False

    def run(self) -> int:
        from head.rig import load_head
        from posetalk.app.arkit_report import judge

        check_picture(self.output, self.size, force=self.force)
        print(judge(load_head(self.head), self.motion, self.output, self.size))
        return 0


@dataclass(frozen=True)
class Heads:
    """Take over heads from elsewhere, list the heads there are, look into one, paint one.

    Use one with `--head NAME`.
    """

    action: (
        Annotated[Import, tyro.conf.subcommand("import")]
        | Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Paint, tyro.conf.subcommand("paint")]
        | Annotated[Arkit, tyro.conf.subcommand("arkit")]
    )

    @property
    def debug(self) -> bool:
        """Whether to log what happens."""
        return self.action.debug

    def run(self) -> int:
        return self.action.run()
