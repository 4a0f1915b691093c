"""`posetalk.Client` against the real server: frames, sets, pushed sound, requests, refusals."""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl as tls
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from certificates import make_certificate
from patience import PATIENCE
from real_server import RealServer
from websockets.sync.server import ServerConnection, serve

import posetalk
from head.rig import builtin_head
from posetalk.client import (
    ClientError,
    ClientFrame,
    ClientSound,
    ConnectionFailed,
    Refused,
    RequestError,
    VersionMismatch,
)
from posetalk.client.events import Reading
from posetalk.client.inbox import INBOX_EVENTS, Inbox
from stream.backends.registry import load_backend
from stream.core.session import Session
from stream.run.live_loop import LiveLoop
from stream.serve.server import Server
from stream.sources.pushed import PushedSource
from stream.wire import codec, messages, session_messages
from stream.wire.channels import make_hello

HEAD = builtin_head()
SPEECH = np.random.default_rng(0).normal(0, 0.15, 16000).clip(-1, 1).astype("f4")


@pytest.fixture
def avatar() -> Iterator[Server]:
    """A running avatar that says what clients push, in two styles."""
    source = PushedSource()
    stop = threading.Event()
    hello = make_hello(HEAD, style="calm", styles=["calm", "lively"])
    with Server(HEAD, hello, port=0) as server:
        loop = LiveLoop(source, Session(load_backend("fake")), [server])
        server.controls.push = source.push
        server.controls.interrupt = loop.interrupt

        def on_style(request: session_messages.Condition) -> None:
            if request.asked()["style"] not in hello.styles:
                raise ValueError(request)
            server.changed(request)

        server.controls.change = on_style
        worker = threading.Thread(target=loop.run, kwargs={"stop": stop})
        worker.start()
        yield server
        stop.set()
        worker.join(PATIENCE)
        assert not worker.is_alive()


def test_frames_have_names_and_times(avatar: Server) -> None:
    with posetalk.Client(avatar.url, set="arkit52") as client:
        frames = [frame for frame, _ in zip(client.frames(), range(10), strict=False)]
        assert client.hello.head == HEAD.id and client.hello.synthetic
    assert all(frame.set == "arkit52" and frame.values.shape == (55,) for frame in frames)
    assert [f.sequence for f in frames] == list(range(frames[0].sequence, frames[0].sequence + 10))
    assert frames[1].seconds - frames[0].seconds == pytest.approx(0.04)
    assert frames[0]["jawOpen"] == frames[0].by_name["jawOpen"] == frames[0].values[17]
    with pytest.raises(KeyError):
        frames[0]["jawX"]


def test_pushed_speech_moves_the_jaw_and_comes_back(avatar: Server) -> None:
    """24 kHz stereo, as text-to-speech makes it; the server's sound is at 16 kHz."""
    stereo = np.repeat(np.repeat(SPEECH, 2)[:24000, None], 2, axis=1)
    widest, heard = 0.0, []
    with posetalk.Client(avatar.url, set="arkit52", audio=True) as client:
        client.push(stereo, 24000)
        for event in client.events():
            if isinstance(event, ClientSound):
                heard.append(event.samples)
            elif isinstance(event, ClientFrame):
                widest = max(widest, event["jawOpen"])
                if widest > 0.2 and sum(map(len, heard)) > 8000:
                    break
        client.interrupt()
        cut = next(e for e in client.events() if isinstance(e, messages.Interrupted))
        assert cut.sample > 0
    assert np.concatenate(heard).std() > 0.01


def test_int16_and_floats_are_the_same_sound(avatar: Server) -> None:
    pushed: list[np.ndarray] = []
    avatar.controls.push = lambda samples: pushed.append(samples) or True  # type: ignore[func-returns-value]
    with posetalk.Client(avatar.url) as client:
        client.push(np.int16(SPEECH * 32767))
        client.push(SPEECH.astype(np.float64))
    whole = np.concatenate(pushed)
    np.testing.assert_allclose(whole[:16000], whole[16000:], atol=1e-4)
    assert len(pushed) > 2  # in pieces, so that nothing is too long for a message


def test_a_push_waits_for_room(avatar: Server) -> None:
    answers = iter([False, False, True, True])
    avatar.controls.push = lambda samples: next(answers)
    with posetalk.Client(avatar.url) as client:
        client.push(SPEECH)
        assert next(answers, None) is None
        avatar.controls.push = lambda samples: False
        with pytest.raises(RequestError) as error:
            client.push(SPEECH, wait=False)
        assert error.value.code == "audio_full"


def test_requests_are_obeyed_or_raise_where_they_were_made(avatar: Server) -> None:
    with posetalk.Client(avatar.url, set="") as client:
        client.style("lively")
        assert isinstance(next(client.events()), session_messages.Style)
        with pytest.raises(RequestError, match="calm, lively") as error:
            client.style("opera")
        assert error.value.code == "no_such_style"
        with pytest.raises(RequestError) as error:
            client.subscribe("blendshapes")
        assert error.value.code == "no_such_set"
        client.subscribe("flame")  # it goes on after an error
        assert next(client.frames())["jawX"] >= 0
        avatar.controls.push = None
        with pytest.raises(RequestError) as error:
            client.push(SPEECH)
        assert error.value.code == "audio_not_accepted"


def test_a_session_of_one_s_own(tmp_path: Path) -> None:
    """Speech pushed as a whole comes back as frames at once; interrupted, it eases to silence."""
    with (
        RealServer(tmp_path, source="demo") as server,
        posetalk.Client(server.url, set="arkit52", audio=True) as client,
    ):
        assert "open" in (client.hello.accepts or [])
        next(client.frames())
        opened = client.open(seed=3)
        client.push(np.tile(SPEECH, 4))
        client.flush()
        frames, sounds = [], []
        for event in client.events():
            if isinstance(event, ClientFrame):
                frames.append(event)
            elif isinstance(event, ClientSound):
                sounds.append(event)
            if len(frames) >= 100:
                break
        assert [f.sequence for f in frames] == list(range(len(frames)))
        assert [f.sample for f in frames] == [opened.sample + 640 * k for k in range(len(frames))]
        assert max(f["jawOpen"] for f in frames) > 0.2
        assert sounds[0].sample >= opened.sample and max(s.samples.std() for s in sounds) > 0.05
        playing = frames[50].sample
        client.interrupt(at=playing)
        events = client.events()
        cut = next(e for e in events if isinstance(e, messages.Interrupted))
        assert abs(cut.sample - playing) <= 1280
        again = next(e for e in events if isinstance(e, ClientFrame))
        assert again.sample >= cut.sample - 640
        client.close_session()
        assert any(isinstance(e, session_messages.Closed) for e in client.events())
        assert next(client.frames()).set == "arkit52"  # the server's own again
        with pytest.raises(RequestError) as error:
            client.open(style="opera")
        assert error.value.code in ("open", "no_such_style")
        with pytest.raises(RequestError, match="no session"):
            client.flush()


def test_what_the_server_refuses_reaches_the_caller(avatar: Server) -> None:
    with posetalk.Client(avatar.url) as client:
        with pytest.raises(RequestError) as error:
            client.push(SPEECH, 1000)  # no such rate
        assert error.value.code == "audio_format"
        with pytest.raises(ValueError, match="floats go from -1 to 1"):
            client.push(32768 * np.ones(640))
        client.push(SPEECH)
        assert any(frame["jawX"] > 0.02 for frame in itertools.islice(client.frames(), 40))


def test_vertices_come_with_their_triangles(avatar: Server) -> None:
    with posetalk.Client(avatar.url, set="vertices") as client:
        frame = next(client.frames())
        assert frame.values.shape == HEAD.template.shape and frame.by_name == {}
        np.testing.assert_array_equal(client.faces, HEAD.faces)


def test_the_end_is_the_end_and_losing_the_server_is_said(avatar: Server) -> None:
    with posetalk.Client(avatar.url) as client:
        next(client.frames())
        avatar.close()
        assert len(list(client.frames())) < 200  # ends by itself
        with pytest.raises(ConnectionFailed):
            client.style("calm")
    with pytest.raises(ConnectionFailed, match="is `posetalk serve` running there"):
        posetalk.Client(avatar.url).connect()


def test_a_server_that_comes_back_is_found_again() -> None:
    hello = make_hello(HEAD)
    with Server(HEAD, hello, port=0) as first:
        client = posetalk.Client(first.url).connect()
    assert list(client.frames()) == []
    with Server(HEAD, hello, port=first.port):
        client.connect()
        client.subscribe("arkit52")
    client.close()
    client.close()
    with pytest.raises(ConnectionFailed, match="not connected"):
        client.interrupt()


def test_asyncio_watches_and_asks_at_once(avatar: Server) -> None:
    async def run() -> list[ClientFrame]:
        async with posetalk.AsyncClient(avatar.url) as client:
            frames: list[ClientFrame] = []

            async def watch() -> None:
                async for frame in client.frames():
                    frames.append(frame)
                    if len(frames) == 8:
                        return

            await asyncio.gather(watch(), client.push(SPEECH), client.style("lively"))
            return frames

    assert len(asyncio.run(run())) == 8


def test_a_token_is_brought_along() -> None:
    with Server(HEAD, make_hello(HEAD), port=0, token="a-secret-of-sixteen") as server:
        with posetalk.Client(server.url, token="a-secret-of-sixteen") as client:
            assert client.hello.head == HEAD.id
        for token in (None, "wrong"):
            with pytest.raises(Refused):
                posetalk.Client(server.url, token=token).connect()


def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    server_side = tls.create_default_context(tls.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate, key)
    with Server(HEAD, make_hello(HEAD), port=0, ssl=server_side) as server:
        url = f"wss://localhost:{server.port}"
        trusting = tls.create_default_context(cafile=certificate)
        with posetalk.Client(url, ssl=trusting) as client:
            assert client.hello.head == HEAD.id
        with pytest.raises(ConnectionFailed, match="certificate"):
            posetalk.Client(url).connect()


@pytest.mark.parametrize(
    ("said", "kind", "sentence"),
    [
        ('{"type":"hello","protocol":2,"news":[]}', VersionMismatch, "protocol 2, this side 1"),
        ('{"type":"error","code":"full","message":"come later","fatal":true}', Refused, "later"),
        ('{"type":"weather"}', ClientError, "no posetalk server"),
        (b"PTK1", ClientError, "not the protocol"),
    ],
)
def test_other_servers(said: str | bytes, kind: type[Exception], sentence: str) -> None:
    def speak(link: ServerConnection) -> None:
        link.send(said)
        link.close()

    with serve(speak, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(kind, match=sentence):
                posetalk.Client(f"127.0.0.1:{server.socket.getsockname()[1]}").connect()
        finally:
            server.shutdown()
            thread.join()


def test_what_is_unknown_is_skipped() -> None:
    reading = Reading(make_hello(HEAD))
    assert reading.event(messages.Unknown("weather")) is None
    assert reading.event(codec.Message(200, 0, 0, np.zeros(3, "f4"))) is None
    assert reading.faces is None


def test_frames_that_nobody_takes_are_counted_not_kept() -> None:
    inbox = Inbox()
    frame = ClientFrame("flame", 0, 0, np.zeros(56, "f4"), ())
    for _ in range(INBOX_EVENTS + 5):
        inbox.put(frame)
    assert inbox.dropped == 5 and len(inbox) == INBOX_EVENTS


def test_the_documented_example_runs(avatar: Server, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "python.md").read_text("utf-8")
    found = re.search(r"^## A client$.*?^```python\n(.*?)^```", page, re.M | re.S)
    assert found is not None and "ws://127.0.0.1:8765" in found[1]
    code = found[1].replace("ws://127.0.0.1:8765", avatar.url)
    threading.Timer(1.0, avatar.close).start()  # or it would watch for ever
    exec(compile(code, "A client", "exec"), {"speech": np.repeat(SPEECH, 2)})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "['calm', 'lively']" and len(lines) > 10
    assert max(float(line.split()[1]) for line in lines[1:]) > 0.2


def test_every_client_is_on_the_page_and_says_how_to_start() -> None:
    root = Path(__file__).resolve().parents[3]
    page = (root / "docs" / "clients.md").read_text("utf-8")
    for folder in sorted(path for path in (root / "clients").iterdir() if path.is_dir()):
        assert f"(../clients/{folder.name})" in page, folder.name
        lines = (folder / "README.md").read_text("utf-8").strip().splitlines()
        assert lines[0].startswith("# posetalk for ") and len(lines) <= 18, folder.name
        if folder.name == "pipecat":
            continue  # its sound is the pipeline's
        [example] = re.findall(r"^```\w+\n(.*?)^```", "\n".join(lines), re.M | re.S)
        calls = re.search(r"[.>](push|Push|PushSound)\(\w", example)
        assert calls is not None, f"{folder.name}: no example that pushes sound"
        sources = "".join(
            path.read_text("utf-8")
            for path in folder.rglob("*")
            if path.suffix in (".ts", ".gd", ".cs", ".h", ".py")
        )
        assert f"{calls[1]}(" in sources and "--source push" in "\n".join(lines)
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (root / "docs" / link).exists(), link
