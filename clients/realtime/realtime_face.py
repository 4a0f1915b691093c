"""A face for OpenAI-style realtime speech: its audio deltas are what posetalk speaks.

posetalk serve --source push                # and open its page, or any other client
OPENAI_API_KEY=... python realtime_face.py "wss://api.openai.com/v1/realtime?model=MODEL"
"""

import asyncio
import base64
import json
import os
import sys

import numpy as np
from websockets.asyncio.client import connect

import posetalk

RATE = 24_000  # of pcm16, the usual output format
DELTAS = ("response.output_audio.delta", "response.audio.delta")  # now, and in its beta
CUTS = ("input_audio_buffer.speech_started", "response.cancelled")


async def speak(realtime: str, face: str = "ws://127.0.0.1:8765", say: str = "Say hello.") -> None:
    headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    ask = {"type": "response.create", "response": {"instructions": say}}
    async with (
        posetalk.AsyncClient(face, set="") as client,
        connect(realtime, additional_headers=headers, max_size=None) as events,
    ):
        await events.send(json.dumps(ask))
        async for text in events:
            event = json.loads(text)
            if event["type"] in DELTAS:  # the sound to play is the face's own
                pcm = np.frombuffer(base64.b64decode(event["delta"]), "<i2")
                await client.push(pcm, RATE)
            elif event["type"] in CUTS:
                await client.interrupt()
            elif event["type"] == "error":
                raise SystemExit(event["error"].get("message", "the service refused"))


if __name__ == "__main__":
    asyncio.run(speak(*sys.argv[1:]))
