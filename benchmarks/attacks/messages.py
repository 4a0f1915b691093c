"""Attacks by what a client may say: values that poison, and requests that cost much work."""

from __future__ import annotations

import itertools
import json
import random
import struct
from typing import Any

from benchmarks.attacks.attack import attack, flood
from benchmarks.attacks.raw_client import BINARY, TEXT, Target, frame, speech, text
from stream.wire import codec

BIG = 900_000


@attack("style-inf", "the motion of everybody: a style whose weight is infinite")
async def style_inf(target: Target) -> None:
    await flood(target, 4, lambda n: text(type="style", name="calm*" + "9" * (150 + n % 40)))


@attack("style-cancel", "the motion of everybody: shares that cancel to nearly nothing")
async def style_cancel(target: Target) -> None:
    mixes = itertools.cycle(["calm*1e30+calm*-1e30", "calm*1+calm*-0.9999999", "calm*nan"])
    await flood(target, 4, lambda _: text(type="style", name=next(mixes)))


@attack("style-1MB", "the hello: a mix so long that no client can read it")
async def style_long(target: Target) -> None:
    await flood(target, 4, lambda _: text(type="style", name="calm*1+" * (BIG // 7) + "calm"))


@attack("style-60kB", "the event loop: mixes as long as a text may be")
async def style_terms(target: Target) -> None:
    await flood(target, 8, lambda _: text(type="style", name="calm*1+" * 8_000 + "calm"))


@attack("style-flips", "the event loop: texts for everybody, again and again")
async def style_flips(target: Target) -> None:
    await flood(target, 8, lambda n: text(type="style", name=("calm", "lively")[n % 2]))


@attack("guidance", "the motion: strengths that are no numbers, or huge")
async def guidance(target: Target) -> None:
    values = itertools.cycle(["NaN", "Infinity", "-Infinity", "1e308", "-1e400", "20", "1"])
    await flood(
        target,
        8,
        lambda _: frame(f'{{"type":"guidance","audio_guidance":{next(values)}}}'.encode(), TEXT),
    )


@attack("open-poison", "the motion: shapes, seeds and strengths that cannot be")
async def open_poison(target: Target) -> None:
    bad_messages: list[dict[str, Any]] = [
        {"shape": [1e300] * 100},
        {"shape": [0.5] * 5_000},
        {"seed": 2**62},
        {"seed": -1},
        {"audio_guidance": 1e9},
        {"style": "lively*1e40"},
        {"pace": "x" * 1000},
        {"head": "../../etc/passwd"},
    ]
    bad = itertools.cycle(bad_messages)
    await flood(target, 6, lambda _: text(type="open", **next(bad)))


@attack("pcm-poison", "the motion: speech of infinities and of no numbers")
async def pcm_poison(target: Target) -> None:
    values = struct.pack("<4f", float("nan"), float("inf"), -float("inf"), 3e38) * 4_000
    header = codec.HEADER.pack(codec.MAGIC, 1, codec.Kind.PCM, 0, 0, 0, 16_000)
    await flood(target, 4, lambda _: frame(header + values, BINARY))


@attack("rate-odd", "the event loop: filters for a rate that nobody has")
async def rate_odd(target: Target) -> None:
    await flood(target, 8, lambda _: text(type="audio_format", sample_rate=191_975))


@attack("rate-many", "memory: a filter for every rate there is")
async def rate_many(target: Target) -> None:
    await flood(
        target, 16, lambda n: text(type="audio_format", sample_rate=191_975 - 25 * (n % 7_000))
    )


@attack("pcm-odd", "the event loop: speech that is resampled first and refused after")
async def pcm_odd(target: Target) -> None:
    first = text(type="audio_format", sample_rate=47_975)
    await flood(target, 8, lambda _: speech(400_000), first=first)


@attack("pcm-own", "a worker: speech of one's own at 8 kHz, resampled, cut and pushed again")
async def pcm_own(target: Target) -> None:
    first = text(type="open", seed=1) + text(type="audio_format", sample_rate=8_000)
    await flood(target, 8, lambda _: speech(400_000) + text(type="interrupt"), first=first)


@attack("push", "the model: speech from everybody at once")
async def push(target: Target) -> None:
    await flood(target, 16, lambda _: speech(32_000))


@attack("push-crumbs", "memory: speech in pieces of one sample")
async def push_crumbs(target: Target) -> None:
    await flood(target, 16, lambda _: speech(1) * 200)


@attack("ahead", "the event loop: what was made ahead, sent again and again")
async def ahead(target: Target) -> None:
    await flood(
        target, 8, lambda n: text(type="subscribe", set="flame", audio=True, ahead=bool(n % 3))
    )


@attack("sets", "the event loop: triangles and other sets, by turns")
async def sets(target: Target) -> None:
    names = itertools.cycle(["vertices", "flame", "arkit52", ""])
    await flood(target, 8, lambda _: text(type="subscribe", set=next(names)))


@attack("json-vertices", "a core: vertices as readable text")
async def json_vertices(target: Target) -> None:
    first = text(type="subscribe", set="vertices", json=True)
    await flood(target, 8, lambda n: text(type="ping", id=n), first=first, pause=0.2)


@attack("vertices", "a core: everybody wants vertices, and reads them")
async def vertices(target: Target) -> None:
    first = text(type="subscribe", set="vertices", audio=True)
    await flood(target, 30, lambda n: text(type="ping", id=n), first=first, pause=0.2)


@attack("interrupt", "the speech of others: cut again and again")
async def interrupt(target: Target) -> None:
    await flood(target, 8, lambda _: text(type="interrupt"))


@attack("interrupt-own", "the model: a minute of speech, cut and made anew")
async def interrupt_own(target: Target) -> None:
    def turn(number: int) -> bytes:
        return speech(400_000) + text(type="interrupt", at=640 * number)

    await flood(target, 4, turn, first=text(type="open", seed=1))


@attack("open-close", "the event loop: sessions that open and close")
async def open_close(target: Target) -> None:
    await flood(target, 8, lambda n: text(type="open", seed=n) + text(type="close"))


@attack("sessions", "all sessions, for one address", stranger=True)
async def sessions(target: Target) -> None:
    await flood(target, 16, lambda n: text(type="ping", id=n), first=text(type="open"), pause=0.2)


@attack("flush", "memory: silence without end after an utterance")
async def flush(target: Target) -> None:
    await flood(target, 4, lambda _: text(type="flush"), first=text(type="open"))


@attack("shapes", "a core: sessions with shapes of their own, as vertices")
async def shapes(target: Target) -> None:
    first = text(type="subscribe", set="vertices") + text(type="open", shape=[0.5] * 100)
    await flood(target, 4, lambda n: text(type="ping", id=n), first=first, pause=0.2)


@attack("echo", "memory: long names that come back, to clients that do not read")
async def echo(target: Target) -> None:
    name = "\U0001f600" * 15_000
    await flood(
        target,
        8,
        lambda _: frame(json.dumps({"type": "style", "name": name}).encode(), TEXT),
        reads=False,
    )


@attack("json-deep", "the parser: objects in objects, numbers without end")
async def json_deep(target: Target) -> None:
    texts = itertools.cycle(
        [b'{"type":' * 7_000, b"[" * 60_000, b'{"type":"ping","id":' + b"9" * 60_000 + b"}"]
    )
    await flood(target, 8, lambda _: frame(next(texts), TEXT))


@attack("json-lists", "the parser: lists as long as a text may be")
async def json_lists(target: Target) -> None:
    data = json.dumps({"type": "open", "shape": [1] * 20_000}).encode()
    await flood(target, 8, lambda _: frame(data, TEXT))


@attack("fuzz", "the parser: honest messages with bytes changed")
async def fuzz(target: Target) -> None:
    chance = random.Random(1)
    honest = [speech(64), text(type="open", seed=7), text(type="subscribe", set="flame")]

    def changed(_: int) -> bytes:
        data = bytearray(chance.choice(honest))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)

    await flood(target, 8, changed)
