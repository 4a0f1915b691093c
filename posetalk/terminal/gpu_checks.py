"""The findings of `posetalk doctor --gpu`: the card, what runs on it, a test against the CPU."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from posetalk.terminal.doctor_checks import Finding, nvidia_driver
from posetalk.terminal.installation import install, install_extra

LEAST_BF16 = 8.0
"""Compute capability of the oldest GPU with bf16 matrix units."""


def examine_gpu(bundle: str = "starter", gpu: int = 0) -> Iterator[Finding]:
    """Look at the card and at each library that uses it; then hear and move once, on both sides."""
    card = _card(gpu)
    yield card
    looks: dict[str, Callable[[], Finding]] = {
        "gpu": nvidia_driver,
        "onnxruntime": _onnxruntime,
        "tensorrt-rtx": lambda: _engines("tensorrt-rtx", gpu),
        "tensorrt": lambda: _engines("tensorrt", gpu),
        "chosen": lambda: _chosen(gpu),
        "self-test": lambda: _self_test(bundle, f"cuda:{gpu}"),
    }
    for name, look in looks.items():
        if card.state != "ok" and name in ("chosen", "self-test"):
            yield Finding(name, "without", "not run: no GPU")
            continue
        try:
            yield look()
        except Exception as error:
            why = " ".join(str(error).split())[:300]
            yield Finding(name, "missing", f"{type(error).__name__}: {why}")


def _card(gpu: int) -> Finding:
    """The card as torch sees it, with the CUDA that torch was built for."""
    if importlib.util.find_spec("torch") is None:
        return Finding("card", "missing", "torch is not installed", install_extra("torch"))
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        why = f"built for CUDA {built}" if built else "built for CPUs alone"
        driver, torch_for_gpus = "install NVIDIA's driver", install("--force-reinstall", "torch")
        mend = driver if built else torch_for_gpus
        if not built and nvidia_driver().state != "ok":
            mend = f"with a card in this machine: {driver}, then {torch_for_gpus}"
        return Finding("card", "missing", f"torch {torch.__version__} ({why}) sees no GPU", mend)
    there = torch.cuda.device_count()
    if gpu >= there:
        return Finding("card", "missing", f"no GPU {gpu}: there are {there}", "--gpu 0")
    card: Any = torch.cuda.get_device_properties(gpu)
    detail = (
        f"{card.name}, compute capability {card.major}.{card.minor}, "
        f"{card.total_memory / 2**30:.0f} GiB; torch {torch.__version__}, CUDA {torch.version.cuda}"
    )
    return Finding("card", "ok", detail)


def _onnxruntime() -> Finding:
    """Whether onnxruntime was built for GPUs; whether it runs there shows when a graph opens."""
    name, mend = "onnxruntime", install_extra("gpu")
    if importlib.util.find_spec("onnxruntime") is None:
        return Finding(name, "without", "not installed", mend)
    from stream.backends.onnx.session import PROVIDERS

    there = importlib.import_module("onnxruntime").get_available_providers()
    if PROVIDERS["cuda"] not in there:
        return Finding(name, "without", "its build is for CPUs (onnxruntime-cuda needs more)", mend)
    return Finding(name, "ok", ", ".join(p for p in there if p in PROVIDERS.values()))


def _engines(target: str, gpu: int) -> Finding:
    """Whether the library is here and runs on this card."""
    from stream.backends.protocol import RuntimeProblem
    from stream.backends.tensorrt.build import EXTRAS, check_capability, library
    from stream.backends.tensorrt.session import gpu_here

    try:
        version = library(target).__version__
    except RuntimeProblem:
        return Finding(target, "without", "not installed", install_extra(EXTRAS[target]))
    card = gpu_here(gpu)
    if card is None:
        return Finding(target, "without", f"{version}: builds engines, and has no GPU to run them")
    try:
        check_capability("fp16", card.capability, target)
    except RuntimeProblem as error:
        return Finding(target, "without", f"{version}: {error}")
    return Finding(target, "ok", version)


def _chosen(gpu: int) -> Finding:
    """What to run on this card, as a line of options."""
    from stream.backends.tensorrt.session import gpu_here

    card = gpu_here(gpu)
    half = card is not None and card.capability >= LEAST_BF16
    options = f"--backend torch --gpu {gpu}" + (" --precision bf16" if half else "")
    return Finding("chosen", "ok", f"`posetalk live {options}`: CUDA graphs; fp32 without TF32")


def _self_test(bundle: str, device: str) -> Finding:
    """One sound and one window on the CPU and on `device`: the largest difference in deviations."""
    import numpy as np

    from diffposetalk.bundle.bundle import load_bundle
    from export.parity import TOLERANCE, answer, random_case
    from stream.backends.torch_backend import TorchBackend

    loaded = load_bundle(bundle)
    live = loaded.spec.live
    case = random_case(loaded.spec, live.window_rule, 2, live.steps)
    expected = answer(TorchBackend(loaded, "cpu"), case)
    there = TorchBackend(loaded, device)
    gap = max(float(np.abs(answer(there, case) - expected).max()) for _ in range(2))
    state = "ok" if gap <= TOLERANCE["fp32"] else "missing"
    detail = f"{bundle} on {device} and on the CPU differ by {gap:.1e} (at most "
    return Finding("self-test", state, f"{detail}{TOLERANCE['fp32']:.0e} is right)")
