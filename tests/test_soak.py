"""Hours at speed: clients come and go, and everything that comes is whole."""

from __future__ import annotations

import pytest

from benchmarks.soak import Findings, Soak


def test_a_few_seconds_with_clients_coming_and_going() -> None:
    findings = Soak(minutes=0.15, speed=3).run()
    assert findings.frames > 10 and findings.connections >= 6
    assert findings.disorder == 0


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_an_hour() -> None:
    findings = Soak(minutes=60, speed=8).run(print)
    assert findings.frames > 100_000 and findings.own_frames > 20_000
    assert findings.disorder == 0 and findings.lost == 0
    assert abs(findings.drift) < 40, "under one frame"
    assert findings.growth < 10


def test_what_is_found_is_told() -> None:
    found = Findings(60.0, 10, 5, lost=2, memory=[1, 2_000_000, 3_000_000], transit=[0.2, 0.21])
    assert found.growth == 1.0 and found.drift == pytest.approx(10.0)
    assert "2 lost" in found.line() and "memory +1.0 MB" in found.line()
    assert Findings().growth == Findings().drift == 0.0
