"""`posetalk doctor --gpu`: what it says with a card, without one, and where the card is wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from cli import call

from posetalk.terminal import gpu_checks
from posetalk.terminal.doctor_checks import Finding
from posetalk.terminal.gpu_checks import examine_gpu
from stream.backends.tensorrt import session
from stream.backends.tensorrt.engine_store import Gpu


def test_without_a_card_it_says_so_and_how_to_mend_it(capsys) -> None:
    if torch.cuda.is_available():
        pytest.skip("not run: there is a GPU here")
    found = {finding.name: finding for finding in examine_gpu()}
    assert list(found) == [
        "card",
        "gpu",
        "onnxruntime",
        "tensorrt-rtx",
        "tensorrt",
        "chosen",
        "self-test",
    ]
    assert found["card"].state == "missing" and "sees no GPU" in found["card"].detail
    if torch.version.cuda is None:
        assert sys.executable in found["card"].mend, "it is this Python's torch that is mended"
    assert found["self-test"].detail == found["chosen"].detail == "not run: no GPU"
    code, out, _ = call(["doctor", "--gpu"], capsys)
    assert code == 1 and out.rstrip().endswith("the GPU path cannot run yet")


@pytest.mark.parametrize("driver", [True, False])
def test_a_torch_for_cpus_is_mended_where_there_is_a_card(driver, monkeypatch) -> None:
    seen = Finding("gpu", "ok" if driver else "without", "")
    monkeypatch.setattr(gpu_checks, "nvidia_driver", lambda: seen)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    mend = gpu_checks._card(0).mend
    assert mend.endswith("-m pip install --force-reinstall torch")
    assert mend.startswith(sys.executable) == driver
    assert ("with a card" in mend and "driver" in mend) != driver


def test_a_card_that_a_library_does_not_know_is_said(monkeypatch) -> None:
    pytest.importorskip("tensorrt_rtx", reason="not run: tensorrt-rtx is not installed")
    monkeypatch.setattr(session, "gpu_here", lambda gpu: Gpu("Hopper", 9.0))
    finding = gpu_checks._engines("tensorrt-rtx", 0)
    assert finding.state == "without" and "7.5, 8.6, 8.9 and 12.x" in finding.detail
    assert "--precision bf16" in gpu_checks._chosen(0).detail
    monkeypatch.setattr(session, "gpu_here", lambda gpu: Gpu("Turing", 7.5))
    assert gpu_checks._engines("tensorrt-rtx", 0).state == "ok"
    assert "bf16" not in gpu_checks._chosen(0).detail


def test_the_self_test_tells_right_from_wrong(monkeypatch) -> None:
    assert gpu_checks._self_test("starter", "cpu").state == "ok"
    from export import parity

    answers = iter([np.zeros(3), np.ones(3), np.ones(3)])
    monkeypatch.setattr(parity, "answer", lambda backend, case: next(answers))
    assert gpu_checks._self_test("starter", "cpu").state == "missing"
