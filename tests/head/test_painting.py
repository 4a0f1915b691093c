"""A head in other colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli import call

from head.model import HeadError
from head.painting import colour_of, painted, parse_colour
from head.rig import load_head


def test_a_colour_is_what_was_asked_for_and_its_companions_follow() -> None:
    mira = load_head("mira")
    lea = painted(mira, "lea", {"hair": parse_colour("#7a3b1e"), "skin": parse_colour("f0c8a8")})
    colours = {material.name: colour_of(material) for material in lea.materials}
    assert (lea.id, colours["hair"], colours["skin"]) == ("lea", "#7a3b1e", "#f0c8a8")
    before = {material.name: np.array(material.rgb) for material in mira.materials}
    after = {material.name: np.array(material.rgb) for material in lea.materials}
    for part, other in (("hair", "brow"), ("skin", "lid_edge")):
        ratio = (before[other] + 1e-3) / (before[part] + 1e-3)
        np.testing.assert_allclose(after[other], after[part] * ratio, rtol=1e-6)
    untouched = set(before) - {"hair", "skin", "brow", "lid_edge"}
    assert all((before[name] == after[name]).all() for name in untouched)
    assert lea.template is mira.template and lea.expression_names == mira.expression_names


@pytest.mark.parametrize("wrong", ["red", "#12345", "#1234567", "", "12345g"])
def test_what_is_no_colour_is_one_line(wrong: str) -> None:
    with pytest.raises(HeadError, match="is no colour: give red, green and blue"):
        parse_colour(wrong)


def test_a_painted_head_is_one_of_the_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    paint = ["head", "paint", "mira", "--name", "lea", "--colours", "hair=#7a3b1e"]
    code, _, said = call(paint, capsys)
    assert code == 0 and "use it with --head lea" in said
    assert colour_of(load_head("lea").materials[13]) == "#7a3b1e"
    assert "lea  " in call(["head", "list"], capsys)[1]
    assert "hair #7a3b1e" in call(["head", "show", "lea"], capsys)[1]
    for more, code, words in (
        ([], 2, "is there already"),
        (["--force"], 0, "use it with"),
        (["--name", "mira"], 2, "that head comes along"),
        (["--name", "../x"], 1, "no name for a head"),
        (["--force", "--colours", "nose=#ffffff"], 1, "has no 'nose' to paint, but skin, lid_edge"),
        (["--force", "--colours", "hair"], 2, "give PART=#RRGGBB"),
    ):
        got, _, said = call([*paint, *more], capsys)
        assert got == code and words in said and said.count("\n") <= 2, said
