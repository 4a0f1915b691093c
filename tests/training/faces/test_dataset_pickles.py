"""Values in a set: plain pickles are read, all others refused, beyond all measure or not."""

from __future__ import annotations

import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
from cli import call
from recorded_faces import Evil

from head.files.pickle_machine import PickleError
from training.faces.plain_values import LIMITS, loads


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_of_every_protocol_are_read(protocol: int) -> None:
    value = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": b"\x00\xff",
        "c": [1, 2.5, None],
        "d": np.asfortranarray(np.eye(3)[:2]),
        "e": np.int64(4),
        "f": b"",
    }
    found = loads(pickle.dumps(value, protocol=protocol))
    assert found["b"] == b"\x00\xff" and found["c"] == [1, 2.5, None] and found["e"] == 4
    np.testing.assert_array_equal(found["a"], value["a"])
    np.testing.assert_array_equal(found["d"], value["d"])


@pytest.mark.parametrize(
    "bad",
    [
        pickle.dumps(np.array([Evil()], object)),
        pickle.dumps(np.array(["text"])),
        pickle.dumps(np.zeros(2, [("a", "f4")])),
        pickle.dumps({1, 2}),
        b'cnumpy\ndtype\n}S"x"\nI1\nsb.',  # would change a constructor
        b"cnumpy\nndarray\n.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"(i__main__\nX\n.",
        b"\x80\x02P0\n.",
        b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # claims bytes without end
        b"]" * 100 + b"a" * 99 + b".",
        b"",
    ],
)
def test_other_pickles_are_refused(bad: bytes) -> None:
    with pytest.raises(PickleError) as caught:
        loads(bad)
    assert "\n" not in str(caught.value)


def test_a_value_beyond_all_measure_is_refused() -> None:
    with pytest.raises(PickleError, match="67 MB, 67 at most"):
        loads(bytes(LIMITS.most_bytes + 1))


def test_a_full_disk_is_said_and_leaves_nothing(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        arguments = ["dataset", "build", str(recordings), "-o", str(tmp_path / "set")]
        code, _, messages = call(arguments, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1 and messages.count("\n") == 1 and "cannot be written" in messages
    assert not list(tmp_path.iterdir())
