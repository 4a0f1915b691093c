"""The values of a dataset: plain data and numpy arrays in pickles, as the released one has them.

`pickle.loads` runs whatever code a pickle names; `head.files.pickle_reader` runs none.
"""

from __future__ import annotations

import pickle
from typing import Any

from head.files.pickle_machine import PickleError, PickleLimits
from head.files.pickle_reader import read_pickle
from head.files.pickled_arrays import plain

LIMITS = PickleLimits(most_bytes=64 << 20, most_instructions=20_000)
"""A value beyond these is not a clip of 4 seconds."""


def loads(data: bytes) -> Any:
    """The dicts, lists, numbers, texts, bytes and numeric arrays in a pickle.

    Raises:
        PickleError: it names anything else, is cut off, or is too large.
    """
    try:
        return plain(read_pickle(data, LIMITS))
    except MemoryError:
        raise PickleError("it takes more memory than there is") from None


def dumps(value: Any) -> bytes:
    """`value`, of the kinds that `loads` reads, as a pickle that numpy 1 and 2 both read."""
    data = pickle.dumps(value, protocol=3)
    # numpy 2 says where its constructor lies now; numpy 1 knows the old place only, 2 knows both.
    return data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
