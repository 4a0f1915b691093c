"""Motion to write into files, and the head posed by it: what readers must find."""

from __future__ import annotations

import numpy as np
import pytest
from posed_motion import HEAD, some_motion

from posetalk.formats import Clip


@pytest.fixture(scope="module")
def clip() -> Clip:
    shape = np.random.default_rng(1).normal(0, 0.7, 100).astype("f4")
    return Clip.of(HEAD, some_motion(), shape)
