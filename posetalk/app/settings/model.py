"""What turns the sound into motion: bundle, style and head, how soon it speaks, what runs it.

The annotations are for the commands' help and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, get_args

import tyro

from posetalk.terminal.tyro_options import one_of
from stream.backends.names import OF_EXPORTS, BackendName, Precision, check_precision
from stream.run.presets import PresetName, with_preset

if TYPE_CHECKING:
    from stream.core.options import SessionOptions

_BY_BUNDLE = "(default: the bundle's)"


def gaze_of(text: str) -> float:
    """What `--gaze` says: 0 is at who watches, 1 natural.

    Raises:
        UsageError: neither a name nor a number from 0 to 1.
    """
    from posetalk.terminal.console import UsageError
    from stream.core.conditions import NATURAL, check_gaze

    named = {"natural": NATURAL, "at-you": 0.0}
    try:
        return named[text] if text in named else check_gaze(float(text))
    except ValueError:
        raise UsageError(
            f"--gaze {text}: choose natural, at-you, or a number from 0 (at you) to 1 (natural)"
        ) from None


@dataclass(frozen=True)
class ModelSettings:
    """What turns the sound into motion."""

    bundle: Annotated[str, tyro.conf.arg(metavar="starter|DIR")] = "starter"
    """Weights: `starter`, which comes with posetalk, or the folder of another bundle."""
    style: Annotated[
        str | None, tyro.conf.arg(metavar="NAME|MIX|FILE", help_behavior_hint=_BY_BUNDLE)
    ] = None
    """Speaking style: a name, a mix such as calm*0.7+lively*0.3, or a style file. `posetalk style
    list` names them."""
    preset: PresetName = "default"
    """How soon the face speaks: `fast` a frame (40 ms) sooner than the default, `careful` three
    later, having heard more. The flags below change single settings."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="K", help_behavior_hint=_BY_BUNDLE)] = None
    """Network calls per hop, 1 to 20."""
    hop: Annotated[int | None, tyro.conf.arg(metavar="H", help_behavior_hint=_BY_BUNDLE)] = None
    """Frames (40 ms each) between two model calls. Smaller is sooner and costs more."""
    lookahead: Annotated[int | None, tyro.conf.arg(metavar="R", help_behavior_hint=_BY_BUNDLE)] = (
        None
    )
    """Frames of sound heard after a frame before it is shown."""
    gaze: Annotated[
        str, tyro.conf.arg(metavar="natural|at-you|0..1", help_behavior_hint="(default: natural)")
    ] = "natural"
    """Where the eyes look: as those of people who speak and listen, who look away at times; at who
    watches; or in between, from 0 (at you) to 1 (natural)."""
    still: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Head, eyes and brows rest, while lips speak and lids blink."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """The same seed, sound and settings give the same motion."""
    backend: BackendName = "auto"
    """What runs the model: `auto` is the best that is installed. `fake` has no model: the jaw
    follows the loudness."""
    precision: Annotated[
        str | None,
        one_of(*get_args(Precision), *OF_EXPORTS),
        tyro.conf.arg(
            metavar="fp32|bf16|fp16",
            help="Of torch's matrix products. bf16 takes half the time for large networks where "
            "the CPU or GPU has matrix units for it, and moves the motion by about a hundredth of "
            "its range. `auto` then means torch; exported graphs have their own.",
            help_behavior_hint="(default: fp32)",
        ),
    ] = None
    gpu: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: the first)")
    ] = None
    """Which GPU runs the model, counted from 0, with a backend that runs on one."""
    head: Annotated[
        str | None, tyro.conf.arg(metavar="NAME|FILE.npz", help_behavior_hint=_BY_BUNDLE)
    ] = None
    """Head to move: one that `posetalk head list` names, or a file. Motion made for another head
    is mapped to it."""

    def check(self, *, live: bool = True) -> None:
        """Judge the options before any work is done; `live` is what paper mode is not.

        Raises:
            UsageError: a precision that the backend cannot have, or what no session can.
        """
        from posetalk.terminal.console import UsageError

        if self.steps is not None:
            from stream.core.options import MOST_STEPS

            if self.steps < 1 or (live and self.steps > MOST_STEPS):
                most = f"1 to {MOST_STEPS}" if live else "1 or more"
                raise UsageError(f"--steps {self.steps}: choose {most} network calls per hop")
        if self.hop is not None and self.hop < 1:
            raise UsageError(f"--hop {self.hop}: choose 1 frame or more")
        if self.lookahead is not None and self.lookahead < 0:
            raise UsageError(f"--lookahead {self.lookahead}: choose 0 frames or more")
        gaze_of(self.gaze)
        if self.precision in OF_EXPORTS:
            how = f"{self.bundle} -o DIR --precision {self.precision}"
            how += "" if self.precision == "int8" else " --to tensorrt"
            raise UsageError(
                f"--precision {self.precision} is chosen at the export: `posetalk export {how}`, "
                "then `--bundle DIR`"
            )
        try:
            check_precision(self.backend, self.precision)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def live_options(self) -> SessionOptions:
        """The live settings among these options.

        Raises:
            ValueError: there is no such preset.
        """
        from stream.core.options import SessionOptions

        given = SessionOptions(
            hop=self.hop,
            lookahead=self.lookahead,
            steps=self.steps,
            gaze=gaze_of(self.gaze),
            still=self.still,
        )
        return with_preset(self.preset, given)
