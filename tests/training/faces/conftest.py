"""Recordings of people who do not exist, and sets that are built of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_faces import PEOPLE, record

from training.faces.build import build


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for seed, person in enumerate(PEOPLE):
        record(folder, person, "first", 230 + seed, 2 * seed)
        record(folder, person, "second", 300, 2 * seed + 1)
    return folder


@pytest.fixture(scope="module")
def built(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "set"
    build(recordings, out, smooth=False)
    return out
