"""The public names of `posetalk`, against the page that promises them."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import posetalk
import posetalk.client

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text("utf-8")
ROWS = {
    name: (re.findall(r"`(\w+)`", arguments), re.findall(r"`(\w+)`", members))
    for name, arguments, members in re.findall(
        r"^\| `posetalk\.(\w+)` \| (.+) \| (.+) \|$", PAGE, re.MULTILINE
    )
}


def test_the_page_has_every_name_and_no_other() -> None:
    assert set(ROWS) == set(posetalk.__all__)
    assert set(dir(posetalk)) == set(posetalk.__all__)
    for name in posetalk.__all__:
        assert getattr(posetalk, name).__doc__, name


def test_arguments_are_called_as_the_page_says() -> None:
    for name, (arguments, _) in ROWS.items():
        if name not in ("Head", "PosetalkError"):
            assert list(inspect.signature(getattr(posetalk, name)).parameters) == arguments, name


def test_what_things_have_is_there() -> None:
    for name, (_, members) in ROWS.items():
        thing = getattr(posetalk, name)
        for member in members if inspect.isclass(thing) else ():
            assert hasattr(thing, member), f"{name}.{member}"


def test_errors_and_events_of_clients() -> None:
    named = set(
        re.findall(r"`(\w+)`", PAGE.partition("`posetalk.client`")[2].partition("## Errors")[0])
    )
    assert named - {"code"} == set(posetalk.client.__all__) - {"Client", "AsyncClient"}
    for name in named - {"code"}:
        thing = getattr(posetalk.client, name)
        if "Client" not in name:
            assert issubclass(thing, posetalk.client.ClientError)


def test_each_name_has_one_home_that_is_loaded_on_use() -> None:
    for name, home in posetalk._HOMES.items():
        assert getattr(importlib.import_module(home), name) is getattr(posetalk, name)
