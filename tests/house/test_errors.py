"""One tree of errors: every class of the product that can be raised grows from one base."""

from __future__ import annotations

import importlib
import re

import draw_tree
import pytest
from draw_tree import ErrorClass

import posetalk
from head.errors import PosetalkError, WrongValue
from posetalk.__main__ import explain

HEAVY = ("posetalk/pipecat/", "stream/serve/a2f/", "training/", "posetalk/tracking/")
PLAIN = re.compile(r"raise (?:ValueError|RuntimeError|OSError|FileNotFoundError|Exception)\(")


def test_no_class_stands_outside_the_tree() -> None:
    found = draw_tree.error_classes()
    assert len(found) > 40
    assert draw_tree.outside(found) == []


def test_a_class_outside_would_be_seen() -> None:
    found = [ErrorClass("Lost", ("ValueError",), "x.py"), *draw_tree.error_classes()]
    assert [each.name for each in draw_tree.outside(found)] == ["Lost"]


def test_each_error_has_a_name_of_its_own() -> None:
    """Classes of one name would stand below each other's bases in the drawing."""
    names = [each.name for each in draw_tree.error_classes()]
    assert len(names) == len(set(names))


def test_the_drawn_tree_is_the_one_of_python() -> None:
    for each in draw_tree.error_classes():
        if not each.file.startswith(HEAVY) and each.name != draw_tree.BASE:
            module = importlib.import_module(each.file.removesuffix(".py").replace("/", "."))
            assert issubclass(getattr(module, each.name), PosetalkError), each


def test_the_product_raises_no_plain_error_with_a_text() -> None:
    for house in draw_tree.HOUSES:
        for path in (draw_tree.ROOT / house).rglob("*.py"):
            assert not PLAIN.search(path.read_text("utf-8")), path


@pytest.mark.parametrize("error", [WrongValue("a  wrong\nvalue"), OSError("a wrong value")])
def test_what_is_raised_on_purpose_is_one_line(error: Exception) -> None:
    assert explain(error) == "a wrong value"


def test_what_nobody_foresaw_says_so() -> None:
    assert explain(ValueError("odd")).startswith("ValueError: odd (--debug shows where")


def test_the_public_name_catches_them() -> None:
    with pytest.raises(posetalk.PosetalkError, match="hop"):
        posetalk.Session(backend="fake", hop=999)
