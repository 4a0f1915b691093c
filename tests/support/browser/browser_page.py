"""The page in a browser, of a server that speaks what the test pushes."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from patience import PATIENCE

import posetalk
from benchmarks.harness.chromium import Tab, Tabs, browser
from head.rig import builtin_head
from stream.backends.fake import FakeBackend
from stream.core.conditions import ConditionChange
from stream.core.session import Session
from stream.run.live_loop import LiveLoop
from stream.run.push.factory import SessionFactory
from stream.run.scheduler import Scheduler
from stream.run.sinks import Collected
from stream.serve.server import Server
from stream.sources.pushed import PushedSource
from stream.wire import session_messages
from stream.wire.channels import make_hello
from viewer.page.site import make_site

HEAD = builtin_head()


SITE = make_site(HEAD)


LOUD = np.random.default_rng(0).normal(0, 0.2, 16000).clip(-1, 1).astype("f4")


HARMLESS = "GPU stall due to ReadPixels"
"""What Chromium's software renderer says of every screenshot."""
SCREENS = [(390, 844), (360, 640), (844, 390), (768, 1024), (1280, 800)]


class Avatar:
    """A server with a page: its own session hears what the test pushes."""

    def __init__(
        self,
        port: int = 0,
        token: str | None = None,
        capacity: int = 2,
        pages: dict[str, Any] = SITE,
        sound: bool = False,
        source: str | None = None,
    ) -> None:
        backend = FakeBackend()
        backend.styles = {name: np.zeros(0, "f4") for name in ("neutral", "lively", "calm")}
        self.source = PushedSource()
        self.session = Session(backend)
        hello = make_hello(HEAD, style="neutral", styles=list(backend.styles))
        sessions = SessionFactory(
            lambda: Scheduler(backend, capacity), backend, preset="default", style="neutral"
        )
        for each in pages.values():
            each.packed  # noqa: B018 - made now, as a program that serves has them made
        self.server = Server(HEAD, hello, port=port, token=token, pages=pages, sessions=sessions)
        if sound:
            self.server.offer_sound()
        if source is not None:
            self.server.name_source(source)
        self.heard: list[Any] = []
        self.stop = threading.Event()

    def __enter__(self) -> Avatar:
        self.server.start()
        self.kept = Collected()
        loop = LiveLoop(self.source, self.session, [self.server, self.kept])
        server = self.server

        def change(request: session_messages.Condition) -> None:
            if isinstance(request, session_messages.Style):
                self.heard.append(request.name)
                server.changed(request)
            else:
                self.session.change(ConditionChange(**request.asked()))
                server.changed(request.of(self.session.conditions.now))

        server.controls.change = change
        server.controls.interrupt = loop.interrupt
        server.changed(session_messages.Guidance(1.0, 1.0))
        server.changed(session_messages.Life.of(self.session.conditions.now))
        self.thread = threading.Thread(target=loop.run, kwargs={"stop": self.stop})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(PATIENCE)
        self.server.close()


@pytest.fixture(scope="module")
def tabs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabs]:
    """Opens tabs of one browser, whose microphone hears the demo speech over and over."""
    folder = tmp_path_factory.mktemp("browser")
    speech, rate = soundfile.read(posetalk.demo_speech(), frames=16000 * 4)
    soundfile.write(folder / "voice.wav", speech, rate, subtype="PCM_16")
    with browser(
        folder,
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'voice.wav'}",
    ) as tab:
        yield tab


@pytest.fixture(scope="module")
def avatar() -> Iterator[Avatar]:
    with Avatar() as running:
        yield running


@contextlib.contextmanager
def page(tabs: Tabs, avatar: Avatar, size: tuple[int, int] = (640, 360)) -> Iterator[Tab]:
    """A tab that shows the face and gets frames."""
    with tabs() as tab:
        tab.size(*size)
        tab.open(avatar.server.page_url)
        tab.until("window.posetalk && posetalk.face.shown > 0")
        tab.until("posetalk.link.state === 'live' && posetalk.face.playout.frames.length > 0")
        yield tab


@pytest.fixture
def tab(tabs: Tabs, avatar: Avatar) -> Iterator[Tab]:
    with page(tabs, avatar) as opened:
        yield opened


def complaints(tab: Tab) -> list[str]:
    tab.value("1")  # whatever was on its way has come
    return [text for text in tab.complaints if HARMLESS not in text]


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    import av

    with av.open(io.BytesIO(data)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


LIPS = [HEAD.landmarks["lip_upper_mid"], HEAD.landmarks["lip_lower_mid"]]
WATCH = """
window.seen = [];
const rig = posetalk.face.rig, show = rig.pose.bind(rig);
const [up, low] = LIPS;
rig.pose = (values) => {
  show(values);
  const gap = rig.positions[3 * up + 1] - rig.positions[3 * low + 1];
  seen.push([posetalk.face.sample, 1000 * gap]);
};
""".replace("LIPS", str(LIPS))
"""From now on the page writes down what it draws: sample, millimetres between the lips."""


def mouth(tab: Tab) -> np.ndarray[Any, Any]:
    """(n, 2) what the page has drawn since `WATCH`."""
    return np.array(json.loads(tab.value("JSON.stringify(seen)")), float).reshape(-1, 2)
