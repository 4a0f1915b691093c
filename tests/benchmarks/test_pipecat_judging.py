"""Which part of an utterance was heard when: what sounds alike is not taken for it."""

from __future__ import annotations

import numpy as np

from benchmarks.pipecat.judging import RTP_RATE, SLACK, most_in_order


def test_parts_that_sound_alike_are_left_out_and_silence_between_is_not() -> None:
    late = np.array([100.0, 110, 95, 100 - RTP_RATE, 104, 5000, 5003, 90_000, 4998, 5010, 5008])
    kept = most_in_order(late, SLACK)
    assert kept.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert most_in_order(np.array([3.0]), SLACK).tolist() == [0]
