"""The example of clients/pipecat whole: flite, the starter, WebRTC, and Chromium draws the face."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.harness.chromium import browser_program
from benchmarks.harness.environment import environment
from benchmarks.pipecat.browser import bot_page, interrupt, speak
from benchmarks.pipecat.judging import RTP_RATE, judged, places
from benchmarks.pipecat.run import CLOSE_BAR_MS, MEDIAN_BAR_MS, P95_BAR_MS, figures, lines

pytestmark = pytest.mark.extra("pipecat")


def packets_of(sound: np.ndarray, first: int) -> list[tuple[int, bytes]]:
    """Opus packets of 20 ms, and their RTP time stamps."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RTP_RATE, "mono", "s16"
    packets = []
    for start in range(0, len(sound) - 959, 960):
        piece = (sound[start : start + 960] * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
        frame.sample_rate = RTP_RATE
        for packet in encoder.encode(frame):
            packets.append((first + 960 * len(packets), bytes(packet)))
    return packets


def test_lips_are_held_against_the_sound_in_the_packets() -> None:
    """Also where the sender had to wait for a part of the sound."""
    random = np.random.default_rng(1)
    pcm = np.convolve(random.normal(0, 0.2, 48000), np.hanning(15) / 7, "same").clip(-1, 1)
    whole = np.interp(np.arange(144000) / 3, np.arange(48000), pcm)
    parts = [np.zeros(14400), whole[:48000], np.zeros(4800), whole[48000:], np.zeros(9600)]
    packets = packets_of(np.concatenate(parts), 7_000_000)
    seconds, stamps = places(pcm, packets)
    np.testing.assert_allclose(seconds, np.arange(12) / 4 + 0.125)
    meant = 7_000_000 + 14400 + 48000 * seconds + 4800 * (seconds > 1.0)
    delay = (stamps - meant) / RTP_RATE
    assert (delay >= 0.0).all() and (delay < 0.015).all(), "what Opus takes"
    # A face that is drawn for the second that is played, and one that comes 50 ms later.
    sources = [(1000.0 + 20 * k, 7_000_000 + 960 * k) for k in range(180)]
    for late in (0.0, 0.05):
        moments = np.arange(2500.0, 4300.0, 16.0)
        played = 7_000_000 + 48 * (moments - 1000)
        meant = (played - stamps[6]) / RTP_RATE + seconds[6] - late
        drawn = [(at, 0, second, 0.1) for at, second in zip(moments, meant, strict=True)]
        step = judged(pcm, packets, sources, drawn)
        np.testing.assert_allclose(step.off, -late, atol=1e-3)
    told = figures([step], [80.0, 60.0])
    assert told["off_ms"]["median"] == pytest.approx(50.0, abs=1) and told["closed_ms"] == [60, 80]
    assert "missed" in "".join(lines(environment("pipecat") | told))


@pytest.mark.skipif(browser_program() is None, reason="not run: no Chromium here")
@pytest.mark.skipif(shutil.which("flite") is None, reason="not run: no flite here")
@pytest.mark.timeout(600)
def test_a_browser_draws_lips_in_step_and_shuts_them_when_it_is_interrupted(tmp_path: Path) -> None:
    with bot_page(tmp_path) as tab:
        steps = [speak(tab)]
        closed = [interrupt(tab, 0.5 + k / 2) for k in range(3)]
        assert tab.value("document.title") == "A face for Pipecat"
        faults = [each for each in tab.complaints if "exception" in each.lower()]
    found = figures(steps, closed)
    print(found, os.getloadavg())
    assert faults == [] and found["pictures"] > 20
    if os.getloadavg()[0] > len(os.sched_getaffinity(0)):
        return  # others use this machine: how soon things are drawn says nothing
    assert found["off_ms"]["median"] <= MEDIAN_BAR_MS and found["off_ms"]["p95"] <= P95_BAR_MS
    assert found["closed_ms"][-1] <= CLOSE_BAR_MS
