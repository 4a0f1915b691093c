"""Guidance as inputs of an exported graph: which branches there are, and what each one weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from diffposetalk.spec import FloatArray
from stream.backends.protocol import Conditions

Branches = tuple[tuple[tuple[int, int], tuple[int, int, int]], ...]
BRANCHES: Mapping[tuple[bool, bool], Branches] = {
    (False, False): (((1, 1), (1, 0, 0)),),
    (True, False): (((0, 1), (1, -1, 0)), ((1, 1), (0, 1, 0))),
    (False, True): (((1, 0), (1, 0, -1)), ((1, 1), (0, 0, 1))),
    (True, True): (((0, 0), (1, -1, 0)), ((1, 0), (0, 1, -1)), ((1, 1), (0, 0, 1))),
}
"""By which scales (audio, style) are not 1: for each branch whether it gives audio and style, and
its weight as coefficients of 1, the audio scale and the style scale (Sun et al. 2024, eq. 10)."""


def guidance_inputs(conditions: Sequence[Conditions]) -> dict[str, FloatArray]:
    """Inputs of a graph for calls with these scales, the same of which are 1 in every call."""
    audio = [each.audio_guidance for each in conditions]
    style = [each.style_guidance for each in conditions]
    return {
        "audio_guidance": np.array(audio, np.float32),
        "style_guidance": np.array(style, np.float32),
    } | branch_inputs((audio[0] != 1.0, style[0] != 1.0))


def branch_inputs(guided: tuple[bool, bool]) -> dict[str, FloatArray]:
    """Those of the inputs that say which branches there are, where audio and style are guided."""
    gives, weights = zip(*BRANCHES[guided], strict=True)
    return {
        # Its mask of conditions; graphs of bundles that are out there have it by this name.
        "branch_gives": np.array(gives, np.float32),
        "branch_weights": np.array(weights, np.float32),
    }
