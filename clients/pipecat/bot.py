"""A Pipecat pipeline with a face on a page: `python bot.py`, and open what it says.

Type what it shall say.  The voice is flite's; put your own pipeline's parts in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import wave
from pathlib import Path
from typing import Any

from aiohttp import web
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from head.channels import ARKIT_52, JAW_OPEN_RADIANS, MOUTH_CLOSE_RADIANS
from head.rig import builtin_head
from posetalk.pipecat import PosetalkProcessor
from stream.serve.door.http_pages import Page
from viewer.page.site import make_site

RATE = 16_000
HERE = Path(__file__).parent
TYPES = {".html": "text/html", ".js": "text/javascript"}


class Flite(FrameProcessor):
    """Speaks text, all of it at once: faster than time, as voices in the cloud do."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, TextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(TTSStartedFrame())
        pcm = await spoken(frame.text)
        for at in range(0, len(pcm), 6400):
            piece = pcm[at : at + 6400]
            sound = TTSAudioRawFrame(audio=piece, sample_rate=RATE, num_channels=1)
            await self.push_frame(sound)
        await self.push_frame(TTSStoppedFrame())


async def spoken(text: str) -> bytes:
    """flite's voice: PCM of 16 bits at 16 kHz."""
    command = ["flite", "-voice", "slt", "-t", text, "-o", "/dev/stdout"]
    flite = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    data, _ = await flite.communicate()
    with wave.open(io.BytesIO(data)) as file:
        return file.readframes(1 << 24)


class Bot:
    """The page, and a pipeline for each who calls.

    Attributes:
        workers: pipelines of the calls that run.
    """

    def __init__(self) -> None:
        self.workers: list[PipelineWorker] = []
        self._running: set[asyncio.Task[None]] = set()
        self._pages = {**make_site(builtin_head()), **own_pages()}

    def application(self) -> web.Application:
        """To be served."""
        application = web.Application()
        application.router.add_post("/offer", self._offer)
        application.router.add_get("/{path:.*}", self._page)
        application.on_shutdown.append(self._hang_up)
        return application

    async def _page(self, request: web.Request) -> web.Response:
        page = self._pages.get(request.path if request.path != "/" else "/index.html")
        if page is None:
            raise web.HTTPNotFound
        return web.Response(body=page.body, headers={"Content-Type": page.content_type})

    async def _offer(self, request: web.Request) -> web.Response:
        offer = json.loads(await request.text())
        connection = SmallWebRTCConnection()
        await connection.initialize(offer["sdp"], offer["type"])
        answer = connection.get_answer()
        started = asyncio.Event()
        task = asyncio.create_task(self._call(connection, started))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await started.wait()
        await connection.connect()
        return web.json_response({"sdp": answer["sdp"], "type": answer["type"]})

    async def _call(self, connection: SmallWebRTCConnection, started: asyncio.Event) -> None:
        params = TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE)
        transport = SmallWebRTCTransport(connection, params)
        pipeline = Pipeline([transport.input(), Flite(), PosetalkProcessor(), transport.output()])
        rates = PipelineParams(audio_out_sample_rate=RATE)
        worker = PipelineWorker(pipeline, params=rates, cancel_on_idle_timeout=False)

        @transport.event_handler("on_app_message")
        async def on_message(_: object, message: dict[str, Any], *__: object) -> None:
            match message.get("data"):
                case {"t": "say", "d": str(text)}:
                    await worker.queue_frame(TextFrame(text))
                case {"t": "stop"}:  # as a user does who begins to speak
                    await worker.queue_frame(InterruptionFrame())

        @transport.event_handler("on_client_disconnected")
        async def on_gone(*_: object) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        self.workers.append(worker)
        started.set()
        try:
            await runner.run()
        finally:
            self.workers.remove(worker)

    async def _hang_up(self, _: web.Application) -> None:
        for worker in self.workers.copy():
            await worker.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def own_pages() -> dict[str, Page]:
    """The files of this folder, and what ARKit's channels are called."""
    names = {"arkit": ARKIT_52, "jaw_open": JAW_OPEN_RADIANS, "mouth_close": MOUTH_CLOSE_RADIANS}
    pages = {"/channels.json": Page(json.dumps(names).encode(), "application/json")}
    for file in HERE.iterdir():
        if file.suffix in TYPES:
            pages[f"/{file.name}"] = Page(file.read_bytes(), TYPES[file.suffix])
    return pages


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7860)
    web.run_app(Bot().application(), host="127.0.0.1", port=parser.parse_args().port)
