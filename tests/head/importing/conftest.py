"""A model in FLAME form, its file, and the head that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from flame_files import Model, flame_model, pickled

from head.importing import import_head
from head.model import Head
from head.rig import builtin_head


@pytest.fixture(scope="module")
def model() -> Model:
    return flame_model(builtin_head())


@pytest.fixture(scope="module")
def file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flame") / "generic_model.pkl"
    path.write_bytes(pickled(model))
    return path


@pytest.fixture(scope="module")
def flame(file: Path) -> Head:
    return import_head(file)
