"""Utterances of one voice, animated: sound in, the same sound in frames with their motion out.

Nothing of Pipecat is here.  One thread at a time.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from head.arkit.weights import arkit_weights
from head.errors import WrongValue
from head.model import Head
from head.skinning import motion_to_parameters
from stream.core.session import Session
from stream.frames import SAMPLE_RATE, Frame
from stream.serve.a2f.clip import BITS, SpeechClip, format_fault

Floats = NDArray[np.float32]

MOTION, CLOCK, END, CUT = "posetalk", "posetalk-clock", "posetalk-end", "posetalk-cut"
"""Types of the messages to the client."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """40 ms of an utterance.

    Attributes:
        utterance: its number, from 0.
        seconds: of the utterance's sound, where they begin.
        weights: (52,) of ARKit, 0 to 1.
        rotation: (3,) of the head, axis-angle, radians.
        sound: as it came; shorter at the utterance's end.
        frame: the motion itself.
    """

    utterance: int
    seconds: float
    weights: Floats
    rotation: Floats
    sound: bytes
    frame: Frame

    def message(self) -> dict[str, Any]:
        """For the client: `w` are the 52 weights in bytes, 255 is 1, as base64."""
        weights = np.rint(self.weights.clip(0.0, 1.0) * 255.0).astype(np.uint8)
        return {
            "type": MOTION,
            "utterance": self.utterance,
            "t": round(self.seconds, 3),
            "w": base64.b64encode(weights.tobytes()).decode(),
            "r": [round(float(angle), 3) for angle in self.rotation],
        }


class Speaker:
    """One voice.

    Args:
        session: makes the motion; it is this speaker's from here on.
        head: that the motion moves.

    Attributes:
        utterance: the number of the one that is spoken now, or comes next.
    """

    def __init__(self, session: Session, head: Head) -> None:
        self._session, self._head = session, head
        self._clip: SpeechClip | None = None
        self.utterance = 0

    def fits(self, rate: int, channels: int) -> bool:
        """Whether sound of this format goes on from what came before."""
        return self._clip is None or (self._clip.rate, self._clip.channels) == (rate, channels)

    def hear(self, data: bytes, rate: int, channels: int) -> list[Spoken]:
        """Take sound, signed 16-bit samples; what of it has its motion by now.

        Raises:
            ValueError: a format that cannot be, or no whole samples; one sentence.
        """
        if self._clip is None:
            fault = format_fault(True, rate, channels, BITS)
            if fault is not None:
                raise WrongValue(fault)
            self._session.reset()
            self._clip = SpeechClip(rate, channels)
        clip = self._clip
        samples = [clip.take(piece) for piece in clip.pieces(data, rate)]
        return self._spoken(clip, [f for each in samples for f in self._session.feed(each)])

    def end(self) -> tuple[int, list[Spoken]] | None:
        """The utterance is over: its number and the rest of it; None: there is none.

        The next sound begins another one.
        """
        clip, self._clip = self._clip, None
        if clip is None:
            return None
        frames = self._session.feed(clip.finish()) + self._session.finish()
        rest = self._spoken(clip, frames)
        self.utterance += 1
        return self.utterance - 1, rest

    def cut(self) -> int | None:
        """The utterance is taken back where it is: its number; None: there is none.

        The next sound begins another one.
        """
        clip, self._clip = self._clip, None
        if clip is None:
            return None
        self.utterance += 1
        return self.utterance - 1

    def _spoken(self, clip: SpeechClip, frames: list[Frame]) -> list[Spoken]:
        made = []
        for frame in frames:
            expression, rotation, jaw = motion_to_parameters(frame.motion)
            weights = np.asarray(arkit_weights(self._head, expression, jaw), np.float32)
            seconds = frame.sample / SAMPLE_RATE
            made.append(Spoken(self.utterance, seconds, weights, rotation, clip.sound(), frame))
        return made


Draw = Callable[[Frame], bytes]


def drawing(head: Head, width: int, height: int) -> Draw:
    """What draws frames of `head`: RGB, three bytes a pixel; to be made where it is called."""
    from head.skinning import skin
    from viewer.render.renderer import Renderer

    renderer = Renderer(head, width, height)

    def draw(frame: Frame) -> bytes:
        expression, rotation, jaw = motion_to_parameters(frame.motion)
        vertices = skin(head, expression, global_rotation=rotation, jaw_pose=jaw)
        return renderer.render(vertices).tobytes()

    return draw
