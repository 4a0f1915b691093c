"""The help of the commands, and what doctor says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli import call, finish, start
from patience import PATIENCE


@pytest.mark.parametrize("command", ["live", "serve", "view", "animate", "devices", "doctor"])
def test_the_help_text_is_enough(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = call([command, "--help"], capsys)
    assert code == 0
    options = {
        "live": "--source --view --record --bundle --style --steps --hop --lookahead --host --port "
        "--seconds --seed --backend --device --token --size --fps --camera --background --neutral",
        "serve": "--source --bundle --style --host --port --seconds --seed --token",
        "view": "URL --view --record --size --delay --seconds --once --fps --camera --background",
        "animate": "AUDIO -o --output --bundle --style --steps --hop --lookahead --seed --size",
        "devices": "--debug",
        "doctor": "--json",
    }
    for option in options[command].split():
        assert option in output
    assert "(default: None)" not in output, "no default is left unexplained"


def test_help_for_a_reader_who_has_gone_ends_quietly(tmp_path: Path) -> None:
    process = start("animate", "--help", cwd=tmp_path)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()  # as `| head` does, long before the command has loaded
    assert process.wait(PATIENCE) == 1
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()


def test_doctor_says_what_is_there(tmp_path: Path) -> None:
    code, output, _ = finish(start("doctor", "--json", cwd=tmp_path))
    findings = {finding["name"]: finding for finding in json.loads(output)}
    assert findings["head"]["state"] == findings["drawing"]["state"] == "ok"
    assert findings["microphone"]["state"] == findings["window"]["state"] == "without"
    assert findings["bundle"]["state"] == "ok", "the starter comes with the project"
    assert code == 0


def test_doctor_names_the_step_that_mends_each_thing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from posetalk.terminal import doctor_checks

    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "bogus")
    monkeypatch.setattr(
        doctor_checks, "_bundle", lambda: doctor_checks.Finding("bundle", "missing", "x", "y")
    )
    code, output, _ = call(["doctor"], capsys)
    assert code == 1
    lines = {line[9:].split()[0]: line for line in output.splitlines()[:-1]}
    assert "apt-get install" in lines["microphone"] and "libportaudio2" in lines["microphone"]
    assert "without" in lines["drawing"] and "->" in lines["drawing"]
    assert "cannot run yet" in output.splitlines()[-1]
