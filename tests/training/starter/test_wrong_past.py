"""Pasts go wrong in the lips alone, in the shares that are told, and as told."""

from __future__ import annotations

import numpy as np
import torch

from training.starter.mel_pretraining import LIPS
from training.starter.wrong_past import GAPING, LATE, LATEST_FRAMES, SHUT, gone_wrong

B, T_P, D = 3000, 12, 54
LIP = next(iter(LIPS))


def test_shares_and_kinds() -> None:
    ramp = torch.arange(LATEST_FRAMES + T_P).float()[None, :, None] + 5.0
    earlier = ramp.expand(B, -1, D).contiguous()
    past, rest = earlier[:, LATEST_FRAMES:], torch.full((D,), -1.0)
    wrong = gone_wrong(past, earlier, rest, np.random.default_rng(0))
    others = [i for i in range(D) if i not in LIPS]
    assert torch.equal(wrong[..., others], past[..., others])
    end = wrong[:, -1, LIP]
    truth = past[0, -1, 0]
    shut, late, gaping = (end == -1.0), (end < truth) & (end > 0), end > truth
    for found, share in ((shut, SHUT), (late, LATE), (gaping, GAPING)):
        assert abs(found.float().mean() - share) < 0.02
    assert ((truth - end[late]) >= 2).all() and ((truth - end[late]) <= LATEST_FRAMES).all()
    lips = wrong[shut][..., LIP]
    assert (lips == -1.0).all(1).float().mean() > 0.5, "most are shut all along"
    assert torch.equal(wrong, gone_wrong(past, earlier, rest, np.random.default_rng(0)))
