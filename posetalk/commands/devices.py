"""`posetalk devices`: the microphones there are."""

from __future__ import annotations

from dataclasses import dataclass

from posetalk.commands.options import Debug


@dataclass(frozen=True)
class Devices:
    """List the microphones, for `--device`."""

    debug: Debug = False

    def run(self) -> int:
        from stream.sources.native.portaudio import list_microphones

        microphones = list_microphones()
        if not microphones:
            print("no microphone found; `posetalk live` will play the demo speech")
        for device in microphones:
            mark = "*" if device.is_default else " "
            rate = f"{device.sample_rate / 1000:g} kHz, {device.channels} channels"
            print(f"{mark} {device.index:3}  {device.name}  ({rate})")
        if any(device.is_default for device in microphones):
            print("* is used when --device is not given")
        return 0
