"""Sessions in a scheduler, and what their receivers heard."""

from __future__ import annotations

import threading

import numpy as np
from patience import PATIENCE

from stream.backends.fake import FakeBackend
from stream.backends.protocol import SamplerCall
from stream.core.session import Session
from stream.frames import Frame
from stream.run.scheduled_session import ScheduledSession
from stream.run.scheduler import Scheduler

FRAME = 640


class Heard:
    """What one scheduled delivered."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ends: list[Exception | None] = []

    def motion(self) -> np.ndarray:
        assert [frame.sequence for frame in self.frames] == list(range(len(self.frames)))
        return np.stack([frame.motion for frame in self.frames])


class Gate(FakeBackend):
    """The fake backend, whose calls wait until they are let through; writes down each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.turn = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[list[SamplerCall]] = []

    def sample_many(self, calls: list[SamplerCall]) -> list[np.ndarray]:
        self.batches.append(list(calls))
        self.entered.release()
        assert self.turn.acquire(timeout=PATIENCE)
        return super().sample_many(calls)


def opened(scheduler: Scheduler, session: Session, **more) -> tuple[ScheduledSession, Heard]:
    heard = Heard()
    scheduled = scheduler.open(session, heard.frames.extend, on_end=heard.ends.append, **more)
    return scheduled, heard


def alone(session: Session, audio: np.ndarray) -> np.ndarray:
    return np.stack([frame.motion for frame in session.feed(audio) + session.finish()])
