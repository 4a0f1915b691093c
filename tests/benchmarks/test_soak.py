"""Hours at speed: clients come and go, and everything that comes is whole."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main as run_benchmark
from benchmarks.harness.paced_clock import PacedClock
from benchmarks.pages import performance
from benchmarks.soak import run
from benchmarks.soak.checked_client import CheckedClient, SoakResult
from benchmarks.soak.run import SoakRun
from stream.frames import FRAME_SAMPLES
from stream.wire import codec, messages


def test_a_few_seconds_with_clients_coming_and_going() -> None:
    result = SoakRun(minutes=0.25, speed=8).run()
    assert result.session_frames > 50 and result.connections >= 6
    assert result.frames + result.early_frames > 50
    assert result.disorder == result.lost == result.left_out == 0


def test_a_machine_that_stalls_makes_it_longer_and_nothing_else() -> None:
    """At 20 times the speed a stall of 0.3 s is 6 s of stream: more than any queue holds."""
    result = SoakRun(minutes=0.5, speed=20, stall=0.3).run()
    assert result.frames > 100 and result.session_frames > 100
    assert result.disorder == result.lost == result.left_out == 0


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_an_hour() -> None:
    result = SoakRun(minutes=60, speed=20).run(print)
    assert result.frames > 100_000 and result.session_frames > 20_000
    assert result.faults() == []


def test_the_clock_waits_for_those_who_hold_it() -> None:
    machine = [0.0]
    clock = PacedClock(10, ahead=0.5, machine=lambda: machine[0])
    machine[0] = 1.0
    assert clock.now() == 10.0  # nobody holds it
    clock.hold("slow")
    clock.hold("quick")
    machine[0] = 2.0
    assert clock.now() == 10.5 and clock.still < 1
    clock.hold("quick", 30.0)
    machine[0] = 3.0
    assert clock.now() == 10.5 and clock.still > 0.9
    clock.hold("slow", 10.3)
    machine[0] = 3.01
    assert clock.now() == pytest.approx(10.6), "no faster than its speed after a pause"
    machine[0] = 4.0
    assert clock.now() == pytest.approx(10.8)
    clock.let_go("slow")
    machine[0] = 10.0
    assert clock.now() == pytest.approx(30.5)


def test_waiting_on_the_clock_ends_in_its_time_or_with_the_event() -> None:
    clock = PacedClock(50, ahead=1.0)
    assert not clock.wait(threading.Event(), 2.0) and clock.now() >= 2.0
    clock.hold("who")
    done = threading.Event()
    threading.Timer(0.05, done.set).start()
    assert clock.wait(done, 1000.0)


class _Said(list[str | bytes]):
    async def send(self, data: str | bytes) -> None:
        self.append(data)


def _early_client(clock: PacedClock, result: SoakResult) -> CheckedClient:
    chance = random.Random(0)
    chance.random = lambda: 0.6  # type: ignore[method-assign]
    client = CheckedClient(clock, 0.0, result, np.zeros(8, np.float32), chance)
    asyncio.run(client.begin(_Said()))
    return client


def _frame(number: int, index: int) -> bytes:
    motion = np.zeros(56, np.float32)
    return codec.serialise(codec.Message(codec.Kind.FLAME, number, index * FRAME_SAMPLES, motion))


def _take(client: CheckedClient, *messages: str | bytes) -> None:
    for data in messages:
        asyncio.run(client.take(data))


PONG = codec.serialise_text(messages.Pong(1, 0.0))


def test_what_was_made_ahead_may_come_before_the_answer() -> None:
    """The clock must not wait for it a second time: nobody would send it."""
    machine = [0.0]
    clock = PacedClock(1000, ahead=0.5, machine=lambda: machine[0])
    client = _early_client(clock, SoakResult())
    _take(client, _frame(3, 0), _frame(70, 24), PONG)
    machine[0] = 1.0
    assert clock.now() == pytest.approx(1.5)


@pytest.mark.parametrize("after, lost", [(7, 0), (8, 2)])
def test_frames_that_were_taken_back_are_not_lost(after: int, lost: int) -> None:
    """Two cuts are told before the frames between them: only those that begin at one miss some."""
    result = SoakResult()
    client = _early_client(PacedClock(1, ahead=9.0), result)
    first, second = (
        codec.serialise_text(messages.Interrupted(index * FRAME_SAMPLES)) for index in (5, 7)
    )
    _take(client, PONG, _frame(0, 4), first, second, _frame(9, 5), _frame(10, 6))
    assert result.disorder == result.lost == 0
    _take(client, _frame(13, after))
    assert result.lost == lost


def test_what_is_found_is_told() -> None:
    found = SoakResult(60.0, 10, 5, lost=2, memory=[1, 2_000_000, 3_000_000], transit=[0.2, 0.21])
    assert found.growth == 1.0 and found.drift == pytest.approx(10.0)
    assert "2 lost" in found.line() and "memory +1.0 MB" in found.line()
    assert SoakResult().growth == SoakResult().drift == 0.0


def test_each_fault_is_named() -> None:
    assert SoakResult(memory=[1, 2, 3], transit=[0.1, 0.1]).faults() == []
    bad = SoakResult(
        disorder=1, lost=2, left_out=0.5, memory=[0, 0, 20_000_000], transit=[0.1, 0.2]
    ).faults()
    assert len(bad) == 5 and "2 frames lost" in bad
    assert SoakResult(transit=[float("inf")] * 2).faults(), "no frame came: no drift is known"


def test_the_command_writes_what_the_page_reads(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    assert run.main(["--minutes", "0.1", "--speed", "20", "--json", str(out)]) in (0, 1)
    result = json.loads(out.read_text())
    text = performance.page(performance.read_results([out]))
    assert "## Hours at speed" in text and f"{result['soak']['connections']:,}" in text


def test_a_folder_that_is_not_there_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_benchmark(["soak", "--json", str(tmp_path / "no" / "soak.json")]) == 1
    assert "there is no such folder" in capsys.readouterr().err
