"""`posetalk animate`: recorded speech to a video or a motion file."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from posetalk.commands.options import Debug, Model


@dataclass(frozen=True, kw_only=True)
class Animate:
    """Make a video or a motion file from recorded speech, faster than it was spoken.

    Ctrl-C keeps what is finished.
    """

    audio: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="AUDIO")]
    """Speech: WAV, FLAC, MP3, Ogg, ...; any rate, any length. `demo` is the demo speech."""
    output: Annotated[
        tuple[Path, ...],
        tyro.conf.arg(
            aliases=["-o"],
            metavar="OUT.mp4|OUT.npz ...",
            help="Files to write, by their endings: .mp4 is a video with the sound; .npz holds "
            "`exp` (L, 50), `pose` (L, 6: global rotation, jaw; axis-angle), `shape` (100,), "
            "`fps` and `head`; .csv has ARKit weights as Live Link Face exports them; .glb and "
            ".usda are the animated head for Blender, game engines and film tools; .bvh its "
            "joints.",
            help_behavior_hint="(default: the name of AUDIO, .mp4, in this folder)",
        ),
    ] = ()
    size: Annotated[int, tyro.conf.arg(metavar="N")] = 512
    """Width and height of the video in pixels, an even number."""
    model: Model = field(default_factory=Model)
    debug: Debug = False

    def run(self) -> int:
        from posetalk import demo_speech
        from posetalk.messages import UsageError, say
        from posetalk.offline import blocks_of, run
        from posetalk.outputs import check_names, open_outputs
        from posetalk.progress import frame_bar
        from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
        from stream.sources.file import FileSource

        audio = demo_speech() if self.audio == Path("demo") else self.audio
        paths = self.output or (Path(audio.stem + ".mp4"),)
        check_names(paths)
        if self.size < 16 or self.size % 2:
            raise UsageError(f"--size {self.size}: must be even, and 16 or more")
        source = FileSource(audio, pace="fast")
        session = self.model.session()
        head_id = session.backend.head_id
        outputs = open_outputs(paths, head_id=head_id, shape=session.shape, size=self.size)
        started = time.monotonic()
        done = 0
        try:
            with frame_bar(audio.name, source.samples // FRAME_SAMPLES) as progress:

                def note(frames: int) -> None:
                    nonlocal done
                    done = frames
                    progress(frames)

                run(session, blocks_of(source), outputs, note)
        finally:
            spent = time.monotonic() - started
            length = done * FRAME_SAMPLES / SAMPLE_RATE
            if done:
                names = ", ".join(str(output.path) for output in outputs)
                speed = length / max(spent, 1e-9)
                say(f"{names}: {length:.1f} s in {spent:.1f} s ({speed:.1f} times real time)")
        return 0
