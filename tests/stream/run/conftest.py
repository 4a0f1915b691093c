"""Sessions in a scheduler, and what their receivers heard."""

from __future__ import annotations

import pytest
from tiny_model import tiny_backend


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_backend(tmp_path_factory.mktemp("bundles") / "tiny")
