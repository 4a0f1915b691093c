"""Messages that no honest client sends, made from honest ones; the same seed gives the same."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

from golden_wire import golden

GOLDEN = {name: data for name, data in golden().items() if name != "manifest.json"}
BINARY = [data for name, data in GOLDEN.items() if name.endswith(".bin")]
TEXTS = [data.decode() for name, data in GOLDEN.items() if name.endswith(".json")] + [
    '{"type":"open","protocol":1,"style":"calm","seed":7,"pace":"live","alive":false}',
    '{"type":"open","shape":[0.5,1,2]}',
    '{"type":"life","gaze":0.5,"still":true}',
    '{"type":"guidance","audio_guidance":1.5,"style_guidance":2}',
    '{"type":"interrupt","at":6400}',
    '{"type":"subscribe","set":"flame","audio":true,"ahead":true}',
    '{"type":"flush"}',
    '{"type":"close"}',
]


class Fuzzer:
    """Makes malformed messages.

    Args:
        seed: of its choices.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def message(self) -> bytes | str:
        """The next message, binary or text."""
        return self._binary() if self._random.random() < 0.4 else self._text()

    def _binary(self) -> bytes:
        r = self._random
        data = bytearray(r.choice(BINARY))
        match r.randrange(7):
            case 0:
                return r.randbytes(r.randrange(200))
            case 1:
                for _ in range(r.randrange(1, 6)):
                    if data:
                        data[r.randrange(len(data))] = r.randrange(256)
            case 2:
                del data[r.randrange(len(data) + 1) :]
            case 3:
                data += r.randbytes(r.randrange(1, 60))
            case 4:  # a header of any numbers
                head = struct.pack(
                    "<BBHIqI",
                    1,
                    r.choice([1, 2, 3, 4, 16, 16, 16, 77, 255]),
                    r.randrange(4),
                    r.getrandbits(32),
                    r.choice([0, -1, 2**62, -(2**63)]),
                    r.getrandbits(8),
                )
                return b"PTK1" + head + r.randbytes(r.randrange(1024))
            case 5:  # speech that is none: all bit patterns, not-a-number among them
                count = r.randrange(2000)
                sound = struct.pack("<BBHIqI", 1, 16, 0, 0, 0, count) + r.randbytes(4 * count)
                return b"PTK1" + sound
            case _:
                values = [float("nan"), float("inf"), -float("inf"), 3e38, 0.0]
                body = struct.pack("<4f", *(r.choice(values) for _ in range(4)))
                return b"PTK1" + struct.pack("<BBHIqI", 1, 16, 0, 0, 0, 4) + body
        return bytes(data)

    def _text(self) -> str:
        r = self._random
        text = r.choice(TEXTS)
        match r.randrange(6):
            case 0:
                return "".join(
                    chr(r.choice([r.randrange(1, 128), 0x2028, 0x1F600, 0xFFFD]))
                    for _ in range(r.randrange(60))
                )
            case 1:
                at = r.randrange(len(text))
                return (
                    text[:at] + r.choice(['"', "{", "[", "\\", "0", "e", "-", "\u0000"]) + text[at:]
                )
            case 2:
                return text[: r.randrange(len(text))]
            case 3:
                depth = r.choice([3, 50, 5000])
                return r.choice(['{"a":', "["]) * depth + "1"
            case _:
                return self._with_other_values(text)

    def _with_other_values(self, text: str) -> str:
        r = self._random
        try:
            values = json.loads(text)
        except ValueError:
            return text
        if not isinstance(values, dict):
            return text
        for name in list(values):
            if name != "type" and r.random() < 0.6:
                values[name] = self._value(2)
        if r.random() < 0.1:
            values["type"] = self._value(1)
        if r.random() < 0.3:
            values[r.choice(["protocol", "x", "set", "name", "seed", "shape", "at"])] = self._value(
                2
            )
        return json.dumps(values)

    def _value(self, depth: int) -> Any:
        r = self._random
        if depth and r.random() < 0.25:
            if r.random() < 0.5:
                return [self._value(depth - 1) for _ in range(r.randrange(5))]
            return {str(k): self._value(depth - 1) for k in range(r.randrange(4))}
        return r.choice(
            [
                None,
                True,
                False,
                0,
                1,
                -1,
                2,
                5,
                25,
                2**31,
                -(2**63),
                2**63,
                10**300,
                10**400,
                1.5,
                -0.0,
                1e308,
                1e-308,
                1e39,
                "",
                "flame",
                "vertices",
                "arkit52",
                "calm",
                "live",
                "fast",
                "calm*0.7+lively*0.3",
                "calm*1e308+calm*-1e308",
                "*",
                "+" * 50,
                "../../etc/passwd",
                "a.npz",
                "\ud800",
                "x" * 5000,
                8000,
                16000,
                44100,
                191975,
                191999,
                7999,
            ]
        )
