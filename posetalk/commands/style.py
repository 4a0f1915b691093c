"""`posetalk style`: make speaking styles from motion, and list those that there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from posetalk.app.settings.tracking import TrackingSettings
from posetalk.commands.options import Debug, Flag

if TYPE_CHECKING:
    from posetalk.app.style_extraction import Extracted

Bundle = Annotated[str, tyro.conf.arg(metavar="starter|DIR", help="Bundle that will speak so.")]


@dataclass(frozen=True, kw_only=True)
class Extract:
    """Make a style from a person's film, or a clip of motion: how somebody moves while speaking.

    Ask the person first, and say how with --consent. Of a film or the camera nothing is kept but
    the style. posetalk brings clips of motion to try it with: `posetalk style list` names them.
    """

    motion: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="VIDEO|MOTION.npz",
            help="Films of one person talking; or a motion file, as `posetalk track` and `posetalk "
            "animate -o FILE.npz` write, or with another tracker's `exp` (L, 50) and `pose` (L, 6: "
            "global rotation, jaw; axis-angle) at 25 fps; or the name of a clip that comes along "
            "(`./NAME` is a file).",
            help_behavior_hint="(needed, but with --source camera)",
        ),
    ] = ()
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="NAME|FILE.npz|FILE.npy")]
    """Name for `--style NAME` from now on; or a file, for `--style FILE`."""
    source: Annotated[Literal["file", "camera"], tyro.conf.arg(metavar="file|camera")] = "file"
    """The files named, or the camera."""
    seconds: Annotated[float, tyro.conf.arg(metavar="S")] = 20.0
    """How long to look through the camera."""
    camera: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Which camera, as the system counts them."""
    consent: Annotated[
        str, tyro.conf.arg(metavar="TEXT", help_behavior_hint="(default: not stated)")
    ] = ""
    """How the person agreed, such as "Ada, by mail, 3 May": stored with the style."""
    start: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: the mean over the whole clip)"),
    ] = None
    """Take the 4 seconds from this frame of a motion file alone, as the released code does."""
    force: Flag = False
    """Replace a style that has this name, or a file that is there."""
    bundle: Bundle = "starter"
    landmarks: TrackingSettings = field(default_factory=TrackingSettings)
    debug: Debug = False

    def run(self) -> int:
        from diffposetalk.bundle.bundle import load_bundle
        from diffposetalk.bundle.styles import SUFFIXES, encoder_of, own_path, write_style
        from posetalk.app.style_extraction import extract, nearest, open_clip, refuse_taken
        from posetalk.terminal.console import UsageError, say
        from posetalk.terminal.progress import working
        from posetalk.tracking.track_file import is_film

        self._check()
        to_file = Path(self.output).suffix.lower() in SUFFIXES
        if not to_file:
            refuse_taken(self.output, self.bundle)
        path = Path(self.output)
        if not to_file:
            path = own_path(self.output, encoder_of(load_bundle(self.bundle).folder))
        if path.exists() and not self.force:
            raise UsageError(f"{path} is there already: give another -o, or --force")
        filmed = self.source == "camera" or is_film(self.motion[0])
        if filmed:
            made, of = self._from_films()
        else:
            clip = open_clip(self.motion[0])
            tracked = self._from_tracked(clip.path)
            if tracked is None:
                with working(f"loading {self.bundle}"):
                    tracked = extract(clip, self.bundle, start=self.start)
            made = tracked
            of = str(clip.path)
        write_style(path, made.vector, encoder=made.encoder, source=of, consent=self.consent)
        say(f"{path}: {made.frames} frames of {of}, {nearest(made)}")
        if filmed and not self.consent:
            say("the style of a person is theirs: ask, and note it with --consent")
        say(f"speak so with --style {self.output}")
        return 0

    def _check(self) -> None:
        from posetalk.terminal.console import UsageError
        from posetalk.tracking.track_file import is_film

        self.landmarks.check()
        if self.source == "camera":
            if self.motion:
                raise UsageError("--source camera takes no file")
            if not 4 < self.seconds <= 600:
                raise UsageError(f"--seconds {self.seconds:g}: choose above 4 to 600")
            return
        if not self.motion:
            raise UsageError("name a film or a motion file, or use --source camera")
        films = [is_film(name) for name in self.motion]
        if len(self.motion) > 1 and not all(films):
            raise UsageError("several files must all be films")
        if any(films) and self.start is not None:
            raise UsageError("--start goes with a motion file")

    def _from_tracked(self, path: Path) -> Extracted | None:
        """The style in what `posetalk track` wrote; None for other motion."""
        from posetalk.terminal.console import UsageError
        from posetalk.tracking.outputs.film_style import extract_from_motion
        from posetalk.tracking.track_file import read_tracked

        found = read_tracked(path)
        if found is None:
            return None
        if self.start is not None:
            raise UsageError("--start takes one window: not of tracked motion, which has marks")
        made, page = extract_from_motion(path, found, self.bundle)
        print("\n".join(page))
        return made

    def _from_films(self) -> tuple[Extracted, str]:
        """The style of films or the camera, and what it is of."""
        from posetalk.tracking.outputs.film_style import extract_from, open_camera, open_films

        if self.source == "camera":
            sources, of = [open_camera(self.seconds, self.camera)], "the camera"
        else:
            paths = [Path(name) for name in self.motion]
            sources, of = open_films(paths), ", ".join(path.name for path in paths)
        made, page = extract_from(sources, self.bundle, self.landmarks)
        print("\n".join(page))
        return made, of


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
