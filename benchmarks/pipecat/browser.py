"""The example of clients/pipecat as it is, in a headless Chromium: what is played and drawn when.

What is played is read from the receiver's RTP time stamps, and what of the utterance that is from
the sound itself, as it lay in its packets.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.harness.chromium import Tab, browser, browser_program
from benchmarks.harness.processes import BenchmarkError
from benchmarks.pipecat.judging import Step, judged
from head.channels import ARKIT_52
from viewer.client.loop_thread import LoopThread

BOT = Path(__file__).resolve().parents[2] / "clients" / "pipecat" / "bot.py"
WORDS = (
    "Hello. This is a face that speaks over a real connection, and its lips keep in step with its "
    "voice. People buy big maps before March, and my brother will pack both boxes by himself. "
    "Every packet says by its time stamp when it is to be played, so nothing has to be guessed."
)
OPEN, SHUT = 0.12, 0.02
"""jawOpen of a mouth that is open, and of one that is shut."""
OPTIONS = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)
PROBE = """
(() => {
  window.sources = []; window.drawn = [];
  const Plain = RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor(config) {
      super(config);
      this.addEventListener('track', ({ receiver, track }) => {
        if (track.kind !== 'audio') return;
        setInterval(() => {
          const [source] = receiver.getSynchronizationSources();
          if (!source) return;  // its time stamp counts from 1970
          sources.push([source.timestamp - performance.timeOrigin, source.rtpTimestamp]);
        }, 4);
      });
    }
  };
})()
"""
"""Put into the page before its own code: it notes what is played when."""
WATCH = f"""
posetalk.drawn = (shown, now) => drawn.push([
  now, shown.utterance ?? -1, shown.time ?? -1, shown.weights[{ARKIT_52.index("jawOpen")}]])
"""


@contextlib.contextmanager
def bot_page(folder: Path, size: tuple[int, int] = (256, 192)) -> Iterator[Tab]:
    """The example, and a tab of a headless Chromium that has called it.

    Raises:
        BenchmarkError: no Chromium, or no checkout with the example.
    """
    if browser_program() is None:
        raise BenchmarkError("this draws in Chromium: install it")
    with (
        noting_packets(),
        serving(example()) as url,
        browser(folder, *OPTIONS) as tabs,
        tabs() as tab,
    ):
        tab.size(*size)
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=PROBE)
        tab.open(url)
        tab.until("window.posetalk && sources.length > 25")
        tab.value(WATCH)
        yield tab


PACKETS: list[tuple[int, bytes]] = []
"""RTP time stamp and Opus payload of those that were sent since it was cleared."""


@contextlib.contextmanager
def noting_packets() -> Iterator[None]:
    """Have aiortc write down what it sends: a browser that did would hold packets up."""
    from aiortc import rtcrtpsender

    plain = rtcrtpsender.RtpPacket

    class Noted(plain):  # type: ignore[misc, valid-type, unused-ignore]
        def serialize(self, *arguments: Any) -> bytes:
            PACKETS.append((self.timestamp, bytes(self.payload)))
            data: bytes = super().serialize(*arguments)
            return data

    rtcrtpsender.RtpPacket = Noted  # type: ignore[misc, assignment, unused-ignore]
    try:
        yield
    finally:
        rtcrtpsender.RtpPacket = plain  # type: ignore[misc, unused-ignore]


def example() -> ModuleType:
    """`clients/pipecat/bot.py`."""
    if not BOT.is_file():
        raise BenchmarkError(f"{BOT} is not here: run this in a checkout")
    spec = importlib.util.spec_from_file_location("posetalk_bot", BOT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def serving(bot: ModuleType) -> Iterator[str]:
    """The example's server in a thread; yields its address."""
    from aiohttp import web

    runner = web.AppRunner(bot.Bot().application())

    async def serve() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    with LoopThread("bot") as thread:
        try:
            yield f"http://127.0.0.1:{thread.run(serve())}/"
        finally:
            thread.run(runner.cleanup())


def speak(tab: Tab, text: str = WORDS) -> Step:
    """Let it say something, and judge what was drawn meanwhile."""
    PACKETS.clear()
    tab.value("sources.length = drawn.length = 0")
    tab.value(f"posetalk.say({json.dumps(text)})")
    tab.until("drawn.some(([, utterance]) => utterance >= 0)")
    tab.until("posetalk.follower.utterances.size === 0")
    noted = json.loads(tab.value("JSON.stringify([sources, drawn])"))
    pcm = np.frombuffer(asyncio.run(example().spoken(text)), "<i2") / 32768.0
    return judged(pcm, PACKETS, *noted)


def interrupt(tab: Tab, after: float) -> float:
    """Stop it in mid-speech: milliseconds from the user's request to the first shut mouth drawn."""
    tab.value(f"posetalk.say({json.dumps(WORDS)})")
    tab.until(f"drawn.length && drawn.at(-1)[2] > {after}")
    took: float = tab.value(f"""new Promise((done) => {{
      let asked = null;
      posetalk.drawn = (shown, now) => {{
        const jaw = shown.weights[{ARKIT_52.index("jawOpen")}];
        if (asked === null && jaw > {OPEN}) {{ asked = now; posetalk.stop(); }}
        else if (asked !== null && jaw < {SHUT} && shown.utterance === null) done(now - asked);
      }};
    }})""")
    tab.value(WATCH)
    return took
