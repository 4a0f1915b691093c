"""What `live` and `serve` share: where sound comes from, and where frames go.

The annotations are for the commands' help and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from posetalk.app.settings.address import AddressSettings
from posetalk.app.settings.model import ModelSettings

if TYPE_CHECKING:
    from stream.sources.channel_choice import Channel

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
