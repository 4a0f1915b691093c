"""Whether there is a display: something must answer, whatever the environment says."""

from __future__ import annotations

import pytest

from viewer.render.gl import x_answers


@pytest.mark.parametrize("display", ["", "nonsense", ":", ":x", ":4711", "127.0.0.1:59"])
def test_a_variable_without_a_server_is_no_display(display: str) -> None:
    assert not x_answers(display)
