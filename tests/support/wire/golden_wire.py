"""The golden bytes of the wire format: `python tests/support/wire/golden_wire.py` writes them.

They are the conformance suite for clients in other languages: `manifest.json` says what each file
must be read as, or with which error code it must be refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from stream.wire import codec, messages, session_messages
from stream.wire.codec import Flag, Kind, Message
from stream.wire.schema import schema

FOLDER = Path(__file__).resolve().parents[2] / "data" / "wire"
SCHEMA_FILE = FOLDER.parents[2] / "clients" / "messages.json"


def binary_messages() -> dict[str, Message]:
    """Well-formed binary messages; every value is exact in float32."""
    ramp = np.arange(56, dtype=np.float32) / 64
    return {
        "flame.bin": Message(Kind.FLAME, 0, 0, ramp),
        "flame_late.bin": Message(Kind.FLAME, 2_160_000, 640 * 2_160_000, -ramp),
        "arkit52.bin": Message(Kind.ARKIT52, 7, 4480, ramp[:55]),
        "vertices.bin": Message(Kind.VERTICES, 25, 16000, np.float32([0.5, -0.25, 0.125] * 4)),
        "faces.bin": Message(Kind.FACES, 1, 12288, np.uint32([0, 1, 2, 2, 1, 3])),
        "pcm_float32.bin": Message(Kind.PCM, 3, 960, np.float32([0, 0.5, -0.5, 1, -1])),
        "pcm_int16.bin": Message(
            Kind.PCM, 4, 1280, np.int16([0, 16384, -16384, 32767, -32768]), Flag.INT16
        ),
        "pcm_empty.bin": Message(Kind.PCM, 5, 1285, np.zeros(0, np.float32)),
        "sample_negative.bin": Message(Kind.PCM, 0, -320, np.float32([0.25])),
    }


def texts() -> dict[str, codec.Text]:
    """Control messages."""
    return {
        "hello.json": messages.Hello(
            head="posetalk-head-1",
            channels={"flame": ["jawX", "jawY"], "vertices": []},
            style="calm",
            styles=["calm", "lively"],
            shape=[0.5, -1.0],
            vertices=5000,
            faces=9900,
            start_time=1700000000.5,
        ),
        "subscribe.json": messages.Subscribe("arkit52", audio=True),
        "audio_format.json": messages.AudioFormat(48000),
        "interrupt.json": messages.Interrupt(),
        "interrupted.json": messages.Interrupted(64000),
        "style.json": session_messages.Style("lively"),
        "ping.json": messages.Ping(3),
        "pong.json": messages.Pong(3, 1700000000.25),
        "clock.json": messages.ClockInfo(0, 1700000000.5),
        "source.json": messages.Source("lost", "the microphone is gone"),
        "level.json": messages.Level(-31.0, "ok"),
        "frame.json": messages.TextFrame("flame", 2, 1280, {"jawX": 0.25, "jawY": 0.0}),
        "error.json": messages.Error(
            "audio_full", "too much audio waits: push this again later", False
        ),
        "error_request.json": messages.Error("no_such_style", "there is none", False, request=4),
        "error_sequence.json": messages.Error("audio_samples", "no sound", False, sequence=9),
        "audio_format_channels.json": messages.AudioFormat(24000, 2, request=4),
        "end.json": messages.End(250),
        "hello_accepts.json": messages.Hello(
            head="posetalk-head-1",
            channels={"flame": ["jawX"]},
            accepts=["style", "guidance", "open"],
            guidance={"audio": 1.5, "style": 1.0},
        ),
        "interrupt_at.json": messages.Interrupt(6400),
        "guidance.json": session_messages.Guidance(1.5, 2.0),
        "life.json": session_messages.Life(0.5, False),
        "open_life.json": session_messages.Open(gaze=0.0, still=True),
        "open.json": session_messages.Open(style="calm", seed=7, pace="live", alive=False),
        "opened.json": session_messages.Opened(
            0, 1700000009.5, "calm", 1280, 1280, 960000, {"audio": 1.5, "style": 1.0}
        ),
        "open_head.json": session_messages.Open(head="flame"),
        "opened_head.json": session_messages.Opened(
            0,
            1700000009.5,
            "calm",
            1280,
            1280,
            960000,
            head="flame",
            channels={"flame": ["E000", "jawX"], "vertices": []},
            vertices=5023,
            faces=9976,
        ),
        "flush.json": session_messages.Flush(),
        "close.json": session_messages.Close(),
        "closed.json": session_messages.Closed("closed", 250),
    }


def refused() -> dict[str, tuple[bytes, str]]:
    """Malformed messages and the error code that each must give."""
    good = codec.serialise(binary_messages()["flame.bin"])
    nan = codec.serialise(Message(Kind.FLAME, 0, 0, np.full(56, np.nan, np.float32)))
    return {
        "bad_empty.bin": (b"", "truncated"),
        "bad_header.bin": (good[:23], "truncated"),
        "bad_magic.bin": (b"XTK1" + good[4:], "magic"),
        "bad_version.bin": (good[:4] + b"\x02" + good[5:], "version"),
        "bad_version_and_length.bin": (good[:4] + b"\x02" + good[5:30], "version"),
        "bad_length_short.bin": (good[:-1], "length"),
        "bad_length_long.bin": (good + b"\0\0\0\0", "length"),
        "bad_not_finite.bin": (nan, "not_finite"),
        "bad_text.json": (b"{", "json"),
        "bad_text_type.json": (b'{"kind":"ping"}', "json"),
        "bad_text_field.json": (b'{"type":"subscribe","set":5}', "field"),
        "bad_text_version.json": (b'{"type":"subscribe","protocol":2,"set":5}', "version"),
    }


def skipped() -> dict[str, bytes]:
    """Messages of types that do not exist yet, which receivers skip."""
    return {
        "unknown_type.bin": codec.serialise(Message(200, 1, 640, np.float32([1, 2]))),
        "unknown_text.json": b'{"type":"weather","sun":true}',
    }


def golden() -> dict[str, bytes]:
    """Every file of the folder, by name."""
    files = {name: codec.serialise(m) for name, m in binary_messages().items()}
    files |= {name: codec.serialise_text(t).encode() for name, t in texts().items()}
    files |= {name: data for name, (data, _) in refused().items()}
    files |= skipped()
    manifest: dict[str, Any] = {
        name: {
            "type": int(m.kind),
            "flags": int(m.flags),
            "sequence": m.sequence,
            "sample": m.sample,
            "values": m.payload.tolist(),
        }
        for name, m in binary_messages().items()
    }
    manifest |= {name: {"text": json.loads(codec.serialise_text(t))} for name, t in texts().items()}
    manifest |= {name: {"error": code} for name, (_, code) in refused().items()}
    manifest |= {name: {"skip": True} for name in skipped()}
    lines = ",\n".join(f"{json.dumps(n)}: {json.dumps(manifest[n])}" for n in sorted(manifest))
    return files | {"manifest.json": f"{{\n{lines}\n}}\n".encode()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in golden().items():
        (FOLDER / name).write_bytes(data)
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=1) + "\n", "utf-8")
