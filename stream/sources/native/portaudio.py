"""Microphones as PortAudio lists them: which there are, and what they take.

One of the two files that import sounddevice; the other plays.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from stream.audio import SAMPLE_RATE, SourceError
from stream.sources.channel_choice import Channel
from stream.sources.native.calls import NoAnswerError, answered
from stream.sources.native.messages import quiet_native_code

_open_streams = 0
_open_lock = threading.Lock()


class MicrophoneError(SourceError):
    """No microphone, or it went away: `reason` says what is wrong, the message also what to do."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(f"{reason}: {advice}" if advice else reason)
        self.reason = reason


@dataclass(frozen=True)
class InputDevice:
    """One entry of `list_microphones`; `index` or `name` selects it."""

    index: int
    name: str
    channels: int
    sample_rate: int
    is_default: bool


def list_microphones() -> list[InputDevice]:
    """The input devices there are now.

    Raises `MicrophoneError` when PortAudio is missing or the sound server does not answer.
    """
    try:
        return answered(_list)
    except NoAnswerError:
        raise no_answer() from None


def _list() -> list[InputDevice]:
    sd = portaudio()
    default = _default_input(sd)
    return [
        InputDevice(
            index,
            str(device["name"]),
            int(device["max_input_channels"]),
            int(device["default_samplerate"]),
            index == default,
        )
        for index, device in enumerate(sd.query_devices())
        if device["max_input_channels"] > 0
    ]


def no_answer() -> MicrophoneError:
    """What is said where the sound server keeps silent."""
    return MicrophoneError(
        "the sound server does not answer",
        "start it again, or use another source (`--source demo` or a file)",
    )


def count_open(change: int) -> None:
    """So many streams more are open, or fewer: while one is, the devices are not listed anew."""
    global _open_streams
    with _open_lock:
        _open_streams += change


def portaudio() -> Any:
    """sounddevice, with a device list of this moment; raises MicrophoneError."""
    try:
        import sounddevice as sd
    except (ImportError, OSError):
        raise MicrophoneError(
            "the microphone needs sounddevice and PortAudio",
            "`pip install sounddevice`, on Debian and Ubuntu also `sudo apt install libportaudio2`",
        ) from None
    with _open_lock, quiet_native_code():
        if not _open_streams:  # PortAudio lists devices once, when it is initialised
            sd._terminate()
            sd._initialize()
    return sd


def _default_input(sd: Any) -> int:
    try:
        return int(sd.query_devices(kind="input")["index"])
    except (sd.PortAudioError, ValueError):
        return -1


def choose(sd: Any, device: int | str | None) -> Any:
    """PortAudio's description of the wanted device; raises MicrophoneError."""
    if not any(entry["max_input_channels"] > 0 for entry in sd.query_devices()):
        raise MicrophoneError(
            "no microphone found", "plug one in, or use another source (`--source demo` or a file)"
        )
    try:
        return sd.query_devices(device, kind="input")
    except (sd.PortAudioError, ValueError) as error:
        wanted = "default microphone" if device is None else f"microphone {device!r}"
        raise MicrophoneError(
            f"no {wanted} ({reason_of(error)})", "`posetalk devices` lists those there are"
        ) from None


def settings_for(sd: Any, info: Any, channel: Channel) -> tuple[int, int]:
    """(rate, channels) the device accepts: 16 kHz and as few as hold `channel` if it can.

    Raises:
        MicrophoneError: the device has no such channel.
    """
    own_rate, most = int(info["default_samplerate"]), int(info["max_input_channels"])
    if isinstance(channel, int) and channel > most:
        raise MicrophoneError(
            f"the microphone {info['name']!r} has {most} channels, no channel {channel}"
        )
    wanted = {"auto": (1, min(2, most)), "mix": (most,)}.get(str(channel), (channel, most))
    for rate in (SAMPLE_RATE, own_rate):
        for channels in wanted:
            try:
                sd.check_input_settings(
                    device=int(info["index"]), channels=channels, dtype="float32", samplerate=rate
                )
            except (sd.PortAudioError, ValueError):
                continue
            return rate, int(channels)
    return own_rate, int(wanted[0])


def reason_of(error: Exception) -> str:
    """What an error of PortAudio says, in one line."""
    return str(error).splitlines()[0].strip() if str(error) else type(error).__name__
