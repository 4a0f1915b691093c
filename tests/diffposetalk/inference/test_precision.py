"""Networks made ready for inference: the same numbers in fp32, near ones in bf16."""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from bundles_for_export import PLAIN, SPECS, random_model, save_random
from cli import call

import posetalk
from diffposetalk.inference import precision as precision_module
from diffposetalk.inference.hubert import FastHubert
from diffposetalk.inference.packed_linear import Convolution, PackedLinear, attend, packs
from diffposetalk.inference.precision import make_ready
from diffposetalk.network.hubert import build_hubert, hubert_features
from diffposetalk.spec import HubertSpec
from posetalk.commands.models.export import Export
from stream.backends.registry import load_backend
from stream.backends.torch_backend import TorchBackend

SMALL = HubertSpec(
    n_layers=2, n_heads=2, d_hidden=48, d_conv=16, position_kernel=16, position_groups=4
)
TOLERANCE = {"fp32": 1e-5, "bf16": 2e-2, "fp16": 4e-3}
"""Of the difference's root mean square, relative to that of the answer."""


def near(ours: torch.Tensor, theirs: torch.Tensor, precision: str) -> bool:
    gap = (ours.float() - theirs).square().mean()
    return bool(gap <= TOLERANCE[precision] ** 2 * theirs.square().mean())


def hubert(**changes) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build_hubert(32, SMALL, **changes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_hubert_is_hubert_at_any_length_and_loudness(precision) -> None:
    plain = hubert()
    fast = FastHubert(plain, precision_module.DTYPES[precision])
    torch.manual_seed(1)
    with torch.inference_mode():
        for frames in (1, 9, 22, 9, 12, 13, 14):  # more lengths than layouts are kept
            pcm = torch.randn(2, 640 * frames)
            pcm[1] = 0.01 * pcm[1] + 0.01  # quiet, and off zero: the group norm is folded in
            assert near(hubert_features(fast, pcm), hubert_features(plain, pcm), precision), frames


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_decoder_is_the_decoder(precision) -> None:
    plain = random_model(PLAIN).eval()
    net, fast = plain.denoising_net, make_ready(copy.deepcopy(plain), precision).denoising_net
    torch.manual_seed(2)
    B, n = 3, PLAIN.T_w
    x, features = torch.randn(B, n, PLAIN.d_motion), torch.randn(B, PLAIN.T_p + n, 16)
    person, context = torch.randn(B, 1, PLAIN.d_person), torch.randn(B, PLAIN.T_p, PLAIN.d_motion)
    t = torch.tensor([490, 250, 3])
    with torch.inference_mode():
        expected = net.denoise(x, t, net.audio_terms(features), person, context)
        terms = fast.audio_terms(features)
        assert near(fast.denoise(x, t, terms, person, context), expected, precision)
        last = fast.denoise(x, t, terms, person, context, first_frame=n - 3)
        assert last.shape == (B, 3, PLAIN.d_motion) and near(last, expected[:, -3:], precision)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_onednn_the_products_are_torchs_own(dtype, monkeypatch) -> None:
    def both(make):
        packed = make()
        with monkeypatch.context() as patch:
            patch.setattr("diffposetalk.inference.packed_linear.packs", lambda weight: False)
            return packed, make()

    torch.manual_seed(3)
    x, weight, bias = torch.randn(2, 40, 24), torch.randn(32, 24) / 5, torch.randn(32)
    kernel = torch.randn(32, 6, 4) / 5
    with torch.inference_mode():
        for gelu in (False, True):
            ours, theirs = both(lambda gelu=gelu: PackedLinear(weight, bias, dtype, gelu=gelu))
            torch.testing.assert_close(
                ours(x), theirs(x), atol=0.05 if dtype != x.dtype else 1e-5, rtol=0
            )
        ours, theirs = both(lambda: Convolution(kernel, bias, dtype, stride=2, padding=3, groups=4))
        torch.testing.assert_close(
            ours(x), theirs(x), atol=0.05 if dtype != x.dtype else 1e-5, rtol=0
        )


def test_bf16_attention_has_a_float32_softmax() -> None:
    torch.manual_seed(4)
    q, k, v = 4 * torch.randn(3, 2, 50, 32)  # scores beyond what bf16 tells apart
    rounded = [part.bfloat16() for part in (q, k, v)]
    exact = attend(*(part.float() for part in rounded), heads=4)
    assert (attend(*rounded, heads=4).float() - exact).abs().max() < 0.01 * exact.abs().max()


def test_what_cannot_be_made_ready_is_refused() -> None:
    wide = dataclasses.replace(
        PLAIN, denoiser=dataclasses.replace(PLAIN.denoiser, align_mask_width=3)
    )
    with pytest.raises(ValueError, match=r"needs an alignment mask of width 1.*use fp32"):
        make_ready(random_model(wide), "bf16")
    make_ready(random_model(wide), "fp32")
    with pytest.raises(ValueError, match="no precision 'fp8': choose fp32, bf16, fp16"):
        make_ready(random_model(PLAIN), "fp8")
    for change in ({"feat_extract_norm": "layer"}, {"do_stable_layer_norm": True}):
        with pytest.raises(ValueError, match="base family"):
            FastHubert(hubert(**change), torch.bfloat16)


def test_a_cpu_without_matrix_units_is_told(monkeypatch, caplog) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    with caplog.at_level(logging.WARNING):
        make_ready(random_model(PLAIN), "bf16")
    assert "slower than fp32 here" in caplog.text


def test_weights_are_packed_where_onednn_can_run_them(monkeypatch) -> None:
    assert packs(torch.zeros(2, 2)) == torch.backends.mkldnn.is_available()
    assert not packs(torch.zeros(2, 2, device="meta")), "a GPU's weights stay as they are"
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not packs(torch.zeros(2, 2))


# --- choosing it ----------------------------------------------------------------------------------
def test_a_precision_chooses_torch_and_others_refuse(monkeypatch) -> None:
    assert load_backend("auto", precision="bf16").precision == "bf16"
    assert load_backend("torch").precision == "fp32"
    for name, why in (
        ("onnxruntime", "exported graphs"),
        ("tensorrt", "engines"),
        ("fake", "no network"),
    ):
        with pytest.raises(ValueError, match=f"goes with --backend torch, not {name}: .*{why}"):
            load_backend(name, precision="bf16")
    with pytest.raises(ValueError, match="no precision 'int8'"):
        load_backend("torch", precision="int8")


@pytest.mark.parametrize(
    "command",
    [
        ["animate", "demo"],
        ["live", "--view", "none"],
        ["serve"],
        ["animate", "demo", "--mode", "paper"],
    ],
)
def test_a_command_says_what_cannot_be(command, capsys) -> None:
    code, _, messages = call([*command, "--backend", "fake", "--precision", "bf16"], capsys)
    assert code == 2 and "--precision bf16 goes with --backend torch" in messages
    assert len(messages.splitlines()) == 1


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_one_of_exports_is_answered_with_the_export(precision, capsys) -> None:
    """The tables of speed name these, so people ask for them; the answer can be typed as it is."""
    code, _, messages = call(["animate", "demo", "--precision", precision, "--steps", "2"], capsys)
    assert code == 2 and len(messages.splitlines()) == 1 and "`--bundle DIR`" in messages
    command = re.search(r"`posetalk (export [^`]+)`", messages)[1]
    assert f"--precision {precision}" in command
    parsed = tyro.cli(Export, args=command.split()[1:])
    assert parsed.bundle == "starter" and parsed.output == Path("DIR")
    assert parsed.to == ("onnx" if precision == "int8" else "tensorrt")


def test_both_modes_take_it(tmp_path: Path) -> None:
    sound = (0.1 * np.random.default_rng(0).standard_normal(640 * 30)).astype(np.float32)
    for mode, steps in (("live", None), ("paper", 2)):
        exact, half = (
            posetalk.animate(sound, mode=mode, steps=steps, backend="torch", precision=precision)
            for precision in ("fp32", "bf16")
        )
        gap = np.abs(exact.exp - half.exp).max()
        assert 0 < gap < 0.1, mode


def test_torchs_threads_sleep_between_calls() -> None:
    """They would spin on cores that others need; the request must be there before torch is."""
    code = (
        "import os, sys; from stream.backends.registry import load_backend\n"
        "assert 'torch' not in sys.modules\n"
        "load_backend('torch'); print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "PASSIVE"


def test_threads_are_chosen_by_the_work(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("stream.backends.torch_backend.usable_cores", lambda: 3)
    before = torch.get_num_threads()
    try:
        bundle = save_random(tmp_path / "b", SPECS["hubert"])
        assert TorchBackend(bundle).threads == torch.get_num_threads() == 3
        assert TorchBackend(bundle, threads=2).threads == torch.get_num_threads() == 2
        assert load_backend("torch").threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
