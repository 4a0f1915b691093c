"""One Audio2Face-3D service for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from a2f_service import Served


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    from a2f_service import Served  # which needs the extra `a2f`

    with Served() as served:
        yield served
