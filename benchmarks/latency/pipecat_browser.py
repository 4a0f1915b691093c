"""`posetalk bench pipecat`: a pipeline over WebRTC, and a browser that draws its voice's face.

The example of clients/pipecat as it is: flite, the starter, Pipecat's small WebRTC transport, and
its page in a headless Chromium.  What is played when is read from the receiver's RTP time stamps,
and what of the utterance that is from the sound itself, as it came in its packets.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.harness.chromium import Tab, browser, browser_program
from benchmarks.harness.environment import describe, environment
from benchmarks.harness.processes import BenchmarkError
from benchmarks.pages import marked
from benchmarks.pages.tables import table, where
from diffposetalk.bundle.bundle import load_bundle
from head.channels import ARKIT_52
from head.files.json_file import write_json
from head.new_file import new_file

Floats = NDArray[np.float64]

BOT = Path(__file__).resolve().parents[2] / "clients" / "pipecat" / "bot.py"
RESULTS = Path("benchmarks/results/pipecat.json")
PAGE = Path("docs/pipecat.md")
RTP_RATE = 48_000
PART, SEARCH, ALIKE = RTP_RATE, 2 * RTP_RATE, 0.6
"""Samples of an utterance that are looked for at once, and how far around; their correlation."""
WORDS = (
    "Hello. This is a face that speaks over a real connection, and its lips keep in step with its "
    "voice. People buy big maps before March, and my brother will pack both boxes by himself. "
    "Every packet says by its time stamp when it is to be played, so nothing has to be guessed."
)
MEDIAN_BAR_MS, P95_BAR_MS, CLOSE_BAR_MS = 40.0, 80.0, 120.0
"""What is asked: between lips and sound, and from an interruption to a shut mouth."""
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


@dataclass(frozen=True)
class Step:
    """How well lips and sound keep together.

    Attributes:
        off: (n,) seconds, by picture: the second of sound that it was drawn for, minus the one
            that was played then.
        pictures_a_second: that were drawn while it spoke.
    """

    off: Floats
    pictures_a_second: float


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
        tab.until("window.posetalk && sources.length > 250")
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

    loop, told = asyncio.new_event_loop(), threading.Event()
    runner = web.AppRunner(bot.Bot().application())
    port = 0

    async def serve() -> None:
        nonlocal port
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        told.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, name="bot", daemon=True)
    thread.start()
    told.wait()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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


def judged(
    pcm: Floats,
    packets: Sequence[tuple[int, bytes]],
    sources: Sequence[tuple[float, int]],
    drawn: Sequence[tuple[float, int, float, float]],
) -> Step:
    """From what the page noted.

    Args:
        pcm: (n,) of the utterance, at 16 kHz.
        packets: RTP time stamp and Opus payload of each.
        sources: when which RTP time stamp was played; milliseconds of the page's clock.
        drawn: of each picture: milliseconds, the utterance, the second of it, jawOpen.
    """
    seconds, places_in_rtp = places(pcm, packets)
    played: dict[int, float] = {}
    for at, stamp in sources:
        played[stamp] = min(at, played.get(stamp, np.inf))
    stamps = np.array(sorted(played))
    moments = np.array([played[stamp] for stamp in stamps])
    pictures = np.array([row for row in drawn if row[1] >= 0])
    inside = (pictures[:, 0] > moments[0]) & (pictures[:, 0] < moments[-1])
    pictures = pictures[inside & (pictures[:, 2] < len(pcm) / 16_000)]
    now = np.interp(pictures[:, 0], moments, stamps)
    part = np.abs(now[:, None] - places_in_rtp).argmin(axis=1)
    heard = seconds[part] + (now - places_in_rtp[part]) / RTP_RATE
    spent = (pictures[-1, 0] - pictures[0, 0]) / 1000
    return Step(pictures[:, 2] - heard, len(pictures) / spent)


def places(pcm: Floats, packets: Sequence[tuple[int, bytes]]) -> tuple[Floats, Floats]:
    """Where the sound of the utterance lies in the packets: seconds of it, and RTP time stamps.

    Every part for itself: a sender that does not get sound in time sends silence between.

    Raises:
        BenchmarkError: the utterance is not in them.
    """
    first, sound = decoded(packets)
    whole = np.interp(np.arange(3 * len(pcm)) / 3, np.arange(len(pcm)), pcm)
    rough = best_place(sound, whole)[0]
    seconds, stamps = [], []
    for start in range(0, len(whole) - PART // 2, PART):
        part = whole[start : start + PART]
        near = max(0, rough + start - SEARCH)
        place, likeness = best_place(sound[near : rough + start + PART + SEARCH], part)
        if likeness > ALIKE:
            seconds.append((start + len(part) / 2) / RTP_RATE)
            stamps.append(float(first + near + place + len(part) / 2))
    if not seconds:
        raise BenchmarkError("what was said is not in the packets that were sent")
    return np.array(seconds), np.array(stamps)


def decoded(packets: Sequence[tuple[int, bytes]]) -> tuple[int, Floats]:
    """The first time stamp, and the sound from there on at 48 kHz."""
    import av

    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = RTP_RATE
    first = packets[0][0]
    sound = np.zeros(packets[-1][0] - first + RTP_RATE)
    for stamp, payload in packets:
        for frame in decoder.decode(av.Packet(payload)):
            samples, channels = frame.to_ndarray(), len(frame.layout.channels)
            mono = samples.reshape(-1, channels)[:, 0] if samples.shape[0] == 1 else samples[0]
            sound[stamp - first : stamp - first + len(mono)] = mono
    return first, sound


def best_place(sound: Floats, part: Floats) -> tuple[int, float]:
    """At which sample of a sound a part of it begins, and the correlation there."""
    size = 1 << (len(sound) + len(part)).bit_length()
    fits = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(part, size)), size)
    place = int(np.argmax(fits[: len(sound)]))
    there = sound[place : place + len(part)]
    power = float(np.linalg.norm(there) * np.linalg.norm(part))
    return place, float(fits[place]) / power if power else 0.0


def interrupt(tab: Tab, after: float) -> float:
    """Stop it in mid-speech: milliseconds from the user's wish to the first shut mouth drawn."""
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


@dataclass(frozen=True)
class Pipecat:
    """Measure lips and sound of a Pipecat pipeline in a browser; prints it, and writes JSON.

    Needs the extra `pipecat`, flite and Chromium.
    """

    parts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[page]")] = ()
    """`page`: nothing is measured, docs/pipecat.md is filled."""
    utterances: Annotated[int, tyro.conf.arg(metavar="N")] = 4
    """That are spoken."""
    interruptions: Annotated[int, tyro.conf.arg(metavar="N")] = 20
    """That cut it."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.json", help_behavior_hint="(default: none)")
    ] = None
    """Write the figures there."""

    def run(self) -> None:
        """Measure, or fill the page."""
        if self.parts:
            found = json.loads((self.json or RESULTS).read_text("utf-8"))
            text = marked.fill(PAGE.read_text("utf-8"), "pipecat", {"step": lines}, {"step": found})
            with new_file(PAGE) as path:
                path.write_text(text, "utf-8")
            print(f"wrote {PAGE}")
            return
        results = environment("pipecat") | {"bundle_hash": load_bundle("starter").hash}
        print("\n".join(describe(results)), flush=True)
        with tempfile.TemporaryDirectory() as folder, bot_page(Path(folder)) as tab:
            steps = [speak(tab) for _ in range(self.utterances)]
            closed = [interrupt(tab, 0.5 + k / 4) for k in range(self.interruptions)]
        results |= figures(steps, closed)
        print({name: results[name] for name in figures(steps, closed)})
        if self.json is not None:
            write_json(self.json, results)


def figures(steps: Sequence[Step], closed: Sequence[float]) -> dict[str, Any]:
    """Of all utterances and interruptions, in milliseconds."""
    off = 1000 * np.concatenate([step.off for step in steps])
    return {
        "utterances": len(steps),
        "pictures": len(off),
        "pictures_a_second": float(np.mean([step.pictures_a_second for step in steps])),
        "off_ms": {
            "mean": float(off.mean()),
            "median": float(np.median(np.abs(off))),
            "p95": float(np.quantile(np.abs(off), 0.95)),
        },
        "closed_ms": sorted(round(each, 1) for each in closed),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The part of docs/pipecat.md that is measured."""
    off, closed = found["off_ms"], found["closed_ms"]
    rows = [
        ("between lips and sound, median", MEDIAN_BAR_MS, off["median"]),
        ("95 of 100 pictures within", P95_BAR_MS, off["p95"]),
        (f"from an interruption to a shut mouth, most of {len(closed)}", CLOSE_BAR_MS, closed[-1]),
    ]
    yield table(
        ("milliseconds", "asked", "measured", ""),
        [
            (name, f"<= {bar:.0f}", f"{got:.0f}", "reached" if got <= bar else "**missed**")
            for name, bar, got in rows
        ],
    )
    yield (
        f"{found['utterances']} utterances, {found['pictures']} pictures, "
        f"{found['pictures_a_second']:.0f} a second; lips {abs(off['mean']):.0f} ms "
        f"{'before' if off['mean'] > 0 else 'after'} the sound on average; a mouth shut after "
        f"{closed[len(closed) // 2]:.0f} ms in the middle case.\n"
    )
    yield where(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """`posetalk bench pipecat`."""
    tyro.cli(
        Pipecat,
        prog="posetalk bench pipecat",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    ).run()
    return 0
