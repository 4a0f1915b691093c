"""A pipeline with a local voice over Pipecat's small WebRTC transport; aiortc is the client.

No browser and no network: both ends are in this process, on loopback.
"""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from patience import PATIENCE
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

from posetalk.pipecat import PosetalkProcessor
from stream.backends.registry import load_backend
from stream.core.session import Session

pytestmark = pytest.mark.extra("pipecat")

RATE = 16000
WORDS = "Hello. This is a face that speaks over a real connection, and it keeps in step."


class Voice(FrameProcessor):  # type: ignore[misc]
    """Speaks text with flite, all of it at once: faster than time, as voices in the cloud do."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, TextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(TTSStartedFrame())
        pcm = spoken(frame.text)
        for at in range(0, len(pcm), 6400):
            piece = pcm[at : at + 6400]
            sound = TTSAudioRawFrame(audio=piece, sample_rate=RATE, num_channels=1)
            await self.push_frame(sound)
        await self.push_frame(TTSStoppedFrame())


def spoken(text: str) -> bytes:
    """flite's voice: PCM of 16 bits at 16 kHz."""
    done = subprocess.run(
        ["flite", "-voice", "slt", "-t", text, "-o", "/dev/stdout"], capture_output=True, check=True
    )
    with wave.open(io.BytesIO(done.stdout)) as file:
        assert file.getframerate() == RATE
        return file.readframes(1 << 24)


@dataclass
class Client:
    """What came: messages and sound, each with the moment at which it was here."""

    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    sound: list[tuple[float, float, Any]] = field(default_factory=list)
    size: int = 0

    def of(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        return [(at, each) for at, each in self.messages if each["type"] == kind]

    def take(self, text: str) -> None:
        message = json.loads(text)
        data = message.get("data")
        if isinstance(data, dict) and str(data.get("type")).startswith("posetalk"):
            self.size += len(text)
            self.messages.append((time.perf_counter(), data))

    async def listen(self, track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0]
            seconds = float(frame.pts * frame.time_base)  # of its RTP time stamps
            self.sound.append((time.perf_counter(), seconds, samples / 32768))


@asynccontextmanager
async def call() -> AsyncIterator[tuple[PipelineWorker, Client]]:
    """A pipeline that a client is connected to."""
    near, client = RTCPeerConnection(), Client()
    channel = near.createDataChannel("posetalk")
    channel.on("message", client.take)
    for kind in ("audio", "video", "video"):
        near.addTransceiver(kind, direction="sendrecv")
    tasks: list[asyncio.Task[Any]] = []

    @near.on("track")
    def on_track(track: Any) -> None:
        if track.kind == "audio":
            tasks.append(asyncio.create_task(client.listen(track)))

    await near.setLocalDescription(await near.createOffer())
    connection = SmallWebRTCConnection()
    await connection.initialize(near.localDescription.sdp, near.localDescription.type)
    answer = connection.get_answer()
    params = TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE)
    transport = SmallWebRTCTransport(connection, params)
    connected = asyncio.Event()

    @transport.event_handler("on_client_connected")
    async def on_connected(*_: object) -> None:
        connected.set()

    face = PosetalkProcessor(Session(load_backend("fake")))
    pipeline = Pipeline([transport.input(), Voice(), face, transport.output()])
    worker = PipelineWorker(
        pipeline, params=PipelineParams(audio_out_sample_rate=RATE), cancel_on_idle_timeout=False
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await near.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await connection.connect()
    async with asyncio.timeout(100):
        await connected.wait()
        while channel.readyState != "open":
            await asyncio.sleep(0.02)
    try:
        yield worker, client
    finally:
        await near.close()
        await worker.cancel()
        await running
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(done: Any, seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.02)


def onset(client: Client) -> tuple[float, Any, Any]:
    """RTP seconds of the first loud sample; RTP seconds and arrival of every piece of sound."""
    stamps = np.array([stamp for _, stamp, _ in client.sound])
    arrivals = np.array([at for at, _, _ in client.sound])
    for _, stamp, samples in client.sound:
        loud = np.flatnonzero(np.abs(samples) > 0.01)
        if len(loud):
            return stamp + loud[0] / 48000, stamps, arrivals
    raise AssertionError("silence alone came")


needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="not run: no flite here")


@needs_flite
def test_each_frame_is_there_before_its_sound_and_their_clocks_agree() -> None:
    pcm = np.frombuffer(spoken(WORDS), "<i2") / 32768
    seconds = len(pcm) / RATE

    async def run() -> Client:
        async with call() as (worker, client):
            await asyncio.sleep(0.5)
            await worker.queue_frame(TextFrame(WORDS))
            await until(lambda: client.of("posetalk-end"))
            await asyncio.sleep(seconds + 1.0)
        return client

    client = asyncio.run(run())
    motion = client.of("posetalk")
    assert len(motion) == -(-len(pcm) // 640) and client.size / seconds < 6_000
    begin, stamps, arrivals = onset(client)
    begin -= np.flatnonzero(np.abs(pcm) > 0.01)[0] / RATE  # of the utterance's sample 0
    late = []
    for at, message in motion:
        sounds = np.searchsorted(stamps, begin + message["t"])
        if sounds < len(arrivals):
            late.append(at - arrivals[sounds])
    assert len(late) > 0.9 * len(motion)
    assert max(late) < 0.0, "a client can show every frame with its sound"
    # The utterance's clock is the sound's: what is loud in it is loud at the same RTP time.
    heard = np.zeros(round((stamps[-1] - stamps[0] + 1.0) * 48000))
    for _, stamp, samples in client.sound:  # in its place: a busy machine loses pieces
        at = round((stamp - stamps[0]) * 48000)
        heard[at : at + len(samples)] = samples
    first = round((begin - stamps[0]) * 48000)
    loudness = [np.abs(heard[first + 1920 * k : first + 1920 * (k + 1)]).mean() for k in range(50)]
    meant = [np.abs(pcm[640 * k : 640 * (k + 1)]).mean() for k in range(50)]
    assert np.corrcoef(loudness, meant)[0, 1] > 0.9


@needs_flite
def test_an_interruption_reaches_the_client_and_silences_the_sound() -> None:
    async def run() -> Client:
        async with call() as (worker, client):
            await worker.queue_frame(TextFrame(WORDS * 20))
            await until(lambda: len(client.sound) > 50 and len(client.of("posetalk")) > 50)
            await worker.queue_frame(InterruptionFrame())
            await until(lambda: client.of("posetalk-cut"), 10.0)
            count = len(client.messages)
            await asyncio.sleep(0.5)
            assert len(client.messages) == count, "nothing of it comes after its cut"
        return client

    client = asyncio.run(run())
    [(at, cut)] = client.of("posetalk-cut")
    assert cut["utterance"] == 0
    tail = np.concatenate([samples for came, _, samples in client.sound if came > at + 0.3])
    assert np.abs(tail).max() < 0.01, "silence"
