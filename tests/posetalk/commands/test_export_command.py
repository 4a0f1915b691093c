"""What `posetalk export` tells to do next is what runs what it made."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from bundles_for_export import PLAIN, save_random
from cli import call


@pytest.mark.parametrize(("steps", "option"), [(["3"], "--steps 3"), (["3", "2"], None)])
def test_the_next_command_has_the_steps_that_were_exported(
    steps: list[str], option: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = save_random(tmp_path / "bundle", PLAIN).folder
    out = tmp_path / "copy"
    more = ["--steps", *steps] if steps else []
    code, _, messages = call(["export", str(bundle), "-o", str(out), *more], capsys)
    assert code == 0
    told = re.search(r"run them with: posetalk live (.*)", messages)
    assert told is not None and (option or "--bundle") in told[1]
    assert ("--steps" in told[1]) == (option is not None)
    options = shlex.split(told[1])
    sound = ["demo", "-o", str(tmp_path / "out.npz"), "--backend", "onnxruntime"]
    assert call(["animate", *sound, *options], capsys)[0] == 0


def test_a_missing_count_of_steps_is_answered_with_its_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = save_random(tmp_path / "bundle", PLAIN).folder
    assert call(["export", str(bundle), "--steps", "3"], capsys)[0] == 0
    sound = ["demo", "-o", str(tmp_path / "out.npz"), "--bundle", str(bundle)]
    _, _, messages = call(["animate", *sound, "--steps", "4"], capsys)
    told = re.search(r"samples in 4 steps: export it with `posetalk (export [^`]+)`", messages)
    assert told is not None
    assert call(shlex.split(told[1]), capsys)[0] == 0
    _, _, messages = call(["animate", *sound, "--steps", "4", "--force"], capsys)
    assert "no graph" not in messages
