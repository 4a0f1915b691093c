"""A wider encoder: it says the same, to the whole stream, and its copies are not one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.spec import ModelSpec
from tests.training.starter.test_distillation import SPEC
from training.starter.widen import widened


def wide(hidden: int, out: int) -> ModelSpec:
    return replace(SPEC, speech=replace(SPEC.speech, d_hidden=hidden, d_out=out))


@pytest.mark.parametrize(("hidden", "out"), [(8, 16), (16, 16), (8, 48), (16, 32)])
def test_a_wider_encoder_says_the_same(hidden: int, out: int) -> None:
    torch.manual_seed(3)
    narrow = DiffPoseTalk(SPEC).eval()
    for weight in narrow.parameters():  # no bias is zero, no norm the identity
        weight.data += 0.1 * torch.randn_like(weight)
    model = DiffPoseTalk(wide(hidden, out)).eval()
    model.load_state_dict(widened(narrow.state_dict(), SPEC, model.spec))
    pcm = 0.1 * torch.randn(2, 640 * 9)
    with torch.inference_mode():
        expected, _ = narrow.audio_encoder.encode(pcm, narrow.audio_encoder.initial_state(2))
        state, found = model.audio_encoder.initial_state(2), []
        for hop in pcm.split(640 * 3, 1):
            features, state = model.audio_encoder.encode(hop, state)
            found.append(features)
        wider = torch.cat(found, 1)
        torch.testing.assert_close(wider, expected.repeat(1, 1, out // 16), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            model.audio_feature_map(wider), narrow.audio_feature_map(expected), atol=1e-4, rtol=1e-4
        )


def test_the_copies_part_when_they_learn() -> None:
    torch.manual_seed(4)
    narrow, model = DiffPoseTalk(SPEC), DiffPoseTalk(wide(16, 32))
    model.load_state_dict(widened(narrow.state_dict(), SPEC, model.spec))
    encoder = model.audio_encoder
    features = model.audio_feature_map(encoder(torch.randn(2, 4 * 30, SPEC.speech.n_mels)))
    features.square().mean().backward()
    for layer in (encoder.conv1, encoder.conv2, encoder.blocks[0].conv, encoder.gather):
        first, second = layer.weight.grad.chunk(2)
        assert (first - second).abs().max() > 0.01 * first.abs().max()


@pytest.mark.parametrize(("hidden", "out"), [(12, 16), (8, 24), (4, 16)])
def test_widths_that_are_no_multiples_are_refused(hidden: int, out: int) -> None:
    with pytest.raises(ValueError, match="whole factors"):
        widened(DiffPoseTalk(SPEC).state_dict(), SPEC, wide(hidden, out))
