"""The starter, and what its calls were given that no call may be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.backends.protocol import FloatArray, SamplerCall
from stream.backends.registry import load_backend


class Witness:
    """A backend that notes in `bad` each call that was given what is no number."""

    def __init__(self) -> None:
        self._backend = load_backend("auto")
        self.bad: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def sample_many(self, calls: Sequence[SamplerCall]) -> list[FloatArray]:
        for call in calls:
            rows = {
                "features": call.features,
                "context_features": call.context_features,
                "context_motion": call.context_motion,
                "known": call.known,
                "noise": call.noise,
                **call.conditions.vectors(),
            }
            self.bad += [name for name, row in rows.items() if not np.isfinite(row).all()]
        return self._backend.sample_many(calls)
