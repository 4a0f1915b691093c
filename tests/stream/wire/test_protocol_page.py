"""docs/protocol.md says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE
from wire_clients import HEAD, HELLO, frame

from stream.serve import client_sessions, requests
from stream.serve.client import incoming, pushed_audio, resuming
from stream.serve.server import Server
from stream.wire import codec, messages
from stream.wire.codec import Kind


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(HEAD, HELLO, port=0) as running:
        yield running


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "protocol.md").read_text()


def test_the_page_lists_the_channels_in_order() -> None:
    text = PAGE.split("**Channels.**")[1].split("## Control")[0]
    words = (
        re.sub(r"\(.*?\)", "", text, flags=re.DOTALL).replace(",", " ").replace(".", " ").split()
    )
    at = words.index("eyeBlinkLeft")
    listed = [word for word in words[at : at + 57] if word != "then"]
    assert listed == HELLO.channels["flame"]


def test_the_page_names_every_message_and_error() -> None:
    for text in codec._TEXTS:
        assert f'"type":"{text}"' in PAGE
    for kind in Kind:
        assert f"| {int(kind)} |" in PAGE
    modules = (codec, requests, client_sessions, incoming, resuming, pushed_audio)
    sources = "".join(Path(str(m.__file__)).read_text() for m in modules)
    codes = set(re.findall(r'(?:WireError|messages\.Error)\(\s*"(\w+)"', sources))
    assert len(codes) >= 10
    assert not [code for code in codes if f"`{code}`" not in PAGE]


def test_the_page_has_the_heads_numbers() -> None:
    text = re.findall(r"## Hello\n```json\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    hello = codec.parse_text(text)
    assert isinstance(hello, messages.Hello)
    assert (hello.head, hello.vertices, hello.faces) == (HEAD.id, HELLO.vertices, HELLO.faces)
    size = len(codec.serialise(codec.Message(Kind.VERTICES, 0, 0, HEAD.template.ravel())))
    assert f"24 + 12 V bytes, {size:,} for the built-in head" in PAGE


def test_the_json_on_the_page_is_accepted() -> None:
    for example in re.findall(r'^\| `(\{"type".*?\})` \|', PAGE, flags=re.MULTILINE):
        assert not isinstance(codec.parse_text(example), messages.Unknown)


def test_the_example_on_the_page_runs(server: Server) -> None:
    program = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    program = program.replace("ws://127.0.0.1:8765", server.url)
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + PATIENCE
        there = server._listener.attendance.clients
        while not any(client.subscription.set == "arkit52" for client in list(there)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.on_frame(frame(25))
        assert child.stdout is not None
        sample, jaw = child.stdout.readline().split()
        assert float(sample) == 1.0
        assert float(jaw) == pytest.approx(frame(25).motion[53] / 0.35, rel=1e-4)
    finally:
        child.kill()
        child.communicate()
