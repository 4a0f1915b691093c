"""One worker of a corpus: holds the model, and animates one sound after the other.

Knows nothing of Ray: it is made in another process, and called there.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posetalk.corpus.jobs import Corpus


@dataclass(frozen=True)
class Expected:
    """What every worker must have as who gave the work has it: numbers of versions, and a hash."""

    bundle: str
    posetalk: str = field(default_factory=lambda: importlib.metadata.version("posetalk"))


@dataclass(frozen=True)
class Outcome:
    """What became of a sound.

    Attributes:
        sound, output: names of files.
        seconds: of speech; spent: of work.
        error: one line; "": it went well.
        fatal: the worker itself is of no use.
        there: the file was there already.
    """

    sound: str
    output: str = ""
    seconds: float = 0.0
    spent: float = 0.0
    error: str = ""
    fatal: bool = False
    there: bool = False


class Worker:
    """Animates; one for each process.

    Args:
        corpus: how.
        expected: what it must have to be of use.
    """

    def __init__(self, corpus: Corpus, expected: Expected) -> None:
        from posetalk.__main__ import explain

        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        self._corpus, self._broken = corpus, ""
        try:
            self._load(expected)
        except Exception as error:
            self._broken = f"node {platform.node()}: {explain(error)}"

    def _load(self, expected: Expected) -> None:
        from head.errors import WrongValue
        from posetalk.app.opening import load_model
        from stream.core.options import SessionOptions

        here = importlib.metadata.version("posetalk")
        if here != expected.posetalk:
            raise WrongValue(
                f"posetalk {here} is installed there, {expected.posetalk} here: install the same"
            )
        bundle = bundle_hash(self._corpus.model.bundle)
        if bundle != expected.bundle:
            raise WrongValue(
                f"the bundle {self._corpus.model.bundle} is another one there: copy yours"
            )
        # The motion is that of one thread, whatever the machine has.
        self._backend, self._mapping = load_model(self._corpus.model, threads=1)
        given = self._corpus.model.live_options()
        wanted = {name: value for name, value in vars(given).items() if value is not None}
        self._options = SessionOptions(
            **{
                "audio_guidance": self._corpus.audio_guidance,
                "style_guidance": self._corpus.style_guidance,
                **wanted,
            }
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The outcome of a row that is a job."""
        return asdict(self.animate(str(row["sound"]), str(row["output"])))

    def animate(self, sound: str, output: str) -> Outcome:
        """Animate one sound; never raises, but for an interrupt."""
        from posetalk.__main__ import explain

        if self._broken:
            return Outcome(sound, error=self._broken, fatal=True)
        began = time.monotonic()
        try:
            seconds, there = self._animate(Path(sound), Path(output))
        except Exception as error:
            return Outcome(sound, error=explain(error))
        return Outcome(sound, output, seconds, time.monotonic() - began, there=there)

    def _animate(self, sound: Path, output: Path) -> tuple[float, bool]:
        """Seconds of speech, and whether the file was there."""
        from posetalk.app.animate import blocks_of, run
        from posetalk.app.outputs import open_outputs
        from posetalk.app.settings.stream import channel_of
        from posetalk.formats.existing import check_existing
        from stream.core.device_session import make_session
        from stream.frames import FRAME_SAMPLES, SAMPLE_RATE
        from stream.sources.file import FileSource
        from viewer.play.film import Film

        corpus = self._corpus
        source = FileSource(sound, pace="fast", channel=channel_of(corpus.channel))
        length = source.samples / SAMPLE_RATE
        if output.exists() and not corpus.force and is_whole(output, length):
            return length, True
        check_existing([output], length, inputs=[sound], force=corpus.force)
        session = make_session(
            self._backend,
            options=self._options,
            style=corpus.model.style,
            seed=corpus.model.seed,
            retarget=self._mapping,
        )
        outputs = open_outputs(
            [output],
            head_id=session.head_id,
            shape=session.shape,
            film=Film(fps=corpus.fps, neutral=corpus.neutral),
        )
        frames = run(session, blocks_of(source), outputs)
        return frames * FRAME_SAMPLES / SAMPLE_RATE, False


def is_whole(output: Path, seconds: float) -> bool:
    """Whether a file of ours is there that is as long as the sound: files are whole, or not there.

    A clip ends within the sound's last frame; with a frame at rest before it, it is one longer.
    """
    from posetalk.formats.existing import TOLERANCE, seconds_of

    return abs(seconds_of(output) - seconds) < TOLERANCE / 2


def bundle_hash(bundle: str) -> str:
    """Of the weights and all that belongs to them.

    Raises:
        diffposetalk.bundle.bundle.BundleError: there is no such bundle.
    """
    from diffposetalk.bundle.bundle import bundle_folder
    from diffposetalk.bundle.reading import CONFIG, sha256_of

    return sha256_of(bundle_folder(bundle) / CONFIG)
