"""Loudness of a live window for speech encoders that were trained on normalised clips."""

from __future__ import annotations

from diffposetalk.spec import FloatArray

LEAST_DEVIATION = 0.02
"""Of samples, -34 dB of full scale: soft speech into a microphone."""


def normal_window(pcm: FloatArray) -> FloatArray:
    """Zero mean and unit (unbiased) deviation, (n,), with a floor on the deviation.

    Live there is no whole clip, so the window stands in for it (official normalisation); without
    the floor a silent room would be pumped up to full scale.
    """
    return (pcm - pcm.mean()) / max(float(pcm.std(ddof=1)), LEAST_DEVIATION)
