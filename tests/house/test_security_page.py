"""The tables of docs/security.md against the code: every number there is the server's."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path

import pytest

from benchmarks.attacks.verdict import MEMORY_BAR
from diffposetalk.bundle.styles import MOST_SHARE
from posetalk.app.settings.stream import StreamSettings
from stream.audio import SAMPLE_RATE
from stream.core.conditions import MOST_GUIDANCE
from stream.run.push.session import AHEAD_SECONDS
from stream.serve import frame_encoder, limits, server
from stream.serve.client import outbox, pushed_audio
from stream.serve.door.auth import SHORTEST_TOKEN
from stream.serve.limits import Limits
from stream.sources.pcm import make_filter
from stream.wire.codec import MOST_ITEMS

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
L = Limits()
READ_TIMEOUT = signature(server.Server).parameters["read_timeout"].default
KB, MB = 1 << 10, 1 << 20

LIMITS: dict[str, tuple[float, ...]] = {
    "websockets": (L.clients, L.peer_clients),
    "own sessions": (StreamSettings().sessions,),
    "connections that are no websocket yet": (L.handshakes, L.peer_handshakes, L.handshake_seconds),
    "browsers reading a page": (L.pages, L.page_seconds),
    "message": (L.message_bytes / MB, L.fragments, limits.MOST_TEXT, MOST_ITEMS),
    "style or mix": (limits.MOST_NAME, MOST_SHARE),
    "strengths": (0, MOST_GUIDANCE),
    "budget of a client": (L.rate, L.burst),
    "budget of an address": (L.peer_rate, L.peer_burst),
    "budget of all": (L.server_rate, L.server_burst),
    "wrong tokens of an address": (L.wrong_tokens, L.wrong_token_seconds, 429),
    "waiting for one client": (
        outbox.TEXT_QUEUE,
        outbox.TEXT_BYTES / KB,
        outbox.AUDIO_QUEUE * 0.02,
        outbox.AUDIO_BYTES / KB,
        outbox.EARLY_BYTES / MB,
        outbox.MOTION_QUEUE,
        outbox.EARLY_QUEUE,
    ),
    "received from one client and not read": (64,),
    "messages that are not complete, of all": (
        L.unfinished_free / KB,
        L.unfinished_bytes / MB,
        L.unfinished_seconds,
    ),
    "sample rates beyond the usual ones": (
        pushed_audio.MOST_UNUSUAL,
        round(make_filter(191_975).taps.nbytes / 1e6, 1),
    ),
    "vertices as readable text": (frame_encoder.SLOW_TEXT_FRAMES,),
    "memory in all": (MEMORY_BAR,),
    "a client that does not read": (READ_TIMEOUT,),
    "an end with clients that hang": (1,),
}
"""The numbers of each row, in their order; those on Audio2Face: `tests/stream/serve/a2f`."""

COSTS: dict[str, tuple[float, ...]] = {
    "a message, a ping or pong, a fragment": (limits.FRAGMENT,),
    "8,000 bytes received": (limits.BYTES_A_UNIT, 1),
    "200 characters of text": (limits.TEXT_BYTES_A_UNIT, 1),
    "500 samples resampled": (limits.SAMPLES_A_UNIT, 1),
    "a message sent again (`ahead`)": (limits.RESENT,),
    "a viewer that is told of a change": (limits.FAN_OUT,),
    "a handshake or a page": (limits.REQUEST,),
    "a style, strengths, `flush`, `close`, triangles": (limits.CONTROL,),
    "`interrupt`": (limits.INTERRUPT,),
    "`open`": (limits.OPEN,),
    "a filter for an unusual sample rate": (limits.FILTER,),
}


def _table(under: str) -> dict[str, str]:
    """First cell -> the row's numbers are in it and in the second; of the table after `under`."""
    lines = PAGE.read_text().split(under, 1)[1].splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("|---"))
    rows: dict[str, str] = {}
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        name, value = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = value
    return rows


def _numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_the_codes(name: str) -> None:
    assert _numbers(_table("\n## Limits\n")[name]) == pytest.approx(list(LIMITS[name]))


@pytest.mark.parametrize("name", COSTS)
def test_a_price_is_the_codes(name: str) -> None:
    told = _table("\n| work | units |")[name]
    assert _numbers(f"{name} {told}") == pytest.approx(list(COSTS[name]))


def test_every_row_is_compared() -> None:
    rows = {name for name in _table("\n## Limits\n") if "Audio2Face" not in name}
    assert rows - {
        "a message of theirs",
        "sound of theirs on its way through the model and back",
    } == (set(LIMITS))
    assert set(_table("\n| work | units |")) == set(COSTS)


def test_what_is_said_beside_the_tables() -> None:
    page = " ".join(PAGE.read_text().split())
    assert limits.CONTROL == limits.FACES and limits.CONTROL_FRAME == limits.FRAGMENT == 1
    assert f"At least {SHORTEST_TOKEN} characters" in page
    assert f"nor repeat more than {limits.MOST_ECHO} characters" in page
    assert f"a handshake takes at most {L.handshake_seconds:g} s" in page
    assert f"(but at {limits.Budget(limits.Bucket(1, 1)).guaranteed:g} units a second" in page
    assert "or a minute and" in page and AHEAD_SECONDS == 60 and SAMPLE_RATE == 16_000
