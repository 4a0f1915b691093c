"""The settings of a run, as plain dataclasses: what the commands read, and what programs may build.

`posetalk.app.opening` opens sessions, sources and servers from them.  The annotations are for the
commands' help and nothing else.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro

from posetalk.app.tokens import OPERATOR_VARIABLE, TOKEN_VARIABLE, read_token
from posetalk.terminal.choices import one_of
from stream.backends.names import OF_EXPORTS, BackendName, Precision, check_precision
from stream.run.presets import PresetName, with_preset

if TYPE_CHECKING:
    from stream.core.session import SessionOptions
    from stream.sources.channel_choice import Channel

_BY_BUNDLE = "(default: the bundle's)"

MOST_STEPS = 20
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765

ChannelChoice = Annotated[
    str,
    tyro.conf.arg(
        metavar="N|mix",
        help="Which of several channels is heard, from 1, or the mean of all.",
        help_behavior_hint="(default: a film's centre, or those with the speech)",
    ),
]


def channel_of(text: str) -> Channel:
    """What `--channel` says.

    Raises:
        UsageError: neither a number nor `mix`.
    """
    from posetalk.terminal.console import UsageError
    from stream.sources.channel_choice import parse_channel

    try:
        return parse_channel(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


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
    later and surer. The flags below change single settings."""
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

        if self.steps is not None and (self.steps < 1 or (live and self.steps > MOST_STEPS)):
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
        from stream.core.session import SessionOptions

        given = SessionOptions(
            hop=self.hop,
            lookahead=self.lookahead,
            steps=self.steps,
            gaze=gaze_of(self.gaze),
            still=self.still,
        )
        return with_preset(self.preset, given)


@dataclass(frozen=True)
class AddressSettings:
    """Where viewers and game engines connect."""

    host: Annotated[str, tyro.conf.arg(metavar="A")] = DEFAULT_HOST
    """Address to serve on. The default serves this machine only; 0.0.0.0 (with a token) all."""
    port: Annotated[int, tyro.conf.arg(metavar="N")] = DEFAULT_PORT
    """Port to serve on; 0 takes a free one."""
    token: Annotated[
        str | None, tyro.conf.arg(metavar="SECRET", help_behavior_hint="(default: none)")
    ] = None
    """What viewers must bring to connect, 16 characters or more; other hosts need one. Others on
    this machine see command lines: --token-file or the variable POSETALK_TOKEN are not seen."""
    token_file: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")
    ] = None
    """File that holds the token, and nothing else."""
    origin: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="https://PAGE ...", help_behavior_hint="(default: none)"),
    ] = ()
    """Web pages that may connect, besides those of this machine. `null` lets in files and sandboxed
    frames of every site, `*` all pages: these two need a token."""
    tls_cert: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["--certificate"], metavar="FILE.pem", help_behavior_hint="(default: no TLS)"
        ),
    ] = None
    """Serve https:// and wss:// with this certificate, as browsers elsewhere want before they give
    their microphone."""
    tls_key: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FILE.pem", help_behavior_hint="(default: in the certificate's file)"
        ),
    ] = None
    """The certificate's private key."""
    tls_client_ca: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FILE.pem", help_behavior_hint="(default: clients need none)"),
    ] = None
    """Clients must show a certificate, too, signed by one of this file."""

    def check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a port or an origin that cannot be, a token that does not protect, none
                where others can connect.
            OSError: the token's file cannot be read.
        """
        from posetalk.terminal.console import UsageError
        from stream.serve.door.auth import check_door

        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port {self.port}: ports are 0 to 65535")
        if self.tls_key is not None and self.tls_cert is None:
            raise UsageError("--tls-key goes with --tls-cert")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise UsageError("--tls-client-ca goes with --tls-cert")
        try:
            check_door(self.host, self.secret(), os.environ.get(OPERATOR_VARIABLE), self.origin)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def secret(self) -> str | None:
        """The token that clients must bring; None: there is none.

        Raises:
            ValueError, OSError: as `posetalk.app.tokens.read_token`.
        """
        return read_token(self.token, self.token_file, os.environ, TOKEN_VARIABLE)


@dataclass(frozen=True)
class StreamSettings:
    """What `live` and `serve` share."""

    source: Annotated[
        str,
        tyro.conf.arg(
            metavar="mic|demo|FILE|-|push|none",
            help="Sound: the microphone; the demo speech (`./demo` is a file); an audio file or a "
            "film; standard input, WAV or raw PCM (16 kHz, mono, signed 16 bit, little endian); "
            "whatever clients push; or none but in sessions of their own.",
        ),
    ] = "mic"
    device: Annotated[
        str | None, tyro.conf.arg(metavar="NAME|N", help_behavior_hint="(default: the system's)")
    ] = None
    """Microphone to use; `posetalk devices` lists them."""
    channel: ChannelChoice = "auto"
    seconds: Annotated[
        float | None,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: to the end, or Ctrl-C)"),
    ] = None
    """Stop after this much sound."""
    sessions: Annotated[int, tyro.conf.arg(metavar="N")] = 8
    """Clients that may have a session of their own at once, each with its own sound and style."""
    other_heads: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME|FILE.npz ...", help_behavior_hint="(default: none)"),
    ] = ()
    """Heads that clients' own sessions may move, besides the one of --head."""
    livelink: Annotated[
        str | None, tyro.conf.arg(metavar="HOST[:11111]", help_behavior_hint="(default: nowhere)")
    ] = None
    """Also send Live Link Face packets (UDP) there: a MetaHuman moves without any plugin."""
    vmc: Annotated[
        str | None, tyro.conf.arg(metavar="HOST[:39539]", help_behavior_hint="(default: nowhere)")
    ] = None
    """Also send the VMC protocol (OSC over UDP) there, for VTuber programs."""
    livelink_fps: Annotated[Literal[25, 30, 60], tyro.conf.arg(metavar="25|30|60")] = 25
    """Live Link Face packets a second; the phone's app sends 60. Motion is interpolated, one frame
    (40 ms) later."""
    vmc_names: Annotated[Literal["all", "arkit", "vrm"], tyro.conf.arg(metavar="all|arkit|vrm")] = (
        "all"
    )
    """Which values go out by VMC: the 52 of perfect sync, the vowels and blinks that every VRM
    avatar has, or both. An avatar that moves twice as much wants one of them."""
    log_json: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Tell what happens as a JSON object a line on standard error, for programs that collect it."""
    model: ModelSettings = field(default_factory=ModelSettings)
    address: AddressSettings = field(default_factory=AddressSettings)

    def check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a value that cannot be.
        """
        from posetalk.terminal.console import UsageError
        from posetalk.terminal.json_log import log_as_json

        if self.log_json:
            log_as_json()
        self.model.check()
        channel_of(self.channel)
        self.address.check()
        if self.sessions < 0:
            raise UsageError(f"--sessions {self.sessions}: at least 0")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise UsageError(f"--seconds {self.seconds:g}: must be a number above 0")
        if self.device is not None and self.source != "mic":
            raise UsageError(f"--device goes with --source mic, not with {self.source!r}")


@dataclass(frozen=True)
class TrackingSettings:
    """How a face in a film is followed."""

    model: Annotated[
        Path | None,
        tyro.conf.arg(metavar="FILE.task", help_behavior_hint="(default: it is looked for)"),
    ] = None
    """MediaPipe's face landmark model, face_landmarker.task; else the cache and installed packages
    are looked through."""
    fetch_model: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = False
    """Fetch the model (3.8 MB, Apache-2.0) from its official address where it is nowhere."""
    face: Annotated[
        int, tyro.conf.arg(metavar="N", help_behavior_hint="(default: the largest)")
    ] = 0
    """Where several faces are: which one, counted from the left."""

    def check(self) -> None:
        """Judge the options before any work is done.

        Raises:
            UsageError: a value that cannot be.
        """
        from posetalk.terminal.console import UsageError

        if not 0 <= self.face <= 9:
            raise UsageError(f"--face {self.face}: count from the left, 1 to 9; 0 is the largest")
