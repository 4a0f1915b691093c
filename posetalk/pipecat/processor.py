"""The processor: behind a voice in a pipeline, before the transport's output.

The only file that imports Pipecat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    OutputTransportMessageFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame
from pipecat.processors.frameworks.rtvi.models import ServerMessage

from head.rig import load_head
from posetalk.pipecat.speaker import CLOCK, CUT, END, Draw, Speaker, Spoken, drawing
from stream.core.session import Session
from stream.frames import FPS

PIECE_SECONDS = 0.04
"""Of sound that goes to the model at once: its motion leaves as soon as it is made."""
CLOCK_FRAMES = 10
"""Between two messages that say what of an utterance is sent now; so many at its beginning."""

Result = TypeVar("Result")


class PosetalkProcessor(FrameProcessor):  # type: ignore[misc, unused-ignore]
    """Gives a pipeline's voice a face.

        pipeline = Pipeline([transport.input(), stt, ..., tts, PosetalkProcessor(),
                             transport.output()])

    Every 40 ms of speech leave with a server message, `{"type": "posetalk", "utterance": 0,
    "t": 0.04, "w": base64 of ARKit's 52 weights in bytes, "r": [x, y, z]}`, where `t` is the
    time in the utterance's own sound.  Speech is held back until its motion is made, so the two
    leave in step.  Motion may be there long before its sound is played: `posetalk-clock` goes
    with the sound itself, in its place, ten times at first and then every 0.4 s.
    `posetalk-end` follows an utterance; an interruption of the pipeline cuts it, and
    `posetalk-cut` tells the client to close the mouth.

    Args:
        session: makes the motion; None: the starter's.
        video: width and height of pictures of the head that go with the sound; None: none.
        options: of Pipecat's own processors.
    """

    def __init__(
        self,
        session: Session | None = None,
        *,
        video: tuple[int, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._given, self._video = session, video
        self._speaker: Speaker | None = None
        self._draw: Draw | None = None
        self._sound: TTSAudioRawFrame | None = None  # the latest, whose like the pieces are
        # One thread: the model's calls follow each other, and OpenGL stays where it began.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="posetalk")

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """What Pipecat calls for every frame."""
        await super().process_frame(frame, direction)
        if direction != FrameDirection.DOWNSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, TTSAudioRawFrame):
            await self._speak(frame)
        elif isinstance(frame, StartFrame):
            await self._run(self._get_ready)
            await self.push_frame(frame, direction)
        elif isinstance(frame, InterruptionFrame):
            await self.push_frame(frame, direction)
            await self._cut()
        else:
            if isinstance(frame, TTSStoppedFrame | EndFrame):
                await self._end()
            await self.push_frame(frame, direction)
            if isinstance(frame, EndFrame | CancelFrame):
                self._thread.shutdown(wait=False, cancel_futures=True)

    def _get_ready(self) -> None:
        """Load the model, where it is used: what is heard first shall not wait for it."""
        if self._given is None:
            from posetalk.app.session import Session as StarterSession

            self._given = StarterSession()
        head = load_head(self._given.head_id)
        self._speaker = Speaker(self._given, head)
        if self._video is not None:
            self._draw = drawing(head, *self._video)

    async def _speak(self, sound: TTSAudioRawFrame) -> None:
        speaker = self._ready
        if not speaker.fits(sound.sample_rate, sound.num_channels):
            await self._end()
        self._sound = sound
        step = max(1, int(sound.sample_rate * PIECE_SECONDS)) * 2 * sound.num_channels
        for at in range(0, len(sound.audio), step):
            piece = sound.audio[at : at + step]
            heard = partial(speaker.hear, piece, sound.sample_rate, sound.num_channels)
            made = await self._run(heard)
            await self._push(made, sound)

    async def _end(self) -> None:
        """The rest of the utterance, and its end; nothing where there is none."""
        ended = await self._run(self._ready.end)
        if ended is not None and self._sound is not None:
            utterance, rest = ended
            await self._push(rest, self._sound)
            await self._tell({"type": END, "utterance": utterance})

    async def _cut(self) -> None:
        # In the thread as well, behind the call that runs: no sound of before comes after it.
        utterance = await self._run(self._ready.cut)
        if utterance is not None:
            await self._tell({"type": CUT, "utterance": utterance})

    async def _tell(self, message: dict[str, Any]) -> None:
        await self.push_frame(RTVIServerMessageFrame(data=message))

    async def _push(self, made: list[Spoken], sound: TTSAudioRawFrame) -> None:
        """Send frames: what moves the face before the sound that it belongs to."""
        for spoken in made:
            await self._tell(spoken.message())
            number = round(spoken.seconds * FPS)
            if number < CLOCK_FRAMES or number % CLOCK_FRAMES == 0:
                data = {"type": CLOCK, "utterance": spoken.utterance, "t": spoken.seconds}
                message = ServerMessage(data=data).model_dump()
                await self.push_frame(OutputTransportMessageFrame(message=message))
            if self._draw is not None and self._video is not None:
                picture = await self._run(partial(self._draw, spoken.frame))
                image = OutputImageRawFrame(image=picture, size=self._video, format="RGB")
                image.sync_with_audio = True
                await self.push_frame(image)
            piece = TTSAudioRawFrame(
                audio=spoken.sound,
                sample_rate=sound.sample_rate,
                num_channels=sound.num_channels,
                context_id=sound.context_id,
            )
            piece.transport_destination = sound.transport_destination
            await self.push_frame(piece)

    @property
    def _ready(self) -> Speaker:
        assert self._speaker is not None, "a StartFrame comes first"
        return self._speaker

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
