"""`posetalk animate`: recorded speech to a video or a motion file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from posetalk.app.film.settings import FILMS, FilmSettings
from posetalk.app.settings.model import ModelSettings
from posetalk.app.settings.stream import ChannelChoice, channel_of
from posetalk.commands.options import Debug, Flag
from posetalk.terminal.tyro_options import one_of

if TYPE_CHECKING:
    from posetalk.formats.motion_file import FloatArray
    from stream.sources.file import FileSource
    from viewer.play.film import Film

    Work = Callable[[Callable[[int], None]], int]


@dataclass(frozen=True, kw_only=True)
class Animate:
    """Make a video or a motion file from recorded speech, faster than it was spoken.

    What stands under the names of OUT stays until the new files are whole; Ctrl-C keeps what is
    finished beside them, and says where.
    """

    audio: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="AUDIO ...", help_behavior_hint="(needed)"),
    ]
    """Speech: WAV, FLAC, MP3, Ogg, M4A, films, ...; any rate, any length. `demo` is the demo speech
    (`./demo` a file of that name). Several make a video each, in the folder of -o; with --ray
    folders may be named too."""
    output: Annotated[
        tuple[Path, ...],
        tyro.conf.arg(
            aliases=["-o"],
            metavar="OUT.mp4|OUT.npz ...|DIR",
            help="Files to write, by their endings: .mp4, .webm and .mov are videos with the "
            "sound, .png a picture a frame; .npz holds "
            "`exp` (L, 50), `pose` (L, 6: global rotation, jaw; axis-angle), `shape` (100,), "
            "`fps` and `head`; .csv has ARKit weights as Live Link Face exports them; .glb and "
            ".usda are the animated head for Blender, game engines and film tools; .bvh its "
            "joints. A folder takes a video of each AUDIO.",
            help_behavior_hint="(default: the name of AUDIO, .mp4, in this folder)",
        ),
    ] = ()
    channel: ChannelChoice = "auto"
    mode: Annotated[
        Literal["live", "paper"],
        tyro.conf.arg(
            help="`live` is what `posetalk live` does. `paper` is DiffPoseTalk as released: the "
            "whole clip at once, windows of 4 s, 500 steps. Slow; on torch."
        ),
    ] = "live"
    sampler: Annotated[
        Literal["ancestral", "dpm++"] | None,
        one_of("ancestral", "dpm++"),
        tyro.conf.arg(
            metavar="ancestral|dpm++",
            help="Of paper mode: `ancestral` takes all trained steps, `dpm++` --steps.",
            help_behavior_hint="(default: ancestral, or dpm++ where --steps is given)",
        ),
    ] = None
    audio_guidance: Annotated[
        float | None, tyro.conf.arg(metavar="W", help_behavior_hint="(default: the bundle's)")
    ] = None
    """How much more the motion follows the sound than it was trained to: 1 is as trained."""
    style_guidance: Annotated[
        float | None, tyro.conf.arg(metavar="W", help_behavior_hint="(default: the bundle's)")
    ] = None
    """How much more it follows the style: 1 is as trained."""
    threshold: Annotated[
        float | None, tyro.conf.arg(metavar="Q", help_behavior_hint="(default: off)")
    ] = None
    """Of paper mode: clip motion at this quantile of its size, 0 to 1; 0.99 for released models
    with head motion."""
    shape: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FILE.npy", help_behavior_hint="(default: the bundle's mean)"),
    ] = None
    """Identity, (100,) shape coefficients of the head; or a motion file, to look as it does."""
    force: Flag = False
    """Replace whatever is there; without it, only clips of posetalk's own that are no longer."""
    ray: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: one after another)")
    ] = None
    """A motion file of each AUDIO, and of all sound in folders that are named, into DIR, by many
    workers on Ray: on this machine, or the cluster of RAY_ADDRESS. What is there is not made
    again."""
    kind: Annotated[Literal["npz", "glb"], tyro.conf.arg(metavar="npz|glb")] = "npz"
    """Of the files that --ray makes."""
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: one for each core)")
    ] = None
    """Of --ray: processes of one thread each."""
    film: FilmSettings = field(default_factory=FilmSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    debug: Debug = False

    def run(self) -> int:
        from posetalk.terminal.console import UsageError, say

        if self.ray is not None:
            return self._corpus(self.ray)
        if self.workers is not None or self.kind != "npz":
            raise UsageError("--workers and --kind go with --ray DIR")
        jobs = self._jobs()
        every = [path for _, paths in jobs for path in paths]
        film = self.film.film(every)
        self._check_mode()
        replaced = [self._replaced(audio, paths) for audio, paths in jobs]
        for (audio, paths), there in zip(jobs, replaced, strict=True):
            self._make(audio, paths, film)
            if there:
                say(f"replaced what was there as {', '.join(map(str, there))}")
        return 0

    def _corpus(self, folder: Path) -> int:
        """Animate many files by many workers; 1 where some of them failed."""
        from posetalk.corpus.jobs import Corpus
        from posetalk.corpus.told import animate_into
        from posetalk.terminal.console import UsageError

        if self.output or self.shape is not None or self.mode != "live":
            raise UsageError("--ray makes motion files as live does: no -o, --shape or --mode")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}: at least 1")
        self._check_mode()
        channel_of(self.channel)
        corpus = Corpus(
            self.model,
            self.kind,
            self.audio_guidance,
            self.style_guidance,
            self.channel,
            self.film.fps,
            self.film.neutral,
            self.force,
        )
        return animate_into(folder, self.audio, corpus, self.workers)

    def _jobs(self) -> list[tuple[Path, tuple[Path, ...]]]:
        """Each sound and the files that are made of it.

        Raises:
            UsageError: names that cannot be, or that several sounds would share.
        """
        from posetalk import demo_speech
        from posetalk.app.outputs import check_names
        from posetalk.terminal.console import UsageError

        if not self.audio:
            raise UsageError("AUDIO: name a sound file, or `demo`")
        sounds = [demo_speech() if name == "demo" else Path(name) for name in self.audio]
        folder = Path()
        if len(self.output) == 1 and self.output[0].is_dir():
            folder = self.output[0]
        elif self.output and len(sounds) > 1:
            raise UsageError("several AUDIO files: -o names one folder that is there")
        elif self.output:
            check_names(self.output)
            return [(sounds[0], self.output)]
        jobs: list[tuple[Path, tuple[Path, ...]]] = [
            (sound, (folder / f"{sound.stem}.mp4",)) for sound in sounds
        ]
        names = [paths[0] for _, paths in jobs]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"{name} would be made of {names.count(name)} AUDIO files")
        check_names(names)
        return jobs

    def _replaced(self, audio: Path, paths: tuple[Path, ...]) -> list[Path]:
        """Which files of one sound are there already.

        Raises:
            UsageError: more would be lost than is made.
        """
        from posetalk.formats.existing import check_existing
        from stream.sources.decoding.decoder import open_decoder

        if not any(path.exists() for path in paths):
            return []
        with contextlib.closing(open_decoder(audio)) as decoder:
            seconds = decoder.seconds
        read = [audio, *([] if self.shape is None else [self.shape])]
        return check_existing(paths, seconds, inputs=read, force=self.force)

    def _make(self, audio: Path, paths: tuple[Path, ...], film: Film) -> None:
        """Make the files of one sound, and say how fast it went."""
        from posetalk.terminal.console import say
        from posetalk.terminal.progress import frame_bar
        from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
        from stream.sources.file import FileSource

        source = FileSource(audio, pace="fast", channel=channel_of(self.channel))
        made = self._live if self.mode == "live" else self._paper
        work = made(source, paths, film)
        started = time.monotonic()
        drawn = any(path.suffix.lower() in (*FILMS, ".png") for path in paths)
        advice = "; a smaller --size is drawn and encoded faster" if drawn else ""
        with frame_bar(audio.name, source.samples // FRAME_SAMPLES, advice=advice) as progress:
            frames = work(progress)
        spent = time.monotonic() - started
        length = frames * FRAME_SAMPLES / SAMPLE_RATE
        speed = length / max(spent, 1e-9)
        names = ", ".join(map(str, paths))
        say(f"{names}: {length:.1f} s in {spent:.1f} s ({speed:.1f} times real time)")

    def _check_mode(self) -> None:
        from posetalk.terminal.console import UsageError

        self.model.check(live=self.mode == "live")
        if self.mode == "live":
            for name in ("sampler", "threshold"):
                if getattr(self, name) is not None:
                    raise UsageError(f"--{name} goes with --mode paper")
            return
        timed = (self.model.hop, self.model.lookahead)
        if any(it is not None for it in timed) or self.model.preset != "default":
            raise UsageError(
                "--preset, --hop and --lookahead go with --mode live: paper mode has none of them"
            )
        if self.model.head is not None:
            raise UsageError("--head goes with --mode live: paper mode keeps to the bundle's head")
        if self.model.backend not in ("auto", "torch"):
            raise UsageError(f"--backend {self.model.backend}: paper mode runs on torch")

    def _live(self, source: FileSource, paths: tuple[Path, ...], film: Film) -> Work:
        """The same session as live, as fast as it goes."""
        from posetalk.app.animate import blocks_of, run
        from posetalk.app.opening import open_session
        from posetalk.app.outputs import open_outputs
        from stream.core.options import SessionOptions

        session = open_session(
            self.model,
            options=SessionOptions(
                audio_guidance=self.audio_guidance, style_guidance=self.style_guidance
            ),
            shape=None if self.shape is None else self._identity(),
            needs_head=_needs_head(paths),
        )
        head_id = session.head_id
        outputs = open_outputs(paths, head_id=head_id, shape=session.shape, film=film)
        return lambda progress: run(session, blocks_of(source), outputs, progress)

    def _paper(self, source: FileSource, paths: tuple[Path, ...], film: Film) -> Work:
        """The released pipeline, over the whole clip at once."""
        import numpy as np

        from diffposetalk.bundle.bundle import require_head
        from posetalk.app import paper
        from posetalk.app.animate import blocks_of
        from posetalk.app.outputs import open_outputs
        from posetalk.terminal.progress import working

        if _needs_head(paths):
            require_head(self.model.bundle)
        with working(f"loading {self.model.bundle}"):
            loaded = paper.load(self.model.bundle, self.model.precision)
        from diffposetalk.paper_mode.pipeline import PaperClip, check_settings

        shape = None if self.shape is None else self._identity()
        style = paper.style_vector(loaded, self.model.bundle, self.model.style)
        settings = paper.settings_of(
            self.sampler, self.model.steps, self.audio_guidance, self.style_guidance, self.threshold
        )
        check_settings(settings, loaded.bundle.spec)
        clip = PaperClip(np.concatenate(list(blocks_of(source))), shape, style, self.model.seed)
        outputs = open_outputs(
            paths,
            head_id=loaded.bundle.head_id,
            film=film,
            shape=loaded.bundle.statistics.shape_mean if shape is None else shape,
        )
        return lambda progress: paper.run(loaded, clip, settings, outputs, progress)

    def _identity(self) -> FloatArray:
        from diffposetalk.bundle.bundle import read_spec
        from posetalk.app.paper import read_shape

        return read_shape(str(self.shape), read_spec(self.model.bundle).n_shape)


def _needs_head(paths: tuple[Path, ...]) -> bool:
    """Motion files are numbers alone; pictures and other programs' files show a head."""
    return any(path.suffix.lower() != ".npz" for path in paths)
