"""Pickles read as data: no class of a file is imported and no function of it is called.

A pickle is a program for a small stack machine (`head.files.pickle_machine`). Known are the
instructions of protocols 0 to 5 that write values; what a pickle names becomes an inert `Record`,
from which `pickled_arrays` takes numbers. Every instruction makes at most one value, so that their
number bounds the memory; bytes are counted; keys of dictionaries are plain, so that no hash can
take for ever.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, Final

from head.files.pickle_machine import Machine, PickleError, PickleLimits, Record, whole


def read_pickle(data: bytes, limits: PickleLimits) -> Any:
    """What a pickle holds: plain values, and `Record`s for the rest.

    Python 2's strings come as text, each byte one character.

    Raises:
        PickleError: cut short, no pickle, beyond the limits, or it asks for code.
    """
    if len(data) > limits.most_bytes:
        raise PickleError(f"it has {len(data) / 1e6:.0f} MB, {limits.most_bytes / 1e6:.0f} at most")
    machine = Machine(data, limits)
    try:
        for _ in range(limits.most_instructions):
            code = machine.take(1)[0]
            if code == _STOP:
                return machine.result()
            if code not in _INSTRUCTIONS:
                raise PickleError("it uses an instruction that no data needs")
            _INSTRUCTIONS[code](machine)
    except PickleError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, struct.error) as error:
        what = " ".join(str(error).split())[:80] or type(error).__name__
        raise PickleError(f"no readable pickle ({what})") from None
    raise PickleError(f"it has more than {limits.most_instructions} instructions")


_STOP: Final = pickle.STOP[0]
_INSTRUCTIONS: Final[dict[int, Callable[[Machine], object]]] = {
    code[0]: act
    for code, act in (
        (pickle.PROTO, lambda m: m.take(1)),
        (pickle.FRAME, lambda m: m.take(8)),
        (pickle.MARK, Machine.mark),
        (pickle.POP, Machine.pop),
        (pickle.POP_MARK, Machine.to_mark),
        (pickle.DUP, lambda m: m.push(m.stack[-1])),
        (pickle.NONE, lambda m: m.push(None)),
        (pickle.NEWTRUE, lambda m: m.push(True)),
        (pickle.NEWFALSE, lambda m: m.push(False)),
        (pickle.INT, Machine.push_whole),
        (pickle.LONG, lambda m: m.push(whole(m.line().removesuffix(b"L")))),
        (pickle.FLOAT, lambda m: m.push(float(m.line()))),
        (pickle.BININT, lambda m: m.push(m.number("<i"))),
        (pickle.BININT1, lambda m: m.push(m.number("B"))),
        (pickle.BININT2, lambda m: m.push(m.number("<H"))),
        (pickle.BINFLOAT, lambda m: m.push(m.number(">d"))),
        (pickle.LONG1, lambda m: m.push_long("B")),
        (pickle.LONG4, lambda m: m.push_long("<i")),
        (pickle.STRING, Machine.push_quoted),
        (pickle.BINSTRING, lambda m: m.push_latin("<i")),
        (pickle.SHORT_BINSTRING, lambda m: m.push_latin("B")),
        (pickle.UNICODE, Machine.push_line_text),
        (pickle.BINUNICODE, lambda m: m.push_text("<I")),
        (pickle.SHORT_BINUNICODE, lambda m: m.push_text("B")),
        (pickle.BINUNICODE8, lambda m: m.push_text("<Q")),
        (pickle.BINBYTES, lambda m: m.push_bytes("<I")),
        (pickle.SHORT_BINBYTES, lambda m: m.push_bytes("B")),
        (pickle.BINBYTES8, lambda m: m.push_bytes("<Q")),
        (pickle.BYTEARRAY8, lambda m: m.push_bytes("<Q")),
        (pickle.EMPTY_DICT, lambda m: m.push({})),
        (pickle.DICT, Machine.push_dict),
        (pickle.SETITEM, lambda m: m.set_items(m.pop_some(2))),
        (pickle.SETITEMS, lambda m: m.set_items(m.to_mark())),
        (pickle.EMPTY_LIST, lambda m: m.push([])),
        (pickle.LIST, Machine.push_list),
        (pickle.APPEND, lambda m: m.extend(m.pop_some(1))),
        (pickle.APPENDS, lambda m: m.extend(m.to_mark())),
        (pickle.EMPTY_TUPLE, lambda m: m.push(())),
        (pickle.TUPLE, lambda m: m.push(tuple(m.to_mark()))),
        (pickle.TUPLE1, lambda m: m.push(tuple(m.pop_some(1)))),
        (pickle.TUPLE2, lambda m: m.push(tuple(m.pop_some(2)))),
        (pickle.TUPLE3, lambda m: m.push(tuple(m.pop_some(3)))),
        (pickle.EMPTY_SET, lambda m: m.push(Record("builtins:set"))),
        (pickle.ADDITEMS, Machine.add_to_set),
        (pickle.FROZENSET, Machine.push_frozen_set),
        (pickle.GLOBAL, Machine.name_on_lines),
        (pickle.STACK_GLOBAL, Machine.name_on_stack),
        (pickle.REDUCE, Machine.call),
        (pickle.NEWOBJ, Machine.call),
        (pickle.BUILD, Machine.build),
        (pickle.PUT, lambda m: m.remember(whole(m.line()))),
        (pickle.BINPUT, lambda m: m.remember(m.number("B"))),
        (pickle.LONG_BINPUT, lambda m: m.remember(m.number("<I"))),
        (pickle.MEMOIZE, lambda m: m.remember(len(m.memo))),
        (pickle.GET, lambda m: m.recall(whole(m.line()))),
        (pickle.BINGET, lambda m: m.recall(m.number("B"))),
        (pickle.LONG_BINGET, lambda m: m.recall(m.number("<I"))),
    )
}
"""By their one-byte codes. Left out: persistent ids, extensions, `inst`, buffers out of band."""
