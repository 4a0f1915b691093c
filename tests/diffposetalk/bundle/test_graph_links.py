"""The files that a graph refers to, read without loading it."""

from __future__ import annotations

import pytest

from diffposetalk.bundle.graph_links import external_files


def test_a_number_ends_after_ten_bytes() -> None:
    """As in every protocol buffer; a longer one would be a number of a thousand bits."""
    field = b"\x08"  # number 1, a varint
    assert external_files(field + b"\xff" * 9 + b"\x01") == set()
    for length in (10, 12, 200):
        with pytest.raises(ValueError, match="no ONNX graph"):
            external_files(field + b"\x80" * length + b"\x01")
