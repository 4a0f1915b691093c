"""Speakers notice what they should: a server that is lost under them. Real servers, no Ray."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import numpy as np
import pytest
from switch import Switch
from two_servers import replica

from benchmarks.scaling.kills import judge, summary
from benchmarks.scaling.speakers import SpeakingClient, carried, lip_distance, spoken_for
from stream.backends.registry import load_backend


def test_a_server_lost_under_speakers_is_judged() -> None:
    with ExitStack() as open_:
        first, second = (open_.enter_context(replica()) for _ in range(2))
        switch = open_.enter_context(Switch(first.port))
        timer = threading.Timer(2.5, switch.cut, (second.port,))
        timer.start()
        speakers = spoken_for(3, switch.url, 6.0, resume=True)
        timer.join()
        found = judge(speakers)
    assert found["errors"] == []
    assert (found["moved"], found["repeated"], found["missing_of_moved"]) == (3, 0, 0)
    assert found["gap_seconds"] > 0.0 and found["lip_step_mm"] <= 8.0
    total = summary([found, found])
    assert (total["kills"], total["moved"]) == (2, 6)


@pytest.mark.slow
def test_lips_do_not_jump_where_the_starter_goes_on() -> None:
    """Both servers lose everybody, one after the other, in the middle of speech."""
    backend, outcomes = load_backend("auto"), []
    with ExitStack() as open_:
        servers = [open_.enter_context(replica(backend, capacity=8)) for _ in range(2)]
        switch = open_.enter_context(Switch(servers[0].port))
        for number in range(4):
            target = servers[(number + 1) % 2].port
            timer = threading.Timer(3.0 + number / 4, switch.cut, (target,))
            timer.start()
            outcomes.append(judge(spoken_for(4, switch.url, 7.0, resume=True)))
            timer.join()
    found = summary(outcomes)
    print(found)
    assert found["errors"] == [] and found["moved"] >= 12
    assert found["repeated"] == 0 and found["lip_step_mm"] <= 8.0
    if found["gap_seconds"] < 2.0:  # a machine that is later than that leaves time out
        assert (found["missing_of_moved"], found["missing_of_others"]) == (0, 0)


def speaker(samples: list[int], ages: float = 0.1) -> SpeakingClient:
    """Whose frames came at the pace of time."""
    made = SpeakingClient(0, samples, [sample / 16000 for sample in samples], [ages] * len(samples))
    made.values = [np.zeros(56, np.float32) for _ in samples]
    return made


def test_what_is_counted() -> None:
    whole = [640 * number for number in range(200)]
    assert carried([speaker(whole)], 0.3) and not carried([speaker(whole, 0.5)], 0.3)
    assert not carried([speaker(whole[:60] + whole[61:])], 0.3)
    torn = speaker([0, 640, 1920, 1280, 1280])
    assert (torn.repeated, torn.missing) == (2, 0)
    holed = speaker([0, 640, 1920])
    assert (holed.repeated, holed.missing) == (0, 1)
    assert holed.longest_gap() == pytest.approx(0.08)
    open_mouth = np.zeros(56, np.float32)
    open_mouth[53] = 0.3
    closed = np.zeros(56, np.float32)
    assert lip_distance(closed, closed) == 0.0
    assert 10.0 < lip_distance(closed, open_mouth) < 60.0
